// Reads the pen while it moves: follows the pointer on the canvas, asks the server's API about the strokes so far and
// paints the answer into the page's panel, without a rerun of the script. It also announces the ink at each pen-up,
// before the canvas reports it (see pen_up.js). If anything here fails, the panel still shows what the script writes
// into it after each stroke.

const SHORTEST_INTERVAL = 30; // ms between requests: 30 answers a second is as many as an eye can use
const COURTESY = 4; // ms of rest for each ms that an answer was late
const INTERVAL_AFTER_NONE = 1000; // ms to the next request after one that was rejected or lost
const PATIENCE = 3000; // ms to wait for an answer
const CLOSEST = 1; // canvas pixels: points closer than this are not worth sending
const BLOT = 0.5; // of the pen's width, as in ink/strokes.py: a stroke that spans less is a dot to the eye
const NEAR = 4; // canvas pixels, as in web/live_ink/__init__.py: how far a point may move as canvas and pages round
const PACE = 0.4; // canvas pixels per ms, for a stroke that was not seen being written
const PAUSE = 300; // ms before a stroke that was not written right after the one before it on the pad
const SCRIPT_HAS_HEARD = 8000; // ms after pen-up: by then the script knows of the stroke, or never will

/** Whether `points` are some of the `written` ones, in order, from the first to the last. */
function isSame(written, points) {
  const isNear = (one, other) => Math.hypot(one[0] - other[0], one[1] - other[1]) <= NEAR;
  if (!isNear(written[0], points[0])) return false;
  if (points.length === 1) return true; // a dot, however far the pen slipped
  if (!isNear(written.at(-1), points.at(-1))) return false;
  let at = 0;
  return points.every((point) => {
    while (at < written.length && !isNear(written[at], point)) at++;
    return at < written.length;
  });
}

/** A stroke as the script reads it: a single point if it is a dot to the eye. */
function asRead(points, penWidth) {
  const spans = [0, 1].map((axis) => {
    const values = points.map((point) => point[axis]);
    return Math.max(...values) - Math.min(...values);
  });
  return Math.max(...spans) < BLOT * penWidth ? points.slice(0, 1) : points;
}

/** The length of the pen's path up to each of these points. */
function waysOf(points) {
  let way = 0;
  return points.map(([x, y], at) => (at ? (way += Math.hypot(x - points[at - 1][0], y - points[at - 1][1])) : 0));
}

/** The strokes on the pad and the answers about them. Touches no page: `ask`, `show` and the clock are passed in. */
export class LiveInk {
  #ask;
  #show;
  #clock;
  #strokes = [];
  #written = []; // the strokes seen being written: points, ms of each, and the stroke written right before
  #last = null; // the one of these that the next stroke follows directly, if any
  #isDown = false;
  #penWidth = 0; // of the stroke that is being written
  #state = 0; // of the ink: a number that grows with every change
  #asked = 0; // the state that was last asked about
  #answered = { state: -1, answer: null };
  #request = null; // AbortController of the request under way; one at a time
  #sentAt = -Infinity;
  #quickest = Infinity; // ms that the fastest answer took
  #interval = SHORTEST_INTERVAL;
  #timer = null;

  /** `ask(strokes, signal)` promises an answer or null; `show(answer, isFinal)` paints it. */
  constructor(ask, show, clock = () => performance.now()) {
    this.#ask = ask;
    this.#show = show;
    this.#clock = clock;
  }

  get strokes() {
    return this.#strokes;
  }

  /**
   * The length of the pen's path at each point of these strokes, and the time, in ms from the first. A stroke that was
   * not seen being written, as after a reload, gets an even pace between the others. Null if none was seen.
   */
  timeline(strokes) {
    const seen = this.#seen(strokes);
    if (!seen.some(Boolean)) return null;
    let [way, time, before] = [0, 0, null];
    return seen.flatMap((stroke, number) => {
      const points = stroke?.points ?? strokes[number];
      const ways = waysOf(points);
      const times = stroke?.times ?? ways.map((length) => length / PACE);
      if (number) time += before && stroke?.after === before ? times[0] - before.times.at(-1) : PAUSE;
      const part = ways.map((length, at) => ({ way: way + length, time: time + times[at] - times[0] }));
      ({ way, time } = part.at(-1));
      before = stroke;
      return part;
    });
  }

