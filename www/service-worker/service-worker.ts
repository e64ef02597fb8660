/**
 * Lets the site work without a network: its pages are kept when it is installed, what the first demo needs once that has
 * answered, everything else when it is first used. Each version has a cache of its own, so that no page mixes two. Packages'
 * files are not kept here: the runtime keeps them by their hashes.
 */
export type {};

declare const __VERSION__: string;
declare const __PAGES__: readonly string[];
declare const __FIRST_DEMO__: readonly string[];

declare const self: ServiceWorkerGlobalScope;

const PREFIX = "firebrand-site-";
const CACHE = `${PREFIX}${__VERSION__}`;
/** Files of packages, which are kept by their hashes, and the other runtimes, which are large and seldom wanted. */
const NOT_KEPT = /\/models\/[^/]+\/(?!manifest\.json$)|\/peers\/(?!sizes\.json$)/;

self.addEventListener("install", (event) => {
  // Past the browser's own cache: what it kept of an earlier version is not this one's.
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(__PAGES__.map((file) => new Request(file, { cache: "no-cache" })))));
});

self.addEventListener("activate", (event) => {
  const drop = async () => {
    const names = await caches.keys();
    await Promise.all(names.filter((name) => name.startsWith(PREFIX) && name !== CACHE).map((name) => caches.delete(name)));
  };
  event.waitUntil(drop());
});

self.addEventListener("message", (event) => {
  if (event.data === "keep first demo") event.waitUntil(keepFirstDemo());
  if (event.data === "take over") void self.skipWaiting();
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  const scope = new URL(self.registration.scope);
  const isOurs = request.method === "GET" && url.origin === scope.origin && url.pathname.startsWith(scope.pathname);
  if (!isOurs || request.headers.has("range") || NOT_KEPT.test(url.pathname)) return;
  event.respondWith(answer(request, event));
});

/** From the cache, with the headers that the host sent; else from the network, and kept. */
async function answer(request: Request, event: FetchEvent): Promise<Response> {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request, { ignoreSearch: request.mode === "navigate" });
  if (kept) return kept;
  const response = await fetch(request);
  // A full or forbidden cache is no reason not to answer.
  if (response.status === 200 && response.type === "basic") event.waitUntil(cache.put(request, response.clone()).catch(() => {}));
  return response;
}

async function keepFirstDemo(): Promise<void> {
  const cache = await caches.open(CACHE);
  for (const file of __FIRST_DEMO__) {
    try {
      if (!(await cache.match(file))) await cache.add(file);
    } catch {
      // The network went away: what is missing is kept when it is used.
    }
  }
}
