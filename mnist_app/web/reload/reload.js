// Keeps over a reload who the visitor is, what they drew and where in the tour they are.

const KEPT = "draw-a-digit"; // the name of it in the tab's own memory, which is gone when the tab is closed

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
