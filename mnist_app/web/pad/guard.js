// Looks after the canvas beside it: hides its toolbar, names it for screen readers, lets one finger draw at a time, holds
// Undo and Clear back until the script has dealt with what was before, and strokes until the canvas that comes of those is
// here, hands pasted pictures to the uploader, tells the script of a canvas that has lost its ink.

// Its own styles come a round trip later: until then the canvas would lie below the pad, and ink beside the pen.
const STYLES = `
  .dc-toolbar { display: none !important; }
  .dc-container { position: relative; }
  .dc-background-canvas, .dc-canvas { position: absolute; top: 0; left: 0; }
  canvas { touch-action: none; }
`;
const PATIENCE = 8000; // ms after which the canvas or the script will not speak any more
const LOOK_EVERY = 20; // ms
const TELL_EVERY = 1000; // ms

let retry = 0;
let finger = null; // identifier of the touch that draws
let pen = null; // {id, type, canvas} of the pointer that draws
let watcher = null;
let strokes = 0; // on the canvas, as far as seen here
let known = { version: null, canvas: null, strokes: 0, canUndo: false }; // to the script
let followed = null; // version of the ink that live_ink.js follows
let underWay = null; // "undo" or "clear": pressed, and the script has not said yet what comes of it
let since = -Infinity; // the pen was lifted, or a button pressed
let waiting = []; // what is still to be done, first to last: names of buttons to press, events of strokes to draw
let held = null; // {id, type, events} of the pointer that draws a stroke which waits, or did when it was begun
let look = 0;
let isReplayed = false;
let tended = { canvas: null, name: null }; // what was seen last
let tell = () => {}; // the script
let telling = 0; // of ink that is lost

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
  watcher?.observe(root, { childList: true, subtree: true }); // whose inside nobody sees from outside
  if (canvas === tended.canvas) return;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "Drawing pad: draw a digit with mouse, pen or finger, or upload a picture of one below");
  if (!root.querySelector("style.pad-guard")) {
    const style = document.createElement("style");
    style.className = "pad-guard";
    style.textContent = STYLES;
    root.append(style);
  }
  const name = root.host.closest("[class*='st-key-pad-']")?.className.match(/st-key-(pad-\d+)/)[1];
  // When runs cut each other off the page may mount a canvas anew, with the ink that it began with.
  if (name === tended.name) tellOfLoss(name);
  tended = { canvas, name };
}

/** Until the script has a new canvas for the ink: where runs cut each other off it does not hear everything. */
function tellOfLoss(name) {
  clearTimeout(telling);
  tell("remounted", name);
  telling = setTimeout(tellOfLoss, TELL_EVERY, name);
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
  if (drawing && !held && event.type === type && event.touches.length === touches.length) return;
  event.stopImmediatePropagation();
  if (event.cancelable) event.preventDefault();
  if (!drawing || held) return; // which the canvas hears of as a mouse's
  const alone = { touches, targetTouches: touches, changedTouches: [drawing] };
  canvas.dispatchEvent(new TouchEvent(type, { bubbles: true, cancelable: true, composed: true, ...alone }));
}

/**
 * A stroke that begins while a press is to be answered, or where no canvas is for a moment, waits for the canvas that is to
 * come. To that it is a mouse's, whatever draws: a finger that was put on a canvas which is gone is heard of by its pointer
 * alone.
 */
function holdStroke(event) {
  if (!event.isTrusted) return;
  if (event.type === "pointerdown") {
    if (!event.target.closest?.(".st-key-pad") || event.button > 0) return;
    if (!held && waiting.length === 0 && !isAwaited() && canvasInPlace()) return;
    event.stopImmediatePropagation();
    event.preventDefault(); // or events of a mouse come of it
    const drawing = held ?? (pen?.canvas.isConnected ? pen : null);
    if (drawing && !(event.isPrimary && event.pointerType === drawing.type)) return; // a finger or a palm beside it
    held = { id: event.pointerId, type: event.pointerType, events: [event] };
    const canvas = canvasUnder(event);
    if (canvas) canvas.style.cursor = "progress";
    wait(held.events);
    return;
  }
  if (event.pointerId !== held?.id) return;
  if (waiting.includes(held.events)) {
    event.stopImmediatePropagation();
    held.events.push(event);
  } else {
    document.dispatchEvent(asOfMouse(event));
  }
  if (event.type !== "pointermove") held = null;
}

