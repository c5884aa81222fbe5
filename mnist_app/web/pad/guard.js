// Looks after the canvas beside it. Hides its toolbar, names it for screen readers, lets the keyboard come to it, and
// lets one finger draw at a time. Holds Undo, Clear and links until the script has handled what came before them, and
// strokes until the canvas that follows Undo or Clear is there. Passes pasted pictures to the uploader, and tells the
// script if a canvas has lost its ink.

// The canvas's own styles arrive a round trip later: until then it would lie below the pad, and ink beside the pen.
const STYLES = `
  .dc-toolbar { display: none !important; }
  .dc-container { position: relative; }
  .dc-background-canvas, .dc-canvas { position: absolute; top: 0; left: 0; }
  canvas { touch-action: none; }
`;
const NAME = "Drawing pad: draw a digit with mouse, pen, finger or keyboard, or upload a picture of one below";
const KEYS =
  "Arrow keys move the pen, two at once diagonally, with Shift in small steps. Space puts it down and lifts it.";
const PATIENCE = 8000; // ms after which no word from the canvas or the script is expected
const LINK_PATIENCE = 1500; // ms after pen-up or a press for which a link waits
const LOOK_EVERY = 20; // ms
const TELL_EVERY = 1000; // ms

let retry = 0;
let finger = null; // identifier of the touch that draws
let pen = null; // {id, type, canvas} of the pointer that draws
let watcher = null;
let strokes = 0; // how many are on the canvas, as far as seen here
let known = { version: null, canvas: null, strokes: 0, canUndo: false }; // what the script knows
let followed = null; // version of the ink that live_ink.js follows
let pendingPress = null; // "undo" or "clear": pressed, but the script has not reported the result yet
let since = -Infinity; // when the pen was lifted or a button pressed
let waiting = []; // what is still to be done, in order: names of buttons to press, events of strokes, links to follow
let held = null; // {id, type, events} of the pointer whose stroke waits, or waited when it began
let look = 0;
let isReplayed = false; // what is dispatched now has waited
let lastSeen = { canvas: null, name: null }; // the canvas seen last
let tell = () => {}; // sends to the script
let telling = 0; // timer that reports lost ink again

function canvasRoot() {
  for (const host of document.querySelectorAll(".st-key-pad *")) {
    if (host.shadowRoot?.querySelector(".dc-root")) return host.shadowRoot;
  }
  return null;
}

/** Find the canvas: it is mounted after this element, and again under a new key; its shadow root fills even later. */
function findCanvas() {
  cancelAnimationFrame(retry);
  const root = canvasRoot();
  const canvas = root?.querySelector("canvas.upper-canvas");
  if (!canvas) {
    retry = requestAnimationFrame(findCanvas);
    return;
  }
  watcher?.observe(root, { childList: true, subtree: true }); // an observer outside a shadow root does not see into it
  if (canvas === lastSeen.canvas) return;
  canvas.tabIndex = 0; // keys.js draws with the keyboard
  canvas.setAttribute("role", "application"); // so that screen readers pass on the arrow keys
  canvas.setAttribute("aria-label", NAME);
  canvas.setAttribute("aria-description", KEYS);
  if (!root.querySelector("style.pad-guard")) {
    const style = document.createElement("style");
    style.className = "pad-guard";
    style.textContent = STYLES;
    root.append(style);
  }
  const name = root.host.closest("[class*='st-key-pad-']")?.className.match(/st-key-(pad-\d+)/)[1];
  // When script runs interrupt each other, a canvas may be remounted with the ink that it began with.
  if (name === lastSeen.name) tellOfLoss(name);
  lastSeen = { canvas, name };
  document.dispatchEvent(new CustomEvent("canvas-found", { detail: canvas }));
}

/** Repeat until the script has made a new canvas for the ink: runs that are interrupted may miss a message. */
function tellOfLoss(name) {
  clearTimeout(telling);
  tell("remounted", name);
  telling = setTimeout(tellOfLoss, TELL_EVERY, name);
}

function canvasUnder(event) {
  return event.composedPath().find((node) => node.classList?.contains("upper-canvas"));
}

/** Show the canvas only the finger that draws: it mixes up fingers, and waits until all of them are lifted. */
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
  if (!drawing || held) return; // a held stroke reaches the canvas as mouse events
  const alone = { touches, targetTouches: touches, changedTouches: [drawing] };
  canvas.dispatchEvent(new TouchEvent(type, { bubbles: true, cancelable: true, composed: true, ...alone }));
}

