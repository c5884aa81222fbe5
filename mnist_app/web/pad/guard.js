// Looks after the canvas beside it: hides its toolbar, names it for screen readers, lets one finger draw at a time, holds
// Undo back until the script knows of the last stroke, hands pasted pictures to the uploader.

const HIDE_TOOLBAR = ".dc-toolbar { display: none !important; } canvas { touch-action: none; }";
const PATIENCE = 8000; // ms that Undo waits: then the canvas will not speak any more
const LOOK_EVERY = 50; // ms

let retry = 0;
let finger = null; // identifier of the touch that draws
let pen = null; // id of the pointer that draws
let strokes = 0; // on the canvas, as far as seen here
let known = { version: null, strokes: 0 }; // to the script
let isUndoing = false; // pressed, and the canvas that comes of it is not here yet
let since = -Infinity; // the pen was lifted, or Undo pressed
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

function canvasUnder(event) {
  return event.composedPath().find((node) => node.classList?.contains("upper-canvas"));
}

/** The canvas takes fingers for each other and waits for all of them to be lifted: it is shown only the one that draws. */
function oneFinger(event) {
  const canvas = canvasUnder(event);
  if (!canvas || !event.isTrusted) return;
  const isDown = ({ identifier }) => identifier === finger;
  if (event.type === "touchstart" && ![...event.touches].some(isDown)) finger = event.changedTouches[0].identifier;
  const drawing = [...event.changedTouches].find(isDown);
  const type = event.type === "touchcancel" ? "touchend" : event.type;
  const touches = type === "touchend" || !drawing ? [] : [drawing];
  if (drawing && event.type === type && event.touches.length === touches.length) return;
  event.stopImmediatePropagation();
  if (event.cancelable) event.preventDefault();
  if (!drawing) return;
  const alone = { touches, targetTouches: touches, changedTouches: [drawing] };
  canvas.dispatchEvent(new TouchEvent(type, { bubbles: true, cancelable: true, composed: true, ...alone }));
}

/** An Undo that still waits is dropped: it would take the canvas away from under the pen, or the wrong stroke. */
function penDown(event) {
  if (!canvasUnder(event) || event.button > 0 || (pen !== null && !event.isPrimary)) return;
  pen = event.pointerId;
  held = 0;
}

function penUp(event) {
  if (event.pointerId !== pen) return;
  pen = null;
  strokes += 1;
  since = performance.now();
}

/** Until the script knows of all strokes, Undo would take back the one before the last, and lose both. */
function isBehind() {
  return (isUndoing || known.strokes < strokes) && performance.now() < since + PATIENCE;
}

/** What the script knows of the canvas, which is a new one when it says so. */
function hear({ version, strokes: heard }) {
  if (version !== known.version) {
    isUndoing = false;
    strokes = heard;
  }
  strokes = Math.max(strokes, heard);
  known = { version, strokes: heard };
}

function holdUndo(event) {
  if (isReplayed || event.target.matches("input[type=text], textarea")) return;
  const button = document.querySelector(".st-key-undo button");
  const isUndo =
    event.type === "click"
      ? button?.contains(event.target)
      : event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey) && !event.shiftKey;
  if (!isUndo || (held === 0 && !isBehind() && button?.disabled)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  held += 1;
  if (held === 1) setTimeout(release); // not within a click: another of the same button would be ignored
}

/** Undos that still wait are dropped by Clear, too: the first would bring back what was cleared. */
function dropUndos(event) {
  const isClear =
    event.type === "click"
      ? document.querySelector(".st-key-clear button")?.contains(event.target)
      : event.key === "Delete";
  if (isClear) held = 0;
}

/** Press Undo once for each time it was held back, each when the script has dealt with all that was before it. */
function release(until = performance.now() + PATIENCE) {
  if (held === 0) return; // dropped meanwhile
  const button = document.querySelector(".st-key-undo button");
  if (!isBehind() && button && !button.disabled) {
    held -= 1;
    isUndoing = true;
    since = performance.now();
    until = since + PATIENCE;
    press(button);
  }
  if (performance.now() > until) held = 0; // nothing is left to be undone
  if (held > 0) setTimeout(() => release(until), LOOK_EVERY);
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

const LISTENERS = [
  ...["touchstart", "touchmove", "touchend", "touchcancel"].map((name) => [name, oneFinger]),
  ["pointerdown", penDown],
  ["pointerup", penUp],
  ["pointercancel", penUp],
  ["click", holdUndo],
  ["keydown", holdUndo],
  ["click", dropUndos],
  ["keydown", dropUndos],
];

export default function ({ data }) {
  tend();
  hear(data);
  const watcher = new MutationObserver(tend);
  watcher.observe(document.querySelector(".st-key-pad"), { childList: true, subtree: true });
  for (const [name, listener] of LISTENERS) window.addEventListener(name, listener, { capture: true, passive: false });
  document.addEventListener("paste", paste);
  return () => {
    cancelAnimationFrame(retry);
    watcher.disconnect();
    for (const [name, listener] of LISTENERS) window.removeEventListener(name, listener, true);
    document.removeEventListener("paste", paste);
  };
}