/** The canvas that the script speaks of, once it lies where it is to be. */
function canvasInPlace() {
  return tended.name === known.canvas && tended.canvas?.isConnected ? tended.canvas : null;
}

/** Whether the canvas that was waited for has the stroke now. It shows its ink by then: to load that takes no task. */
function drawn(events) {
  const canvas = canvasInPlace();
  const isTooEarly = underWay || followed !== known.version; // live_ink.js would drop the stroke with the old ink
  if (!canvas || (isTooEarly && performance.now() < since + PATIENCE)) return false;
  for (const event of events) {
    const again = new PointerEvent(event.type, event);
    Object.defineProperty(again, "timeStamp", { value: event.timeStamp }); // live_ink.js asks when it was written
    canvas.dispatchEvent(again);
    canvas.dispatchEvent(asOfMouse(event));
  }
  return true;
}

function asOfMouse({ type, buttons, clientX, clientY, shiftKey }) {
  const name = type === "pointerdown" ? "mousedown" : buttons & 1 ? "mousemove" : "mouseup"; // which other buttons put off
  return new MouseEvent(name, { buttons, clientX, clientY, shiftKey, bubbles: true, cancelable: true, composed: true });
}

function penDown(event) {
  const canvas = canvasUnder(event);
  if (!canvas || event.button > 0 || (pen && !event.isPrimary)) return;
  pen = { id: event.pointerId, type: event.pointerType, canvas };
}

/** The canvas takes whatever button is lifted for the one that draws, which it then does not hear any more. */
function onlyThatDraws(event) {
  if (event.button > 0 && (pen || canvasUnder(event))) event.stopImmediatePropagation();
}

/** Over a disabled button the canvas would not hear that the pen was lifted, and go on drawing. */
function penUp(event) {
  if (event.pointerId !== pen?.id) return;
  if (event.target.closest?.(":disabled")) document.dispatchEvent(new MouseEvent("mouseup", event));
  const { canvas } = pen;
  pen = null;
  if (!canvas.isConnected) return; // the stroke has gone with it
  if (!isBehind()) [underWay, strokes] = [null, known.strokes]; // what has not come by now never will
  strokes += 1;
  since = performance.now();
}

/**
 * Whether there are strokes and presses that the script has not heard of, and still may. Until then Undo would take back
 * the stroke before the last, and lose both, and Clear would lose the last; two Undos that reach the script at once are
 * one to it.
 */
function isBehind() {
  if (pen?.canvas.isConnected) return true;
  return isAwaited() || (known.strokes < strokes && performance.now() < since + PATIENCE);
}

/** Whether the canvas that comes of a press may still come. */
function isAwaited() {
  return underWay && performance.now() < since + PATIENCE;
}

/** What the script knows of the canvas, which is a new one when it says so. */
function hear(said) {
  if (said.version !== known.version) {
    clearTimeout(telling);
    underWay = null;
    strokes = said.strokes;
    tended = { canvas: null, name: null }; // names come again
  }
  strokes = Math.max(strokes, said.strokes);
  known = said;
}

function buttonOf(name) {
  return document.querySelector(`.st-key-${name} button`);
}

/** Whether there is anything for it to do, which a button may show later than this is heard. */
function isOfUse(name) {
  return name === "undo" ? known.canUndo : known.strokes > 0;
}

/**
 * Which button this presses, itself or by its shortcut. A disabled one, as before the script knows of the first stroke,
 * is not clicked but hears the pointer, which may be a pen that comes from the canvas.
 */
