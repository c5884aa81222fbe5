// Reads the pen while it moves: follows the pointer on the canvas, asks the server's API about the strokes so far and
// paints the answer into the panel that the page has drawn, without a rerun of the script. If anything here fails, the
// panel still shows what the script writes into it after each stroke.

const SHORTEST_INTERVAL = 30; // ms between requests: 30 answers a second is as many as an eye can use
const PATIENCE = 3000; // ms after which an answer is no longer waited for
const CLOSEST = 1; // canvas pixels between two points that are worth sending
const CANVAS_HAS_SPOKEN = 400; // ms after pen-up: by then the script knows of the stroke

/** The strokes on the pad and the answers about them. Knows no page: `ask` and `show` are given, and so is the clock. */
export class LiveInk {
  #ask;
  #show;
  #strokes = [];
  #isDown = false;
  #asked = 0; // state of the ink that was last sent, counted up with every change
  #state = 0;
  #epoch = 0; // counted up when the ink is replaced: answers about what was there before are dropped
  #isAsking = false;
  #lastSent = -Infinity;
  #timer = null;
  #request = null; // lets go of the answer that is waited for
  #clock;

  /** `ask(strokes, signal)` promises an answer or null; `show(answer, isFinal)` paints it. */
  constructor(ask, show, clock = () => performance.now()) {
    this.#ask = ask;
    this.#show = show;
    this.#clock = clock;
  }

  get strokes() {
    return this.#strokes;
  }

  get isDown() {
    return this.#isDown;
  }

  /** Other ink lies on the pad now: cleared, undone, restored, or another visitor's page. */
  replace(strokes) {
    this.#strokes = strokes.map((stroke) => [...stroke]);
    this.#isDown = false;
    this.settle();
  }

  /** The page itself says what it reads in this ink: whatever is still to come about it is late. */
  settle() {
    this.#epoch += 1;
    this.#asked = ++this.#state;
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#request?.abort();
  }

  down(point) {
    this.#isDown = true;
    this.#strokes.push([point]);
    this.#changed();
  }

  move(points) {
    if (!this.#isDown) return;
    const stroke = this.#strokes.at(-1);
    for (const [x, y] of points) {
      const [lastX, lastY] = stroke.at(-1);
      if (Math.hypot(x - lastX, y - lastY) >= CLOSEST) stroke.push([x, y]);
    }
    this.#changed();
  }

  up() {
    if (!this.#isDown) return;
    this.#isDown = false;
    this.#lastSent = -Infinity; // the last word on a stroke does not wait
    this.#changed();
  }

  #changed() {
    this.#state += 1;
    this.#next();
  }

  #next() {
    if (this.#isAsking || this.#asked === this.#state) return;
    const wait = this.#lastSent + SHORTEST_INTERVAL - this.#clock();
    clearTimeout(this.#timer);
    if (wait > 0) this.#timer = setTimeout(() => this.#send(), wait);
    else this.#send();
  }

  async #send() {
    this.#timer = null;
    this.#isAsking = true;
    this.#lastSent = this.#clock();
    const state = (this.#asked = this.#state);
    const epoch = this.#epoch;
    let answer = null;
    this.#request = new AbortController();
    try {
      answer = await this.#ask(this.#strokes, this.#request.signal);
    } catch {
      // No network, no server, no sense: the page's own answer comes after the stroke.
    }
    this.#isAsking = false;
    if (answer && epoch === this.#epoch) this.#show(answer, !this.#isDown && state === this.#state);
    this.#next();
  }
}

/** A probability in whole percent that never claims certainty, as answer.py writes it. */
export function percent(share) {
  if (share >= 0.995 && share < 1) return ">99%";
  if (share > 0 && share < 0.005) return "<1%";
  return `${Math.round(share * 100)}%`;
}

/** Paint an answer, or null for a blank pad, into the panel, as answer.py writes it. */
export function paint(panel, answer) {
  const isRead = Boolean(answer?.text);
  const digit = panel.querySelector(".digit");
  panel.classList.toggle("blank", !answer);
  panel.classList.toggle("read", isRead);
  panel.classList.toggle("refused", Boolean(answer) && !isRead);
  digit.textContent = isRead ? answer.text : "?";
  digit.style.setProperty("--length", digit.textContent.length);
  panel.querySelector(".words").textContent = answer ? inWords(answer) : panel.dataset.invitation;
  panel.querySelectorAll(".bar").forEach((bar, digit) => {
    bar.style.setProperty("--share", isRead ? answer.probabilities[digit].toFixed(4) : 0);
    bar.querySelector(".share").textContent = isRead ? percent(answer.probabilities[digit]) : "";
    bar.classList.toggle("read", isRead && answer.digit === digit);
  });
}

function inWords(answer) {
  return answer.text ? `${answer.words} · ${percent(answer.confidence)}` : answer.words;
}

/** Draw a box around each digit of a number, as answer.py does; `boxes` lies on the pad. */
export function frame(boxes, answer) {
  const side = Number(boxes.dataset.side);
  const share = (length) => `${((100 * length) / side).toFixed(2)}%`;
  const digits = answer?.digits.length > 1 ? answer.digits : [];
  boxes.replaceChildren(
    ...digits.map(({ digit, confidence, box: [left, top, right, bottom] }) => {
      const box = document.createElement("span");
      box.className = "box";
      Object.assign(box.style, {
        left: share(left),
        top: share(top),
        width: share(right - left),
        height: share(bottom - top),
      });
      box.textContent = `${digit} ${percent(confidence)}`;
      return box;
    }),
  );
}

/** Say an answer to screen readers: once for each pen-up, so not again what was said already. */
export function say(status, answer) {
  const sentence = answer ? (answer.text ? `I read ${answer.text}. ` : "") + `${inWords(answer).replace(" · ", ", ")}.` : "";
  if (status.textContent !== sentence) status.textContent = sentence;
}

async function askServer(url, strokes, signal) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ strokes }),
    signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)]),
  });
  return response.ok ? response.json() : null;
}