/**
 * Hold a stroke that begins while a press is unanswered, or while there is no canvas, until the next canvas is there.
 * That canvas gets mouse events, whatever draws: a finger that was put on a canvas now gone only sends pointer events.
 */
function holdStroke(event) {
  if (isReplayed) return;
  if (event.type === "pointerdown") {
    if (event.isTrusted) document.dispatchEvent(new Event("other-pen")); // no longer the keyboard's
    if (!event.target.closest?.(".st-key-pad") || event.button > 0) return;
    if (!held && waiting.length === 0 && !isAwaited() && canvasInPlace()) return;
    event.stopImmediatePropagation();
    event.preventDefault(); // or mouse events follow
    const drawing = held ?? (pen?.canvas.isConnected ? pen : null);
    if (drawing && !(event.isPrimary && event.pointerType === drawing.type)) return; // another finger or a palm
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

/** The canvas that the script speaks of, or null until it is in the page. */
function canvasInPlace() {
  return lastSeen.name === known.canvas && lastSeen.canvas?.isConnected ? lastSeen.canvas : null;
}

/** Draw a held stroke once its canvas is there, already with its ink: loading takes no task. Returns whether it did. */
function drawn(events) {
  const canvas = canvasInPlace();
  const isTooEarly = pendingPress || followed !== known.version; // live_ink.js would drop the stroke with the old ink
  if (!canvas || (isTooEarly && performance.now() < since + PATIENCE)) return false;
  isReplayed = true;
  for (const event of events) {
    const again = new PointerEvent(event.type, event);
    Object.defineProperty(again, "timeStamp", { value: event.timeStamp }); // live_ink.js notes when it was written
    canvas.dispatchEvent(again);
    canvas.dispatchEvent(asOfMouse(event));
  }
  isReplayed = false;
  return true;
}

/** Other buttons delay pointerup, so a move without the first button ends the stroke. */
function asOfMouse({ type, buttons, clientX, clientY, shiftKey }) {
  const name = type === "pointerdown" ? "mousedown" : buttons & 1 ? "mousemove" : "mouseup";
  return new MouseEvent(name, { buttons, clientX, clientY, shiftKey, bubbles: true, cancelable: true, composed: true });
}

function penDown(event) {
  const canvas = canvasUnder(event);
  if (!canvas || event.button > 0 || (pen && !event.isPrimary)) return;
  pen = { id: event.pointerId, type: event.pointerType, canvas };
}

/** The canvas takes the release of any mouse button for the end of the stroke, and then misses the real one. */
function onlyThatDraws(event) {
  if (event.button > 0 && (pen || canvasUnder(event))) event.stopImmediatePropagation();
}

/** If the pen is lifted over a disabled button, the canvas would not hear of it and go on drawing. */
function penUp(event) {
  if (event.pointerId !== pen?.id) return;
  if (event.target.closest?.(":disabled")) document.dispatchEvent(new MouseEvent("mouseup", event));
  const { canvas } = pen;
  pen = null;
  if (!canvas.isConnected) return; // the stroke has gone with it
  if (!isBehind()) [pendingPress, strokes] = [null, known.strokes]; // what has not come by now never will
  strokes += 1;
  since = performance.now();
}

/**
 * Whether there are strokes or presses that the script does not know of yet, but still may. Until it does, Undo would
 * take back the stroke before the last and lose both, and Clear would lose the last. The script takes two Undos that
 * arrive together for one.
 */
function isBehind() {
  if (pen?.canvas.isConnected) return true;
  return isAwaited() || (known.strokes < strokes && performance.now() < since + PATIENCE);
}

/** Whether ink is on its way that a page change would lose. Not for long: a double click counts here as two strokes. */
function isInkExpected() {
  return isBehind() && performance.now() < since + LINK_PATIENCE;
}

/** Whether the canvas that follows a press may still arrive. */
function isAwaited() {
  return pendingPress && performance.now() < since + PATIENCE;
}

/** Note what the script knows of the canvas; another version is a new canvas. */
function hear(said) {
  if (said.version !== known.version) {
    clearTimeout(telling);
    pendingPress = null;
    strokes = said.strokes;
    lastSeen = { canvas: null, name: null }; // names are reused
  }
  strokes = Math.max(strokes, said.strokes);
  known = said;
}

function buttonOf(name) {
  return document.querySelector(`.st-key-${name} button`);
}

/** Whether a button has anything to do; the button itself may show that later than it is known here. */
function hasEffect(name) {
  return name === "undo" ? known.canUndo : known.strokes > 0;
}

/**
 * Which button this presses, directly or by its shortcut. A disabled one, as before the script knows of the first
 * stroke, gets no click, only pointer events; those of a pen that comes from the canvas do not count.
 */
function pressedBy(event) {
  if (event.type === "keydown") return shortcutOf(event);
  const name = ["undo", "clear"].find((name) => buttonOf(name)?.contains(event.target));
  const isOfPointer = event.button === 0 && event.pointerId !== pen?.id && buttonOf(name)?.disabled;
  return event.type === "click" || isOfPointer ? name : undefined;
}

/** Which shortcut this is, by Streamlit's rules: if the key types no Latin letter, its position counts. */
function shortcutOf(event) {
  if (event.shiftKey || event.altKey || event.target.matches("input[type=text], textarea")) return undefined;
  const letter = /^[a-z]$/i.test(event.key) ? event.key.toLowerCase() : event.code;
  if (event.ctrlKey || event.metaKey) return ["z", "KeyZ"].includes(letter) ? "undo" : undefined;
  return event.key === "Delete" && !event.target.matches("input, select") ? "clear" : undefined;
}

/** Hold a press until its turn. Clear drops the Undos that wait before it, as it blanks the pad anyway. */
function holdPress(event) {
  const name = isReplayed ? undefined : pressedBy(event);
  if (name) document.dispatchEvent(new Event("lift-pen")); // the keyboard's, which nothing else would lift
  while (name === "clear" && typeof waiting.at(-1) === "string") waiting.pop();
  if (!name || (waiting.length === 0 && !isBehind() && !hasEffect(name))) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (name === "clear" && waiting.length === 0 && pendingPress === "clear" && isAwaited()) return; // pressed twice
  wait(name);
}

/** Hold a click on a page's link: the canvas reports a stroke late, and the report would be lost, or the click. */
function holdLink(event) {
  const link = event.target.closest?.("a[href]:not([target=_blank])");
  const isPlain = event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
  if (!link || !isPlain || isReplayed || !isInkExpected()) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  waiting = waiting.filter((what) => !(what instanceof Element)); // the last link counts
  wait(link);
}

function wait(what) {
  if (waiting.push(what) > 1) return; // each new item would restart the timer, and the first would never be given up
  clearTimeout(look);
  look = setTimeout(release); // not within a click, which would ignore another click on the same button
}

/** Do what waits, each once the script has handled everything before it. */
function release(until = performance.now() + PATIENCE) {
  const [next] = waiting;
  if (!next) return; // dropped meanwhile
  if (done(next)) {
    waiting.shift();
    until = performance.now() + PATIENCE;
  } else if (performance.now() > until) {
    waiting = waiting.filter((what) => typeof what !== "string" && document.querySelector(".st-key-pad"));
  }
  if (waiting.length > 0) look = setTimeout(() => release(until), LOOK_EVERY);
}

/** Do one of the things that wait. Returns whether it was possible. */
function done(next) {
  if (typeof next === "string") return pressed(next);
  return next instanceof Element ? visited(next) : drawn(next);
}

function visited(link) {
  if (isInkExpected()) return false;
  press(link);
  return true;
}

/** Press a button if that is possible now. Returns whether it was pressed or has nothing to do. */
function pressed(name) {
  if (isBehind()) return false;
  if (!hasEffect(name)) return true;
  const button = buttonOf(name);
  if (!button || button.disabled) return false;
  pendingPress = name;
  since = performance.now();
  press(button);
  return true;
}

function press(element) {
  isReplayed = true;
  element.click();
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
  ["click", holdLink],
  ["keydown", holdPress],
];

document.addEventListener("ink-followed", ({ detail }) => (followed = detail)); // even while this is being remounted

export default function ({ data, setTriggerValue }) {
  tell = setTriggerValue;
  hear(data);
  watcher?.disconnect(); // the previous one: Streamlit calls the cleanup only at the very end
  watcher = new MutationObserver(findCanvas);
  findCanvas();
  watcher.observe(document.querySelector(".st-key-pad"), { childList: true, subtree: true });
  for (const [name, listener] of LISTENERS) window.addEventListener(name, listener, { capture: true, passive: false });
  document.addEventListener("paste", paste);
  return () => {
    // Links lead away from a page that is left already, and the end of a held stroke will not be heard.
    waiting = waiting.filter((what) => what !== held?.events && !(what instanceof Element));
    held = null;
    clearTimeout(telling);
    cancelAnimationFrame(retry);
    watcher.disconnect();
    for (const [name, listener] of LISTENERS) window.removeEventListener(name, listener, true);
    document.removeEventListener("paste", paste);
  };
}