  /** For each of these strokes, what was seen of its being written, or null. */
  #seen(strokes) {
    let next = 0;
    return strokes.map((points) => {
      const at = this.#written.findIndex((stroke, number) => number >= next && isSame(stroke.points, points));
      if (at < 0) return null;
      next = at + 1;
      return this.#written[at];
    });
  }

  get isDown() {
    return this.#isDown;
  }

  /** The pad has other ink now: cleared, undone, restored, another visitor's page. What remains keeps its times. */
  replace(strokes) {
    this.#strokes = strokes.map((stroke) => [...stroke]);
    this.#written = this.#seen(strokes).filter(Boolean);
    this.#last = null;
    this.#isDown = false;
    this.settle();
  }

  /** The page has shown its own answer about this ink: answers still on their way are too late. */
  settle() {
    this.#asked = ++this.#state;
    this.#letGo();
  }

  /** The pen is put down at `time`, in ms on the clock. */
  down(point, penWidth, time = this.#clock()) {
    this.#isDown = true;
    this.#penWidth = penWidth;
    const stroke = [point];
    this.#strokes.push(stroke);
    this.#last = { points: stroke, times: [time], after: this.#last };
    this.#written.push(this.#last);
    this.#changed();
  }

  move(points, time = this.#clock()) {
    if (!this.#isDown) return;
    const stroke = this.#strokes.at(-1);
    const before = stroke.length;
    for (const [x, y] of points) {
      const [lastX, lastY] = stroke.at(-1);
      if (Math.hypot(x - lastX, y - lastY) < CLOSEST) continue;
      stroke.push([x, y]);
      this.#last.times.push(time);
    }
    if (stroke.length > before) this.#changed();
  }

  /** Ask for the final answer about a stroke at once; at pen-up, it has often arrived or is on its way. */
  up() {
    if (!this.#isDown) return;
    this.#isDown = false;
    this.#strokes = this.#inkAsRead;
    if (this.#answered.state === this.#state) this.#show(this.#answered.answer, true);
    else if (!this.#request || this.#asked !== this.#state) this.#send();
  }

  get #inkAsRead() {
    return [...this.#strokes.slice(0, -1), asRead(this.#strokes.at(-1), this.#penWidth)];
  }

  #changed() {
    this.#state += 1;
    this.#next();
  }

  #next() {
    if (this.#request || this.#asked === this.#state) return;
    const wait = this.#sentAt + this.#interval - this.#clock();
    clearTimeout(this.#timer);
    if (wait > 0) this.#timer = setTimeout(() => this.#send(), wait);
    else this.#send();
  }

  #letGo() {
    clearTimeout(this.#timer);
    this.#request?.abort();
    this.#request = null;
  }

  async #send() {
    this.#letGo();
    const request = (this.#request = new AbortController());
    const state = (this.#asked = this.#state);
    this.#sentAt = this.#clock();
    let answer = null;
    try {
      answer = await this.#ask(this.#isDown ? this.#inkAsRead : this.#strokes, request.signal);
    } catch {
      // No network, no server or no valid answer: the page's own answer comes after the stroke.
    }
    if (this.#request !== request) return; // it is no longer waited for
    this.#request = null;
    this.#pace(answer);
    if (answer) {
      this.#answered = { state, answer };
      this.#show(answer, !this.#isDown && state === this.#state);
    }
    this.#next();
  }

  /** An answer that took longer than the quickest so far waited in a queue: then let others go first. */
  #pace(answer) {
    if (!answer) {
      this.#interval = INTERVAL_AFTER_NONE;
      return;
    }
    const took = this.#clock() - this.#sentAt;
    this.#quickest = Math.min(this.#quickest, took);
    const late = Math.max(0, took - this.#quickest - SHORTEST_INTERVAL);
    this.#interval = Math.max(SHORTEST_INTERVAL, took + COURTESY * late);
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
      box.dataset.label = `${digit} ${percent(confidence)}`;
      return box;
    }),
  );
}

/** Announce an answer to screen readers once per pen-up: not again if it was announced already. */
export function say(status, answer) {
  const sentence = answer ? (answer.text ? `I read ${answer.text}. ` : "") + `${inWords(answer).replace(" · ", ", ")}.` : "";
  if (status.textContent !== sentence) status.textContent = sentence;
}

async function askServer({ url, model }, strokes, signal) {
  const request = new AbortController(); // AbortSignal.any would do, but tablets from 2023 lack it
  const patience = setTimeout(() => request.abort(), PATIENCE);
  signal.addEventListener("abort", () => request.abort());
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ strokes, model }),
      signal: request.signal,
    });
    return response.ok ? await response.json() : null;
  } finally {
    clearTimeout(patience);
  }
}

