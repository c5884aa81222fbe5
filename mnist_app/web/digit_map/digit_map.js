// A map of up to 55,000 points on one canvas. Hovering shows a point's picture, a click opens it. With a tool selected,
// a drag marks a box or a lasso, and its corners are sent to the script. Arrow keys move from point to point, Enter
// opens one; with Shift the arrow keys stretch a box, and Enter marks it.

const REACH = 14; // CSS pixels: how close the pointer must be to a point
const CELL = 40; // map units: the side of the squares by which points are filed
const MAX_CORNERS = 64; // as in explore/explorer.py
const DRAG = 5; // CSS pixels that make a click a drag
const ROOM = 4; // map units of margin around the two end points of a box made by keyboard

const SCHEME = matchMedia("(prefers-color-scheme: dark)");

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/** Points filed by square, to find the nearest one without checking them all. */
export class Points {
  constructor(x, y) {
    this.x = x;
    this.y = y;
    this.cells = new Map();
    for (let i = 0; i < x.length; i++) {
      const key = Points.#key(x[i], y[i]);
      if (!this.cells.has(key)) this.cells.set(key, []);
      this.cells.get(key).push(i);
    }
  }

  static #key(x, y) {
    return Math.floor(x / CELL) * 1000 + Math.floor(y / CELL);
  }

  /** The point nearest to a place, or -1 if none lies within reach. */
  nearest(x, y, reach) {
    let best = -1;
    let least = reach * reach;
    for (let cx = x - reach; cx < x + reach + CELL; cx += CELL) {
      for (let cy = y - reach; cy < y + reach + CELL; cy += CELL) {
        for (const i of this.cells.get(Points.#key(cx, cy)) ?? []) {
          const distance = (this.x[i] - x) ** 2 + (this.y[i] - y) ** 2;
          if (distance < least) [best, least] = [i, distance];
        }
      }
    }
    return best;
  }

  /** The nearest point within 45 degrees of a direction; -1 at the edge of the map. */
  towards(from, dx, dy) {
    let best = -1;
    let least = Infinity;
    for (let i = 0; i < this.x.length; i++) {
      const along = (this.x[i] - this.x[from]) * dx + (this.y[i] - this.y[from]) * dy;
      const aside = Math.abs((this.x[i] - this.x[from]) * dy - (this.y[i] - this.y[from]) * dx);
      if (along <= 0 || aside > along) continue;
      const distance = along + 2 * aside;
      if (distance < least) [best, least] = [i, distance];
    }
    return best;
  }
}

/** Corners of a drawn line, thinned to as many as the script accepts, rounded and kept on the map. */
export function corners(line, side) {
  const every = Math.ceil(line.length / MAX_CORNERS);
  const held = (value) => Math.round(Math.min(side, Math.max(0, value)));
  return line.filter((_, at) => at % every === 0).map(([x, y]) => [held(x), held(y)]);
}

function median(values) {
  return values.sort((a, b) => a - b)[values.length >> 1];
}

/** What the script sent, ready to be drawn. */
function unpack(data) {
  const raw = new Uint16Array(bytes(data.places).buffer);
  const count = raw.length / 2;
  const scale = data.side / 65535;
  const x = Float32Array.from({ length: count }, (_, i) => raw[2 * i] * scale);
  const y = Float32Array.from({ length: count }, (_, i) => raw[2 * i + 1] * scale);
  const labels = bytes(data.labels);
  const own = data.colours.map(() => []);
  labels.forEach((digit, i) => own[digit].push(i));
  const names = own.map((of) => (of.length ? [median(of.map((i) => x[i])), median(of.map((i) => y[i]))] : null));
  return { points: new Points(x, y), x, y, count, labels, read: bytes(data.read), names, percent: bytes(data.percent) };
}

const maps = new WeakMap(); // root -> the map that lives there

