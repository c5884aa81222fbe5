// Shows the script's HTML. A press on one of its [data-pick] buttons sends that button's value to the script. The
// buttons are a single stop for the Tab key, and the arrow keys move between them by their place on the screen.

const shown = new WeakMap(); // what each element last showed

function buttons(root) {
  return [...root.querySelectorAll("[data-pick]:not(:disabled)")];
}

/** The next button above (`sign` -1) or below (1): in the nearest row, the one with the closest x. */
function vertical(items, from, sign) {
  const centre = (item) => {
    const box = item.getBoundingClientRect();
    return { item, x: box.left + box.width / 2, y: box.top + box.height / 2, height: box.height };
  };
  const here = centre(from);
  const beyond = items.map(centre).filter((place) => sign * (place.y - here.y) > here.height / 2);
  const distance = (place) => Math.abs(place.y - here.y) * 10 + Math.abs(place.x - here.x);
  return beyond.sort((a, b) => distance(a) - distance(b))[0]?.item;
}

/** The button that a key leads to from another one; undefined if it leads nowhere. */
export function destination(items, from, key) {
  const at = items.indexOf(from);
  switch (key) {
    case "ArrowRight":
      return items[at + 1];
    case "ArrowLeft":
      return items[at - 1];
    case "ArrowDown":
      return vertical(items, from, 1);
    case "ArrowUp":
      return vertical(items, from, -1);
    case "Home":
      return items[0];
    case "End":
      return items.at(-1);
  }
}

function makeOnlyStop(items, chosen) {
  for (const item of items) item.tabIndex = item === chosen ? 0 : -1;
}

/** Put the HTML in place, and the keyboard's focus back on the button that had it. */
function show(root, html) {
  if (shown.get(root) === html) return;
  const focused = root.contains(document.activeElement) ? document.activeElement.dataset.pick : null;
  root.innerHTML = html;
  shown.set(root, html);
  const items = buttons(root);
  const current = root.querySelector("[aria-current=true]:not(:disabled)");
  const kept = items.find((item) => item.dataset.pick === focused);
  makeOnlyStop(items, current ?? kept ?? items[0]);
  if (focused !== null) (current ?? kept ?? items[0])?.focus({ preventScroll: true });
}

export default function ({ parentElement, data, setTriggerValue }) {
  const root = parentElement.querySelector(".picks");
  show(root, data.html);
  const status = parentElement.querySelector(".spoken");
  if (status.textContent !== data.said) status.textContent = data.said;

  // Properties, so that only the last handler stays: this runs at each change, but a cleanup would run only at the end.
  root.onclick = (event) => {
    const button = event.target.closest("[data-pick]");
    if (!button || button.disabled) return;
    setTriggerValue("pick", button.dataset.pick);
  };

  root.onkeydown = (event) => {
    const from = event.target.closest("[data-pick]");
    if (!from || event.ctrlKey || event.metaKey || event.altKey) return;
    const isStep = event.key === "ArrowLeft" || event.key === "ArrowRight";
    if (isStep && data.stepsFor && document.querySelector(data.stepsFor)) return;
    const items = buttons(root);
    const to = destination(items, from, event.key);
    if (!to) return;
    event.preventDefault();
    event.stopPropagation();
    makeOnlyStop(items, to);
    to.focus();
  };
}
