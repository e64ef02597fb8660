import "./shell";
import "./controls.css";