class DigitMap {
  constructor(root) {
    this.root = root;
    this.onScheme = () => setTimeout(() => this.draw(), 200);
    this.canvas = root.querySelector("canvas");
    this.card = root.querySelector("figure");
    this.status = root.querySelector("[role=status]");
    this.tool = matchMedia("(pointer: coarse)").matches ? null : "box";
    this.line = []; // of the current drag or box, in map units
    this.hovered = -1;
    this.anchor = -1; // the point at which a box stretched with Shift began
    this.canvas.addEventListener("pointermove", (event) => this.onMove(event));
    this.canvas.addEventListener("pointerdown", (event) => this.onDown(event));
    this.canvas.addEventListener("pointerup", (event) => this.onUp(event));
    this.canvas.addEventListener("pointercancel", () => this.drop());
    this.canvas.addEventListener("pointerleave", () => this.hover(-1));
    this.canvas.addEventListener("keydown", (event) => this.onKey(event));
    this.canvas.addEventListener("blur", () => {
      this.hover(-1);
      this.stretch(-1);
    });
    root.querySelector(".tools").addEventListener("click", (event) => this.take(event.target.dataset.tool));
    new ResizeObserver(() => {
      if (this.canvas.width !== this.sharpSide()) this.draw(); // it also reports the size that was drawn already
    }).observe(this.canvas.parentElement);
    this.showTool();
  }

  update(data, tell) {
    const isOther = data.places !== this.data?.places || data.labels !== this.data?.labels || data.read !== this.data?.read;
    this.data = data;
    this.tell = tell;
    if (isOther) Object.assign(this, unpack(data));
    this.chosen = bytes(data.chosen);
    this.canvas.setAttribute(
      "aria-label",
      `Map of ${this.count.toLocaleString("en")} digits. Arrow keys move from digit to digit, Enter opens one; with Shift they stretch a box, and Enter selects it.`,
    );
    this.draw();
  }

  isChosen(i) {
    return (this.chosen[i >> 3] >> (i & 7)) & 1;
  }

  take(tool) {
    if (tool === "none") {
      this.tell("area", "");
      return;
    }
    if (!tool) return;
    this.tool = this.tool === tool ? null : tool;
    this.showTool();
  }

  showTool() {
    for (const button of this.root.querySelectorAll("[aria-pressed]")) {
      button.setAttribute("aria-pressed", String(button.dataset.tool === this.tool));
    }
    this.canvas.style.touchAction = this.tool ? "none" : "auto"; // without a tool a finger scrolls the page
    this.canvas.style.cursor = this.tool ? "crosshair" : "pointer";
  }

