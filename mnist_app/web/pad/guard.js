// Looks after the canvas beside it: hides its toolbar, names it for screen readers, holds Undo back until the canvas
// has told the script of the last stroke, hands pasted pictures to the uploader, and keeps the ink over a reload.

const HIDE_TOOLBAR = ".dc-toolbar { display: none !important; } canvas { touch-action: none; }";
const CANVAS_SPEAKS_AFTER = 300; // ms: 200 after pen-up by its own clock, and some for the way
const TRIES = 20;
const RETRY_EVERY = 50; // ms
const KEPT = "draw-a-digit"; // the ink's name in the tab's own memory, which is gone when the tab is closed

let penUpAt = -Infinity;
let retry = 0;
let held = 0; // presses of Undo that wait
let isReplayed = false;

function canvasRoot() {
  for (const host of document.querySelectorAll(".st-key-pad *")) {
    if (host.shadowRoot?.querySelector(".dc-root")) return host.shadowRoot;
  }
  return null;
}

/** The canvas is mounted later than this element, and again under a new key; its shadow root fills later still. */
function tend() {
  cancelAnimationFrame(retry);
  const root = canvasRoot();
  const canvas = root?.querySelector("canvas.upper-canvas");
  if (!canvas) {
    retry = requestAnimationFrame(tend);
    return;
  }
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "Drawing pad: draw a digit with mouse, pen or finger");
  if (root.querySelector("style.pad-guard")) return;
  const style = document.createElement("style");
  style.className = "pad-guard";
  style.textContent = HIDE_TOOLBAR;
  root.append(style);
}

function notePenUp(event) {
  if (event.composedPath().some((node) => node.classList?.contains("upper-canvas"))) penUpAt = performance.now();
}

/** An Undo that comes before the canvas has spoken would take back the stroke before the last, and lose both. */
function holdUndo(event) {
  if (isReplayed) return;
  const button = document.querySelector(".st-key-undo button");
  const isUndo =
    event.type === "click"
      ? button?.contains(event.target)
      : event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey) && !event.shiftKey;
  if (!isUndo || (held === 0 && performance.now() > penUpAt + CANVAS_SPEAKS_AFTER)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  held += 1;
  if (held === 1) setTimeout(release, penUpAt + CANVAS_SPEAKS_AFTER - performance.now());
}

/** Press Undo once for each time it was held back, each when the one before has been dealt with. */
function release(tries = TRIES) {
  const button = document.querySelector(".st-key-undo button");
  const isReady = button && !button.disabled; // it is not while the script has yet to hear of the first stroke
  if (isReady) {
    press(button);
    held -= 1;
  }
  if (!isReady && tries === 0) held = 0;
  if (held > 0) setTimeout(() => release(isReady ? TRIES : tries - 1), isReady ? CANVAS_SPEAKS_AFTER : RETRY_EVERY);
}

function press(button) {
  isReplayed = true;
  button.click();
  isReplayed = false;
}

function paste(event) {
  const picture = [...(event.clipboardData?.files ?? [])].find((file) => file.type.startsWith("image/"));
  const uploader = document.querySelector(".st-key-upload input[type=file]");
  if (!picture || !uploader) return;
  event.preventDefault();
  const files = new DataTransfer();
  files.items.add(picture);
  uploader.files = files.files;
  uploader.dispatchEvent(new Event("change", { bubbles: true }));
}

/** Keep what the script knows of the ink; give it back once to a script that knows of none. */
function keep({ ink, isUntouched }, giveBack) {
  try {
    const kept = sessionStorage.getItem(KEPT);
    if (isUntouched && kept) giveBack(JSON.parse(kept));
    else if (ink) sessionStorage.setItem(KEPT, JSON.stringify(ink));
    else sessionStorage.removeItem(KEPT);
  } catch {
    // A browser that keeps nothing, or has no more room: then a reload starts with a blank pad.
  }
}

export default function ({ data, setTriggerValue }) {
  tend();
  keep(data, (ink) => setTriggerValue("kept", ink));
  const watcher = new MutationObserver(tend);
  watcher.observe(document.querySelector(".st-key-pad"), { childList: true, subtree: true });
  window.addEventListener("pointerup", notePenUp, true);
  window.addEventListener("click", holdUndo, true);
  window.addEventListener("keydown", holdUndo, true);
  document.addEventListener("paste", paste);
  return () => {
    cancelAnimationFrame(retry);
    watcher.disconnect();
    window.removeEventListener("pointerup", notePenUp, true);
    window.removeEventListener("click", holdUndo, true);
    window.removeEventListener("keydown", holdUndo, true);
    document.removeEventListener("paste", paste);
  };
}
