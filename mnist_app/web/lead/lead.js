// Scrolls once to what the script leads to. Streamlit keeps the place when a script goes to another page, so that one
// would begin in the middle of it; and on a phone what a press changes lies above or below the screen.

const NARROW = matchMedia("(max-width: 640px)"); // where columns lie one above the other

let led = null; // the number of what was led to last: outlives this element, which every page has its own of

/** Whether all of it, or as much as there is room for, is on the screen. */
function isSeen(element) {
  const { top, bottom } = element.getBoundingClientRect();
  return top >= 0 && bottom <= innerHeight;
}

export default function ({ data: { to, number, isArrival } }) {
  if (!to || led === number) return;
  led = number;
  const element = document.querySelector(to);
  if (!element || (!isArrival && (!NARROW.matches || isSeen(element)))) return;
  element.scrollIntoView({ block: isArrival ? "start" : "center" });
  if (!isArrival) return;
  element.tabIndex = -1; // what had the focus may be gone, and who listens hears what is new
  element.focus({ preventScroll: true });
}
