// Scrolls once to the element that the script names. Streamlit keeps the scroll position when a script switches pages,
// so a new page would start in the middle; and on a phone, what a press changes may be above or below the screen. There
// the menu of pages covers the page that was chosen in it, and Streamlit leaves it open.

const NARROW = matchMedia("(max-width: 640px)"); // where columns are stacked
const COVERED = matchMedia("(max-width: 768px)"); // where the menu lies over the page
const MENU = '[data-testid="stSidebar"]:not([data-collapsed="true"]) [data-testid="stSidebarCollapseButton"] button';

let lastPage = null;
let lastScroll = null; // the number of the last request; it outlives this element, as every page has its own

/** Whether all of it is on the screen. */
function isSeen(element) {
  const { top, bottom } = element.getBoundingClientRect();
  return top >= 0 && bottom <= innerHeight;
}

export default function ({ data: { page, to, number, isArrival } }) {
  if (COVERED.matches && lastPage !== page) document.querySelector(MENU)?.click();
  lastPage = page;
  if (!to || lastScroll === number) return;
  lastScroll = number;
  const element = document.querySelector(to);
  if (!element || (!isArrival && (!NARROW.matches || isSeen(element)))) return;
  element.scrollIntoView({ block: isArrival ? "start" : "center" });
  if (!isArrival) return;
  element.tabIndex = -1; // the focused element may be gone, and screen readers should read the new one
  element.focus({ preventScroll: true });
}
