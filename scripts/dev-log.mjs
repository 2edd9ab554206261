// What of wrangler's output a developer wants to see: the Worker's own lines, requests, builds and errors.

const NOISE = [
  /^\[custom build\]( Running: .*| edge: up to date)?\s*$/,
  /^Using secrets defined in /,
  /^The file .* changed, restarting build/,
  /^⎔ /,
  /^🪵 /u,
  // Addresses of workerd's code.
  /^ *stack: \S*workerd@/,
  /^\[wrangler:info\] (Ready on |GET \/healthz 200 |GET \/cdn-cgi\/handler\/scheduled\S* 200 )/,
];

/** Returns a function from one line to what to print for it, or to null. */
export function filter() {
  // What is left out may span several lines: up to this pattern.
  let until = null;
  return (raw) => {
    const line = raw.replace(/\x1b\[[0-9;]*m/g, "").trimEnd();
    if (until) {
      if (until.test(line)) until = null;
      return null;
    }
    if (line.startsWith("Your Worker has access to the following bindings")) {
      until = /^$/;
      return null;
    }
    if (line.includes("Scheduled Workers are not automatically triggered")) {
      until = /For more details, see /;
      return null;
    }
    // wrangler repeats the whole output of a build that failed, as a JavaScript object.
    if (line.includes("Command failed with exit code") && line.includes("build-edge.sh")) {
      until = /^ {2}\}$/;
      return null;
    }
    const unresolved = /DNS lookup failed\.; params\.host = (.*); params\.service = .*; gai_strerror\(status\) = (.*)$/.exec(line);
    if (unresolved) return `${unresolved[1]}: ${unresolved[2]}`;
    if (line === "" || NOISE.some((pattern) => pattern.test(line))) return null;
    return line.replace(/^\[wrangler:info\] /, "").replace(/^\[custom build\] /, "");
  };
}