/** The canvas's own pixels under a pointer, whatever the size at which it is shown. */
function place(event, canvas) {
  const box = canvas.getBoundingClientRect();
  const round = (value) => Math.round(value * 10) / 10;
  return [
    round(((event.clientX - box.left) * canvas.offsetWidth) / box.width),
    round(((event.clientY - box.top) * canvas.offsetHeight) / box.height),
  ];
}

function canvasUnder(event) {
  return event.composedPath().find((node) => node.classList?.contains("upper-canvas")) ?? null;
}

// One pad, one panel: what follows outlives the reruns that mount this element again.
let page = { url: "", version: null, follows: false };
let pointer = null; // {id, canvas} of the pen that is down
let penUpAt = -Infinity;
let check = 0;
const ink = new LiveInk(
  (strokes, signal) => askServer(page.url, strokes, signal),
  (answer, isFinal) => page.follows && show(answer, isFinal),
);

function show(answer, isFinal) {
  const panel = document.querySelector(".answer");
  const status = document.querySelector(".st-key-live_ink .spoken");
  const boxes = document.querySelector(".st-key-pad .boxes");
  if (panel) paint(panel, answer);
  if (boxes) frame(boxes, answer);
  panel?.setAttribute("aria-busy", String(!isFinal));
  if (status && isFinal) say(status, answer);
}

function onDown(event) {
  const canvas = canvasUnder(event);
  if (!canvas || !page.follows || event.button > 0 || (pointer && !event.isPrimary)) return;
  pointer = { id: event.pointerId, canvas };
  ink.down(place(event, canvas));
}

function onMove(event) {
  if (pointer?.id !== event.pointerId) return;
  if (event.buttons === 0) {
    onUp(event); // the pen was lifted where nobody saw it
    return;
  }
  const samples = event.getCoalescedEvents?.() ?? [];
  ink.move((samples.length ? samples : [event]).map((sample) => place(sample, pointer.canvas)));
}

function onUp(event) {
  if (pointer?.id !== event.pointerId) return;
  pointer = null;
  penUpAt = performance.now();
  ink.up();
}

/** Agree with the script: on the ink, unless the pen has gone on since, and then on the answer. */
function agree(isOtherInk) {
  clearTimeout(check);
  if (!isOtherInk && ink.isDown) return;
  if (!isOtherInk && page.strokes.length !== ink.strokes.length) {
    const wait = penUpAt + CANVAS_HAS_SPOKEN - performance.now();
    if (wait > 0) {
      check = setTimeout(() => agree(false), wait);
      return;
    }
    isOtherInk = true;
  }
  if (isOtherInk) {
    pointer = null;
    ink.replace(page.strokes);
  } else {
    ink.settle();
  }
  show(page.answer, true);
}

const LISTENERS = { pointerdown: onDown, pointermove: onMove, pointerup: onUp, pointercancel: onUp };

export default function ({ data }) {
  const isOtherInk = data.version !== page.version || data.follows !== page.follows;
  page = data;
  agree(isOtherInk);
  for (const [name, listener] of Object.entries(LISTENERS)) document.addEventListener(name, listener, true);
  return () => {
    for (const [name, listener] of Object.entries(LISTENERS)) document.removeEventListener(name, listener, true);
  };
}
