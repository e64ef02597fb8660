//! The files that build.mjs puts beside the modules, of which each leaves a part when it is run.
declare module "*/firebrand.js";
