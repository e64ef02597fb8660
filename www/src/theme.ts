/** Light and dark: the system's choice until the visitor makes one, which is then remembered. */
const system = matchMedia("(prefers-color-scheme: dark)");

export function themeToggle(button: HTMLButtonElement): void {
  const root = document.documentElement;
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const reflect = () => button.setAttribute("aria-pressed", String(dark()));

  button.addEventListener("click", () => {
    const next = dark() ? "light" : "dark";
    // Back at the system's own theme there is no choice left to remember.
    const follow = (next === "dark") === system.matches;
    if (follow) delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      if (follow) localStorage.removeItem("theme");
      else localStorage.setItem("theme", next);
    } catch {
      // Storage is off: the choice holds for this visit.
    }
    reflect();
  });
  system.addEventListener("change", reflect);
  reflect();
}
