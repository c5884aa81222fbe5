// Draws with the keyboard: while the canvas has the focus, arrow keys move a pen and Space puts it down and lifts it.
// Canvas, guard.js and live_ink.js get pointer and mouse events from it, as from a mouse.

const STEP = 10; // canvas pixels: a held key crosses the pad in about a second
const FINE = 2; // canvas pixels, with Shift
const POINTER = { pointerId: -2, pointerType: "keyboard", isPrimary: true }; // no real pointer has this number
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const HINT = "Arrow keys move the pen, two at once diagonally, with Shift in small steps. Space puts it down and lifts it.";
const COLOUR = "#0072b2"; // in both themes, like the paper
const PEN = `
  position: absolute; z-index: 11; width: 18px; height: 18px; margin: -9px; box-sizing: border-box; border-radius: 50%;
  border: 3px solid ${COLOUR}; pointer-events: none;
`;
const WORDS = `
  position: absolute; z-index: 11; inset: auto 12px 10px; color: #555; font: 0.8rem var(--st-font); text-align: center;
  pointer-events: none;
`;

let canvas = null; // the one on which the keyboard draws; stays until the focus goes elsewhere or the next canvas comes
let place = null; // of the pen, in canvas pixels
let isDown = false;
let isHeld = false; // guard.js holds the stroke, and gives the next canvas its mouse events
let hasDrawn = false;
const arrows = new Set(); // that are down
const pen = document.createElement("div"); // shows the place
const words = document.createElement("div");
pen.className = "keyboard-pen";
pen.style.cssText = PEN;
words.style.cssText = WORDS;
words.textContent = HINT;

/** Draw on the canvas that got the focus, unless by a click: then the arrow keys scroll the page, as usual. */
function onFocus(event) {
  const on = canvasOf(event);
  if (on === canvas) return;
  if (!on?.matches(":focus-visible")) {
    stop();
    return;
  }
  canvas = on;
  place ??= [canvas.offsetWidth / 2, canvas.offsetHeight / 4];
  canvas.parentElement.append(pen);
  if (!hasDrawn) canvas.parentElement.append(words);
  show();
}

/** Stop if the window or the page lost the focus; a canvas that was replaced passes it on. */
function onBlur() {
  setTimeout(() => canvas?.isConnected && !canvas.matches(":focus") && stop());
}

/** The canvas is replaced, as after Undo, and may already be gone. */
function onCanvas({ detail: next }) {
  if (!canvas || next === canvas) return;
  if (isDown && !isHeld) lift();
  if (canvas.matches(":focus") || document.activeElement === document.body) next.focus({ preventScroll: true });
}

function stop() {
  if (isDown) lift();
  canvas = null;
  arrows.clear();
  pen.remove();
  words.remove();
}

function show() {
  const [left, top] = place.map((value) => `${value}px`);
  Object.assign(pen.style, { left, top, background: isDown ? COLOUR : "none" });
}

function send(type, mouse) {
  const pad = padOf();
  const box = pad.getBoundingClientRect();
  const at = {
    clientX: box.left + (place[0] * box.width) / pad.offsetWidth,
    clientY: box.top + (place[1] * box.height) / pad.offsetHeight,
    buttons: Number(isDown),
    bubbles: true,
    cancelable: true,
    composed: true,
  };
  const target = canvas.isConnected ? canvas : pad;
  const isTaken = target.dispatchEvent(new PointerEvent(type, { ...POINTER, ...at }));
  if (type === "pointerdown") isHeld = !isTaken;
  if (!isHeld) target.dispatchEvent(new MouseEvent(mouse, at));
}

function put() {
  isDown = hasDrawn = true;
  words.remove();
  send("pointerdown", "mousedown");
}

function lift() {
  isDown = false;
  send("pointerup", "mouseup");
}

function move(step) {
  const ways = [...arrows].map((key) => ARROWS[key]);
  const { offsetWidth, offsetHeight } = padOf();
  const sides = [offsetWidth, offsetHeight];
  place = place.map((value, axis) => {
    const moved = value + step * ways.reduce((sum, way) => sum + way[axis], 0);
    return Math.min(sides[axis], Math.max(0, moved));
  });
  if (isDown) send("pointermove", "mousemove");
}

function onKeyDown(event) {
  if (!canvas || !isForPad(event) || event.key === "Shift") return;
  const isPlain = !(event.ctrlKey || event.metaKey || event.altKey);
  if (isPlain && event.key in ARROWS) {
    arrows.add(event.key);
    move(event.shiftKey ? FINE : STEP);
  } else if (isPlain && event.key === " ") {
    if (!event.repeat) (isDown ? lift : put)();
  } else {
    if (isDown) lift(); // before Undo and Clear, which wait for the stroke's end
    show();
    return;
  }
  event.preventDefault(); // or the page scrolls
  show();
}

/** Whether the canvas has the focus, or the next one will get it. */
function isForPad(event) {
  return canvas.isConnected ? canvasOf(event) === canvas : event.target === document.body && padOf();
}

/** What is as large as the canvas, and there even while that is replaced; null on other pages. */
function padOf() {
  return document.querySelector(".st-key-pad");
}

function canvasOf(event) {
  return event.composedPath().find((node) => node.classList?.contains("upper-canvas")) ?? null;
}

const LISTENERS = [
  [window, "focusin", onFocus],
  [window, "focusout", onBlur],
  [window, "pointerdown", ({ isTrusted }) => isTrusted && stop()],
  [window, "keydown", onKeyDown],
  [window, "keyup", ({ key }) => arrows.delete(key)],
  [document, "canvas-found", onCanvas],
];

export default function () {
  for (const [target, name, listener] of LISTENERS) target.addEventListener(name, listener, true);
  return () => {
    stop();
    for (const [target, name, listener] of LISTENERS) target.removeEventListener(name, listener, true);
  };
}
