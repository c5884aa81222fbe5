// Reads the pen while it moves: follows the pointer on the canvas, asks the server's API about the strokes so far and
// paints the answer into the panel that the page has drawn, without a rerun of the script. If anything here fails, the
// panel still shows what the script writes into it after each stroke.

const SHORTEST_INTERVAL = 30; // ms between requests: 30 answers a second is as many as an eye can use
const PATIENCE = 3000; // ms after which an answer is no longer waited for

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
  #clock;

  /** `ask(strokes)` promises an answer or null; `show(answer, isFinal)` paints it. */
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
    this.#epoch += 1;
    this.#asked = ++this.#state; // the page itself says what it reads there
    clearTimeout(this.#timer);
    this.#timer = null;
  }

  down(point) {
    this.#isDown = true;
    this.#strokes.push([point]);
    this.#changed();
  }

  move(points) {
    if (!this.#isDown) return;
    this.#strokes.at(-1).push(...points);
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
    try {
      answer = await this.#ask(this.#strokes);
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

/** Paint an answer, or null for a blank pad, into the panel. Screen readers hear of it only once the pen is up. */
export function paint(panel, answer, isFinal) {
  const words = answer ? `${answer.words} · ${percent(answer.confidence)}` : panel.dataset.invitation;
  panel.classList.toggle("blank", !answer);
  panel.classList.toggle("read", Boolean(answer));
  panel.querySelector(".digit").textContent = answer ? answer.digit : "?";
  panel.querySelector(".words").textContent = words;
  panel.querySelectorAll(".bar").forEach((bar, digit) => {
    bar.style.setProperty("--share", answer ? answer.probabilities[digit].toFixed(4) : 0);
    bar.querySelector(".share").textContent = answer ? percent(answer.probabilities[digit]) : "";
    bar.classList.toggle("read", answer?.digit === digit);
  });
  if (isFinal) panel.querySelector(".spoken").textContent = answer ? `I read ${answer.digit}. ${words}.` : `${words}.`;
}

async function askServer(url, strokes) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ strokes }),
    signal: AbortSignal.timeout(PATIENCE),
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
const panel = () => document.querySelector(".answer");
const ink = new LiveInk(
  (strokes) => askServer(page.url, strokes),
  (answer, isFinal) => page.follows && panel() && paint(panel(), answer, isFinal),
);

function onDown(event) {
  const canvas = canvasUnder(event);
  if (!canvas || pointer || !page.follows || event.button > 0) return;
  pointer = { id: event.pointerId, canvas };
  ink.down(place(event, canvas));
}

function onMove(event) {
  if (pointer?.id !== event.pointerId) return;
  const samples = event.getCoalescedEvents?.() ?? [];
  ink.move((samples.length ? samples : [event]).map((sample) => place(sample, pointer.canvas)));
}

function onUp(event) {
  if (pointer?.id !== event.pointerId) return;
  pointer = null;
  ink.up();
}

const LISTENERS = { pointerdown: onDown, pointermove: onMove, pointerup: onUp, pointercancel: onUp };

export default function ({ data }) {
  const isOther = data.version !== page.version || data.follows !== page.follows;
  page = data;
  if (isOther || (!ink.isDown && data.strokes.length > ink.strokes.length)) {
    pointer = null;
    ink.replace(data.strokes);
  }
  // The script's answer is the newest one unless the pen has moved on since it was sent.
  if (!ink.isDown && data.strokes.length === ink.strokes.length && panel()) paint(panel(), data.answer, true);
  for (const [name, listener] of Object.entries(LISTENERS)) document.addEventListener(name, listener, true);
  return () => {
    for (const [name, listener] of Object.entries(LISTENERS)) document.removeEventListener(name, listener, true);
  };
}
