import "../shell";
