// Keeps the visitor's secret, ink and stop of the tour across a reload. Also reloads a page that loaded only in part.

const KEPT = "draw-a-digit"; // key in sessionStorage, which is gone when the tab is closed
const MENDED = "draw-a-digit-mended"; // key of the time when mend() last reloaded a page
const SELDOM = 60_000; // ms between two such reloads: they do not help if something is missing for longer
const ASK_EVERY = 1000; // ms

/** Streamlit shows an error for a part of its page that did not load without a network, and never retries. */
async function mend() {
  const since = Date.now() - Number(sessionStorage.getItem(MENDED));
  if (since < SELDOM) return;
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.statusText);
    sessionStorage.setItem(MENDED, Date.now());
    location.reload();
  } catch {
    setTimeout(mend, ASK_EVERY); // reloading without a network would lose the page
  }
}

window.addEventListener("vite:preloadError", mend);

/** Keep what the script knows, or give it back once to a script that knows nothing yet. */
export default function ({ data: { ink, secret, tour, isUntouched }, setTriggerValue }) {
  try {
    const kept = sessionStorage.getItem(KEPT);
    if (!isUntouched) sessionStorage.setItem(KEPT, JSON.stringify({ ink, secret, tour }));
    else if (kept) setTriggerValue("kept", JSON.parse(kept));
  } catch {
    // The browser stores nothing, or has no room left: then a reload starts with a blank pad.
  }
}
