// Keeps over a reload who the visitor is, what they drew and where in the tour they are. Reloads a page that has a hole.

const KEPT = "draw-a-digit"; // the name of it in the tab's own memory, which is gone when the tab is closed
const MENDED = "draw-a-digit-mended"; // and of when a page was last reloaded here
const SELDOM = 60_000; // ms between two such reloads: what is missing for longer does not come by that
const ASK_EVERY = 1000; // ms

/** A part of Streamlit's page that did not come for want of a network is an error in red: it is not asked for again. */
async function mend() {
  const since = Date.now() - Number(sessionStorage.getItem(MENDED));
  if (since < SELDOM) return;
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.statusText);
    sessionStorage.setItem(MENDED, Date.now());
    location.reload();
  } catch {
    setTimeout(mend, ASK_EVERY); // a page that is reloaded without a network is gone
  }
}

window.addEventListener("vite:preloadError", mend);

/** Keep what the script knows; give it back once to a script that knows of nothing yet. */
export default function ({ data: { ink, secret, tour, isUntouched }, setTriggerValue }) {
  try {
    const kept = sessionStorage.getItem(KEPT);
    if (!isUntouched) sessionStorage.setItem(KEPT, JSON.stringify({ ink, secret, tour }));
    else if (kept) setTriggerValue("kept", JSON.parse(kept));
  } catch {
    // A browser that keeps nothing, or has no more room: then a reload starts with a blank pad.
  }
}