/** The place of a pointer in the canvas's own pixels, whatever size the canvas is shown at. */
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

// One pad, one panel: this state outlives the reruns that mount the element again.
let page = { url: "", version: null, follows: false };
let pointer = null; // {id, canvas} of the pen that is down
let penUpAt = -Infinity;
let check = 0;
const ink = new LiveInk(
  (strokes, signal) => askServer(page, strokes, signal),
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
  ink.down(place(event, canvas), page.penWidth, event.timeStamp);
}

function onMove(event) {
  if (pointer?.id !== event.pointerId) return;
  if (event.buttons === 0) {
    onUp(event); // the pen was lifted unseen
    return;
  }
  const samples = event.getCoalescedEvents?.() ?? [];
  ink.move(
    (samples.length ? samples : [event]).map((sample) => place(sample, pointer.canvas)),
    event.timeStamp,
  );
}

function onUp(event) {
  if (pointer?.id !== event.pointerId) return;
  pointer = null;
  penUpAt = performance.now();
  ink.up();
  clearTimeout(check);
  check = setTimeout(() => agree(false), SCRIPT_HAS_HEARD);
  if (event.type === "pointerup") tellInk();
}

/** Announce the ink, as it is known here, to whoever waits for it. */
function tellInk() {
  document.dispatchEvent(new CustomEvent("pen-up", { detail: { version: page.version, strokes: ink.strokes } }));
}

/** Take over the script's ink, unless the pen has drawn more since, and then its answer. */
function agree(isOtherInk) {
  clearTimeout(check);
  if (!isOtherInk && ink.isDown) return;
  const wait = penUpAt + SCRIPT_HAS_HEARD - performance.now();
  if (!isOtherInk && page.strokes.length < ink.strokes.length && wait > 0) {
    check = setTimeout(() => agree(false), wait); // unless the script reports the newer ink first
    return;
  }
  if (isOtherInk || page.strokes.length !== ink.strokes.length) {
    pointer = null;
    const isMore = ink.strokes.length > page.strokes.length;
    ink.replace(page.strokes);
    if (isMore && !isOtherInk) tellInk(); // the canvas dropped a stroke, which the script may have read ahead
  } else {
    ink.settle();
  }
  show(page.answer, true);
}

/** After an error, this part has missed some ink: leave the rest of the stroke to the script. */
function safely(listener) {
  return (event) => {
    try {
      listener(event);
    } catch (error) {
      agree(true);
      reportError(error);
    }
  };
}

/** Tell other parts of the page, synchronously, when strokes were written; the script itself never learns it. */
function onTimeline({ detail }) {
  detail.timeline = ink.timeline(detail.strokes);
}

const LISTENERS = Object.entries({ pointerdown: onDown, pointermove: onMove, pointerup: onUp, pointercancel: onUp }).map(
  ([name, listener]) => [name, safely(listener)],
);

document.addEventListener("ink-timeline", onTimeline);

export default function ({ data }) {
  const isOtherInk = data.version !== page.version || data.follows !== page.follows;
  page = data;
  agree(isOtherInk);
  document.dispatchEvent(new CustomEvent("ink-followed", { detail: data.version })); // a stroke may wait for this
  for (const [name, listener] of LISTENERS) document.addEventListener(name, listener, true);
  return () => {
    for (const [name, listener] of LISTENERS) document.removeEventListener(name, listener, true);
  };
}
