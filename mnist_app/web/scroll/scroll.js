// Scrolls once to the element that the script names. Streamlit keeps the scroll position when a script switches pages,
// so a new page would start in the middle; and on a phone, what a press changes may be above or below the screen.
// Also closes the menu of pages where it covers the page that was chosen in it: Streamlit leaves it open.

const NARROW = matchMedia("(max-width: 640px)"); // where columns are stacked
const COVERED = matchMedia("(max-width: 768px)"); // where the menu lies over the page

let lastScroll = null; // the number of the last request; it outlives this element, as every page has its own

/** Whether all of it is on the screen. */
function isSeen(element) {
  const { top, bottom } = element.getBoundingClientRect();
  return top >= 0 && bottom <= innerHeight;
}

/** Close the menu of pages once one is chosen, and give the focus back to the button that opened it. */
function closeMenu({ target }) {
  if (!COVERED.matches || !target.closest?.('[data-testid="stSidebarNavLink"]')) return;
  setTimeout(() => document.querySelector('[data-testid="stSidebarCollapseButton"] button')?.click()); // after Streamlit
  setTimeout(() => document.querySelector('[data-testid="stExpandSidebarButton"]')?.focus(), 100); // it comes back
}

document.addEventListener("click", closeMenu);

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