function pressedBy(event) {
  if (event.type === "keydown") return shortcutOf(event);
  const name = ["undo", "clear"].find((name) => buttonOf(name)?.contains(event.target));
  const isOfPointer = event.button === 0 && event.pointerId !== pen?.id && buttonOf(name)?.disabled;
  return event.type === "click" || isOfPointer ? name : undefined;
}

/** As Streamlit hears them: where no Latin letter is written, the place of the key counts. */
function shortcutOf(event) {
  if (event.shiftKey || event.altKey || event.target.matches("input[type=text], textarea")) return undefined;
  const letter = /^[a-z]$/i.test(event.key) ? event.key.toLowerCase() : event.code;
  if (event.ctrlKey || event.metaKey) return ["z", "KeyZ"].includes(letter) ? "undo" : undefined;
  return event.key === "Delete" && !event.target.matches("input, select") ? "clear" : undefined;
}

/** Take a press, to be answered in its turn. Clear drops the Undos before it: what they take back it would bring again. */
function holdPress(event) {
  const name = isReplayed ? undefined : pressedBy(event);
  while (name === "clear" && typeof waiting.at(-1) === "string") waiting.pop();
  if (!name || (waiting.length === 0 && !isBehind() && !isOfUse(name))) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (name === "clear" && waiting.length === 0 && underWay === "clear" && isAwaited()) return; // pressed twice
  wait(name);
}

function wait(what) {
  if (waiting.push(what) > 1) return; // or who goes on drawing would put off for ever when the first is given up
  clearTimeout(look);
  look = setTimeout(release); // not within a click: another of the same button would be ignored
}

/** Do what waits, each when the script has dealt with all that was before it. */
function release(until = performance.now() + PATIENCE) {
  const [next] = waiting;
  if (!next) return; // dropped meanwhile
  if (typeof next === "string" ? pressed(next) : drawn(next)) {
    waiting.shift();
    until = performance.now() + PATIENCE;
  } else if (performance.now() > until) {
    waiting = waiting.filter((what) => typeof what !== "string" && document.querySelector(".st-key-pad"));
  }
  if (waiting.length > 0) look = setTimeout(() => release(until), LOOK_EVERY);
}

/** Whether the button is pressed now, or there is nothing for it to do. */
function pressed(name) {
  if (isBehind()) return false;
  if (!isOfUse(name)) return true;
  const button = buttonOf(name);
  if (!button || button.disabled) return false;
  underWay = name;
  since = performance.now();
  press(button);
  return true;
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
  ...["pointerdown", "pointermove", "pointerup", "pointercancel"].map((name) => [name, holdStroke]), // before all others
  ...["touchstart", "touchmove", "touchend", "touchcancel"].map((name) => [name, oneFinger]),
  ["mousedown", onlyThatDraws],
  ["mouseup", onlyThatDraws],
  ["pointerdown", penDown],
  ["pointerup", holdPress], // before the pen is known to be up
  ["pointerup", penUp],
  ["pointercancel", penUp],
  ["click", holdPress],
  ["keydown", holdPress],
];

document.addEventListener("ink-followed", ({ detail }) => (followed = detail)); // even while this is mounted anew

export default function ({ data, setTriggerValue }) {
  tell = setTriggerValue;
  hear(data);
  watcher?.disconnect(); // the one of the last time: Streamlit calls back only at the very end
  watcher = new MutationObserver(tend);
  tend();
  watcher.observe(document.querySelector(".st-key-pad"), { childList: true, subtree: true });
  for (const [name, listener] of LISTENERS) window.addEventListener(name, listener, { capture: true, passive: false });
  document.addEventListener("paste", paste);
  return () => {
    waiting = waiting.filter((what) => what !== held?.events); // a stroke whose end nobody will hear of
    held = null;
    clearTimeout(telling);
    cancelAnimationFrame(retry);
    watcher.disconnect();
    for (const [name, listener] of LISTENERS) window.removeEventListener(name, listener, true);
    document.removeEventListener("paste", paste);
  };
}
