/** The service worker: installed once the page has what it came for, and replaced only when the visitor agrees. */
import { savesData } from "./connection";
import { element, made, show } from "./page";

/** So long a page is left to itself first, unless it is done sooner. */
const AFTER_MS = 4000;

export function workOffline(): void {
  if (!import.meta.env.PROD || !("serviceWorker" in navigator) || savesData()) return;
  // Without a secure address, or where storage is off, there is none; the site works all the same.
  addEventListener("load", () => setTimeout(() => void install().catch(() => {}), AFTER_MS), { once: true });
}

async function install(): Promise<void> {
  const { serviceWorker } = navigator;
  const registration = await serviceWorker.register("service-worker.js");
  void serviceWorker.ready.then(({ active }) => active?.postMessage("keep first demo"));
  const look = () => {
    const { waiting } = registration;
    // Without a controller this is the first one: there is nothing to replace.
    if (waiting && serviceWorker.controller) offer(waiting);
  };
  look();
  registration.addEventListener("updatefound", () => {
    const coming = registration.installing;
    coming?.addEventListener("statechange", () => coming.state === "installed" && look());
  });
}

/** A line in the footer: nobody is interrupted. */
function offer(waiting: ServiceWorker): void {
  const line = element("update", HTMLElement);
  const button = made("button", "Load it", "button small");
  button.type = "button";
  button.addEventListener("click", () => {
    navigator.serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
    waiting.postMessage("take over");
  });
  line.replaceChildren("There is a newer version of this site.", " ", button);
  show(line, true);
}
