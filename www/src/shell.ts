/** What every page has: its styles, the theme's switch, and working without a network. */
import "./style.css";
import { workOffline } from "./offline";
import { element } from "./page";
import { themeToggle } from "./theme";

themeToggle(element("theme", HTMLButtonElement));
workOffline();
