/** The code on a page, coloured, with the button that copies it. */
import { showSnippet } from "../snippet";
import { element } from "../page";

const code = element("snippet", HTMLElement);
showSnippet(code, element("copy", HTMLButtonElement), code.textContent.trim());
