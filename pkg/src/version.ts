import manifest from "../package.json" with { type: "json" };

/** The version of this package and of the runtime in it. */
export const runtimeVersion: string = manifest.version;
