/** The element with this id, of this class; the page and the code are one, so a missing one is a mistake here. */
export function element<T extends Element>(id: string, type: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page has no ${type.name} #${id}`);
  return found;
}

/** Shows or hides an element, for the eye and for a screen reader. */
export function show(target: HTMLElement, visible: boolean): void {
  target.hidden = !visible;
}

/** A new element with this text, and of this class. */
export function made<Name extends keyof HTMLElementTagNameMap>(tag: Name, text = "", className = ""): HTMLElementTagNameMap[Name] {
  const element = document.createElement(tag);
  element.textContent = text;
  if (className) element.className = className;
  return element;
}
