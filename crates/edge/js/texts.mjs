// What is served as it is: the document of the API, and the pages. They stand here and not in the wasm, which every isolate
// compiles before its first request; Rust gets a copy when somebody asks (`text` in `glue.js`).
import docsStyle from "../assets/docs.css";
import docsPage from "../assets/docs.html";
import docsScript from "../assets/docs.page.js";
import document from "../assets/openapi.json";
import portalPage from "../assets/portal.html";

export const texts = {
  "docs.css": docsStyle,
  "docs.html": docsPage,
  "docs.page.js": docsScript,
  "openapi.json": document,
  "portal.html": portalPage,
};
