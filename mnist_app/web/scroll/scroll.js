// Scrolls once to the element that the script names. Streamlit keeps the scroll position when a script switches pages,
// so a new page would start in the middle; and on a phone, what a press changes may be above or below the screen.

const NARROW = matchMedia("(max-width: 640px)"); // where columns are stacked

let lastScroll = null; // the number of the last request; it outlives this element, as every page has its own

/** Whether all of it is on the screen. */
function isSeen(element) {
  const { top, bottom } = element.getBoundingClientRect();
  return top >= 0 && bottom <= innerHeight;
}

export default function ({ data: { to, number, isArrival } }) {
  if (!to || lastScroll === number) return;
  lastScroll = number;
  const element = document.querySelector(to);
  if (!element || (!isArrival && (!NARROW.matches || isSeen(element)))) return;
  element.scrollIntoView({ block: isArrival ? "start" : "center" });
  if (!isArrival) return;
  element.tabIndex = -1; // the focused element may be gone, and screen readers should read the new one
  element.focus({ preventScroll: true });
}