  /** CSS pixels per map unit, with a margin on each side that keeps marks off the edge. */
  get scale() {
    return (this.canvas.clientWidth - 24) / this.data.side;
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left - 12) / this.scale, (event.clientY - box.top - 12) / this.scale];
  }

  onDown(event) {
    if (event.button > 0) return;
    this.pressed = [event.clientX, event.clientY];
    this.line = [this.place(event)];
    if (this.tool || event.pointerType !== "touch") this.canvas.setPointerCapture(event.pointerId); // so that its end is heard
  }

  onMove(event) {
    const isDrag = this.pressed && Math.hypot(event.clientX - this.pressed[0], event.clientY - this.pressed[1]) > DRAG;
    if (this.pressed && this.tool && (isDrag || this.line.length > 1)) {
      const to = this.place(event);
      const [x, y] = this.line[0];
      if (this.tool === "box") this.line = [[x, y], [to[0], y], to, [x, to[1]]];
      else this.line.push(to);
      this.hover(-1);
      this.draw();
    } else if (!this.pressed) {
      this.hover(this.points.nearest(...this.place(event), REACH / this.scale));
    }
  }

  onUp(event) {
    if (!this.pressed) return;
    if (this.line.length === 2) {
      // a lasso too short to hold anything, but no click either
    } else if (this.line.length > 2) {
      this.mark();
    } else {
      const found = this.points.nearest(...this.place(event), REACH / this.scale);
      if (found >= 0) this.tell("pick", found);
    }
    this.drop();
  }

  mark() {
    const drawn = corners(this.line, this.data.side);
    this.tell("area", drawn.map(([x, y]) => `${x}.${y}`).join("_"));
  }

  /** Stretch a box from a point to the hovered one; -1 removes the box. */
  stretch(anchor) {
    this.anchor = anchor;
    this.line = [];
    if (anchor >= 0) {
      const [x1, x2] = [this.x[anchor], this.x[this.hovered]].sort((a, b) => a - b);
      const [y1, y2] = [this.y[anchor], this.y[this.hovered]].sort((a, b) => a - b);
      const [left, right, top, bottom] = [x1 - ROOM, x2 + ROOM, y1 - ROOM, y2 + ROOM];
      this.line = [[left, top], [right, top], [right, bottom], [left, bottom]];
    }
    this.draw();
  }

  drop() {
    this.pressed = null;
    this.line = [];
    this.draw();
  }

  onKey(event) {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [];
    if (event.key === "Enter" && this.anchor >= 0) {
      this.mark();
      this.stretch(-1);
    } else if (event.key === "Enter" && this.hovered >= 0) this.tell("pick", this.hovered);
    if (dx === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const start = this.data.opened ?? this.points.nearest(this.data.side / 2, this.data.side / 2, this.data.side);
    const to = this.hovered < 0 ? start : this.points.towards(this.hovered, dx, dy);
    const from = this.anchor >= 0 ? this.anchor : this.hovered;
    if (to >= 0) this.hover(to);
    this.stretch(event.shiftKey ? from : -1);
    this.status.textContent = this.words(this.hovered);
  }

  words(i) {
    const sure = this.percent[i] > 100 ? ">99% sure" : `${this.percent[i]}% sure`;
    return this.labels[i] === this.read[i] ? `${this.labels[i]}, ${sure}` : `${this.labels[i]} read as ${this.read[i]}, ${sure}`;
  }

  /** Show the picture of a point beside it; -1 for none. */
  hover(i) {
    if (i === this.hovered) return;
    this.hovered = i;
    this.card.hidden = i < 0;
    if (i >= 0) {
      this.card.querySelector("img").src = `${this.data.pictures}/${i}.png`;
      this.card.querySelector("figcaption").textContent = this.words(i);
      this.card.classList.toggle("wrong", this.labels[i] !== this.read[i]);
      const x = this.x[i] * this.scale + 12;
      const y = this.y[i] * this.scale + 12;
      const side = this.canvas.clientWidth;
      this.card.style.left = `${Math.min(Math.max(x - 60, 0), side - 120)}px`;
      this.card.style.top = `${y > 150 ? y - 142 : y + 18}px`;
    }
    this.draw();
  }

  /** The side of the canvas in physical pixels. */
  sharpSide() {
    return Math.round(this.canvas.clientWidth * devicePixelRatio);
  }

  draw() {
    if (!this.data || !this.canvas.clientWidth) return;
    const ratio = devicePixelRatio;
    const side = this.sharpSide();
    if (this.canvas.width !== side) this.canvas.width = this.canvas.height = side;
    const pen = this.canvas.getContext("2d");
    const style = getComputedStyle(this.root);
    this.ink = style.color;
    this.paper = getComputedStyle(document.querySelector(".stApp") ?? document.body).backgroundColor;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, side, side);
    pen.setTransform(ratio, 0, 0, ratio, 12 * ratio, 12 * ratio);
    this.drawPoints(pen);
    this.drawMistakes(pen);
    this.drawNames(pen);
    this.drawMarks(pen);
  }

  drawPoints(pen) {
    const size = this.count > 20000 ? 2 : 3;
    const scale = this.scale; // reads a width from the page: once, not for every point
    for (const [isOn, alpha] of [[0, 0.1], [1, 0.8]]) {
      pen.globalAlpha = alpha;
      this.data.colours.forEach((colour, digit) => {
        pen.fillStyle = colour;
        for (let i = 0; i < this.count; i++) {
          if (this.labels[i] !== digit || this.isChosen(i) !== isOn) continue;
          pen.fillRect(this.x[i] * scale - size / 2, this.y[i] * scale - size / 2, size, size);
        }
      });
    }
    pen.globalAlpha = 1;
  }

  /** Crosses, so that mistakes can be told from the rest without colour. */
  drawMistakes(pen) {
    for (const [width, colour] of [[4.5, this.paper], [2, this.data.wrong]]) {
      for (const isOn of [0, 1]) {
        pen.globalAlpha = isOn ? 1 : 0.25;
        pen.lineWidth = width;
        pen.strokeStyle = colour;
        pen.beginPath();
        for (let i = 0; i < this.count; i++) {
          if (this.labels[i] === this.read[i] || this.isChosen(i) !== isOn) continue;
          const x = this.x[i] * this.scale;
          const y = this.y[i] * this.scale;
          pen.moveTo(x - 4, y - 4);
          pen.lineTo(x + 4, y + 4);
          pen.moveTo(x - 4, y + 4);
          pen.lineTo(x + 4, y - 4);
        }
        pen.stroke();
      }
    }
    pen.globalAlpha = 1;
  }

  drawNames(pen) {
    pen.font = "650 26px sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.lineWidth = 6;
    pen.lineJoin = "round";
    this.names.forEach((place, digit) => {
      if (!place) return;
      const [x, y] = [place[0] * this.scale, place[1] * this.scale];
      pen.strokeStyle = this.paper;
      pen.strokeText(digit, x, y);
      pen.fillStyle = this.ink;
      pen.fillText(digit, x, y);
    });
  }

  drawMarks(pen) {
    pen.strokeStyle = this.ink;
    pen.lineWidth = 2;
    for (const i of [this.hovered, this.data.opened ?? -1]) {
      if (i < 0 || i >= this.count) continue;
      pen.beginPath();
      pen.arc(this.x[i] * this.scale, this.y[i] * this.scale, 8, 0, 7);
      pen.stroke();
    }
    const outline = this.line.length > 1 ? this.line : this.data.area;
    if (outline) {
      pen.setLineDash([6, 4]);
      pen.beginPath();
      for (const [x, y] of outline) pen.lineTo(x * this.scale, y * this.scale);
      pen.closePath();
      pen.stroke();
      pen.setLineDash([]);
    }
    if (this.data.drawn) this.drawDrawing(pen);
  }

  /** The visitor's own digit: a framed picture, with lines to its nearest neighbours. */
  drawDrawing(pen) {
    const [x, y] = this.data.drawn.place.map((value) => value * this.scale);
    pen.beginPath();
    for (const i of this.data.drawn.near) {
      pen.moveTo(x, y);
      pen.lineTo(this.x[i] * this.scale, this.y[i] * this.scale);
    }
    pen.stroke();
    if (this.own?.src !== this.data.drawn.picture) {
      this.own = new Image();
      this.own.onload = () => this.draw();
      this.own.src = this.data.drawn.picture;
    }
    if (!this.own.complete) return;
    pen.imageSmoothingEnabled = false;
    pen.drawImage(this.own, x - 21, y - 21, 42, 42);
    pen.lineWidth = 3;
    pen.strokeRect(x - 22.5, y - 22.5, 45, 45);
  }
}

export default function ({ parentElement, data, setTriggerValue }) {
  const root = parentElement.querySelector(".digit-map");
  if (!maps.has(root)) maps.set(root, new DigitMap(root));
  const map = maps.get(root);
  map.update(data, setTriggerValue);
  SCHEME.addEventListener("change", map.onScheme); // the same listener is added only once
  return () => SCHEME.removeEventListener("change", map.onScheme); // or no map could ever be garbage-collected
}
