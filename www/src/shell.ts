/** What every page has: the theme's switch, its styles, and what is said when a newer version of the site is there. */
import "./style.css";
import { element } from "./page";
import { themeToggle } from "./theme";

themeToggle(element("theme", HTMLButtonElement));
