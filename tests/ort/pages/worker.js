// A session in a worker of the page's own, as libraries that keep the page live make it.
const worker = new Worker(new URL("./in-worker.js", import.meta.url), { type: "module" });
globalThis.outcome = new Promise((resolve, reject) => {
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = ({ message }) => reject(new Error(message));
});
