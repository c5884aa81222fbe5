// Draws with the keyboard: while the canvas has the focus, arrow keys move a pen and Space puts it down and lifts it.
// Canvas, guard.js and live_ink.js get pointer and mouse events from it, as from a mouse. guard.js hears of presses and
// other pens first and passes on what concerns this pen: that it must be lifted, or that somebody draws without keys.

const STEP = 10; // canvas pixels: a held key crosses the pad in about a second
const FINE = 2; // canvas pixels, with Shift
const RADIUS = 9; // canvas pixels, of the ring that shows the pen: it stays on the pad
const POINTER = { pointerId: -2, pointerType: "keyboard", isPrimary: true }; // no real pointer has this number
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const COLOUR = "#0072b2"; // in both themes, like the paper
const STYLES = `
  .upper-canvas.keyboard { outline: 3px solid ${COLOUR}; outline-offset: -3px; }
  .keyboard-pen, .keyboard-hint { position: absolute; z-index: 11; pointer-events: none; }
  .keyboard-pen {
    box-sizing: border-box; width: ${2 * RADIUS}px; height: ${2 * RADIUS}px; margin: -${RADIUS}px;
    border: 3px solid ${COLOUR}; border-radius: 50%; box-shadow: 0 0 0 2px #fff;
  }
  .keyboard-pen.down { background: ${COLOUR}; }
  .keyboard-pen span { position: absolute; opacity: 0; }
  .keyboard-hint {
    inset: auto 6px 6px; padding: 4px; border-radius: 4px; background: #fffd;
    color: #555; font: 0.8rem var(--st-font); text-align: center;
  }
`;

let canvas = null; // the one on which the keyboard draws; stays until the focus goes elsewhere or the next canvas comes
let place = null; // of the pen, in canvas pixels
let isDown = false;
let isHeld = false; // guard.js holds the stroke, and gives the next canvas its mouse events
let hasDrawn = false;
let isByPointer = false; // whether mouse, pen or finger was used last
const arrows = new Set(); // that are down
const style = document.createElement("style");
const pen = document.createElement("div");
const spoken = document.createElement("span"); // for screen readers
const hint = document.createElement("div");
style.textContent = STYLES;
pen.className = "keyboard-pen";
pen.append(spoken);
spoken.setAttribute("role", "status");
hint.className = "keyboard-hint";
hint.setAttribute("aria-hidden", "true"); // it is the canvas's description

/** Draw on the canvas that got the focus, unless by a click: then the arrow keys scroll the page, as usual. */
function onFocus(event) {
  const next = event.composedPath().find((node) => node.classList?.contains("upper-canvas"));
  if (next && next === canvas) return;
  if (!next || isByPointer) {
    stop();
    return;
  }
  canvas?.classList.remove("keyboard");
  canvas = next;
  canvas.classList.add("keyboard");
  place ??= [canvas.offsetWidth / 2, canvas.offsetHeight / 4];
  hint.textContent = canvas.getAttribute("aria-description");
  canvas.parentElement.append(style, pen);
  if (!hasDrawn) canvas.parentElement.append(hint);
  show();
}

/** The page or the window lost the focus, unless the canvas was replaced or gets it back at once. */
function onFocusOut() {
  setTimeout(() => {
    if (canvas?.isConnected && !canvas.matches(":focus")) stop();
  });
}

/** The canvas is replaced, as after Undo, and may already be gone. */
function onCanvas({ detail: next }) {
  if (!canvas || next === canvas) return;
  if (isDown && !isHeld) lift();
  if (canvas.matches(":focus") || document.activeElement === document.body) next.focus({ preventScroll: true });
}

function onOtherPen() {
  isByPointer = true;
  stop();
}

function stop() {
  if (isDown) lift();
  canvas?.classList.remove("keyboard");
  canvas = null;
  arrows.clear();
  pen.remove();
  hint.remove();
}

function show() {
  const [left, top] = place.map((value) => `${value}px`);
  Object.assign(pen.style, { left, top });
  pen.classList.toggle("down", isDown);
}

function put() {
  isDown = hasDrawn = true;
  hint.remove();
  spoken.textContent = "Pen down";
  isHeld = !send("pointerdown"); // as with a mouse: who prevents it gets no mouse events
  if (!isHeld) send("mousedown");
}

function lift() {
  isDown = false;
  spoken.textContent = "Pen up";
  send("pointerup");
  if (!isHeld) send("mouseup");
  isHeld = false;
}

function move(step) {
  const { offsetWidth, offsetHeight } = padOf();
  const ways = [...arrows].map((key) => ARROWS[key]);
  const sides = [offsetWidth, offsetHeight];
  place = place.map((value, axis) => {
    const moved = value + step * ways.reduce((sum, way) => sum + way[axis], 0);
    return Math.min(sides[axis] - RADIUS, Math.max(RADIUS, moved));
  });
  if (!isDown) return;
  send("pointermove");
  if (!isHeld) send("mousemove");
}

/** Dispatch an event at the pen's place. Returns whether its default was not prevented. */
function send(type) {
  const pad = padOf();
  if (!pad) return true; // the page was left
  const box = pad.getBoundingClientRect();
  const details = {
    ...(type.startsWith("pointer") && POINTER),
    clientX: box.left + (place[0] * box.width) / pad.offsetWidth,
    clientY: box.top + (place[1] * box.height) / pad.offsetHeight,
    buttons: Number(isDown),
    bubbles: true,
    cancelable: true,
    composed: true,
  };
  const event = type.startsWith("pointer") ? new PointerEvent(type, details) : new MouseEvent(type, details);
  return (canvas.isConnected ? canvas : pad).dispatchEvent(event);
}

function onKeyDown(event) {
  isByPointer = false;
  if (!canvas || !isForPad(event) || event.key === "Shift") return;
  const isPlain = !(event.ctrlKey || event.metaKey || event.altKey);
  if (isPlain && event.key in ARROWS) {
    arrows.add(event.key);
    move(event.shiftKey ? FINE : STEP);
  } else if (isPlain && event.key === " ") {
    if (!event.repeat) (isDown ? lift : put)();
  } else {
    arrows.clear(); // with some keys, the release of an arrow goes unreported
    return;
  }
  event.preventDefault(); // or the page scrolls
  show();
}

/** Whether the canvas has the focus, or the next one will get it. */
function isForPad(event) {
  if (canvas.isConnected) return event.composedPath().includes(canvas);
  return event.target === document.body && Boolean(padOf());
}

/** What is as large as the canvas, and there even while that is replaced; null on other pages. */
function padOf() {
  return document.querySelector(".st-key-pad");
}

/** The canvas follows the mouse while any stroke is drawn. */
function keepMouseOut(event) {
  if (isDown && event.isTrusted) event.stopImmediatePropagation();
}

function onLift() {
  if (!isDown) return;
  lift();
  show();
}

const LISTENERS = [
  [window, "focusin", onFocus],
  [window, "focusout", onFocusOut],
  [window, "mousemove", keepMouseOut],
  [window, "keydown", onKeyDown],
  [window, "keyup", ({ key }) => arrows.delete(key)],
  [document, "canvas-found", onCanvas],
  [document, "lift-pen", onLift],
  [document, "other-pen", onOtherPen],
];

export default function () {
  for (const [target, name, listener] of LISTENERS) target.addEventListener(name, listener, true);
  return () => {
    for (const [target, name, listener] of LISTENERS) target.removeEventListener(name, listener, true);
    stop();
  };
}
