// Draws ten probabilities as curves and lets a slider, which the arrow keys move too, go through the pictures below them.

const WORTH_DRAWING = 0.25; // a digit that never gets as probable as this has no curve
const EVEN_PACE = 40; // ms a picture, where the pen's own pace is not known
const shown = new WeakMap(); // what each element last showed

function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

function line(values, colour, isDashed) {
  const path = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  const step = 100 / Math.max(1, values.length - 1);
  path.setAttribute("points", values.map((value, at) => `${(at * step).toFixed(2)},${(100 - 100 * value).toFixed(2)}`).join(" "));
  path.setAttribute("stroke", colour);
  if (isDashed) path.setAttribute("stroke-dasharray", "4 4");
  return path;
}

/** The curves worth drawing: of each its name, its colour and its values. */
export function series(plot, colours) {
  const digits = colours.map((colour, digit) => ({
    name: String(digit),
    colour,
    values: plot.probabilities.map((shares) => shares[digit]),
  }));
  const doubt = { name: "no digit", colour: "currentColor", values: plot.doubts, isDashed: true };
  return [...digits, doubt].filter(({ values }) => Math.max(...values) >= WORTH_DRAWING);
}

/** Where a curve's name stands: at its highest point, the middle one if it stays there. */
export function peak(values) {
  const highest = Math.max(...values);
  const there = values.map((value, at) => (value >= highest - 0.01 ? at : -1)).filter((at) => at >= 0);
  return there[Math.floor(there.length / 2)];
}

/** When the pen had gone each of these shares of its way, ms; null where nobody saw it go. */
export function momentsOf(shares, timeline) {
  const whole = timeline?.at(-1)?.way;
  if (!whole) return null;
  return shares.map((share) => timeline.find(({ way }) => way >= share * whole * (1 - 1e-9)).time);
}

function askTimeline() {
  const detail = { timeline: null };
  document.dispatchEvent(new CustomEvent("ink-timeline", { detail }));
  return detail.timeline;
}

function chart(plot, colours) {
  const box = make("div", "chart");
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 100 100");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  box.append(svg);
  for (const { name, colour, values, isDashed } of series(plot, colours)) {
    svg.append(line(values, colour, isDashed));
    const at = peak(values);
    const label = make("span", "name", name);
    const share = (100 * at) / Math.max(1, values.length - 1);
    label.style.left = `${share}%`;
    label.style.setProperty("--share", share); // at the edges the name stays within them
    label.style.top = `${100 - 100 * values[at]}%`;
    label.style.setProperty("--colour", isDashed ? "#6b6b6b" : colour);
    box.append(label);
  }
  box.append(make("span", "cursor"));
  return box;
}

function build(root, data) {
  const last = data.labels.length - 1;
  const moments = data.shares && momentsOf(data.shares, askTimeline());
  const picture = make("span", "picture-at");
  picture.setAttribute("role", "img");
  picture.style.backgroundImage = `url(${data.sheet})`;
  picture.style.backgroundSize = `${100 * data.labels.length}% 100%`;
  const plots = data.plots.map((plot) => {
    const figure = make("figure", "plot");
    const caption = make("figcaption", "read-at");
    figure.append(caption, chart(plot, data.colours));
    return { plot, figure, caption, cursor: figure.querySelector(".cursor") };
  });
  const slider = make("input", "scrub");
  Object.assign(slider, { type: "range", min: 0, max: last, step: 1 });
  slider.setAttribute("aria-label", data.name);
  const label = make("output", "label-at");
  const column = make("div", "plots");
  column.append(...plots.map(({ figure }) => figure), slider, label);
  if (data.shares) column.append(player());
  root.replaceChildren(picture, column);

  function show(at) {
    slider.value = at;
    picture.style.backgroundPosition = `${last ? (100 * at) / last : 0}% 0`;
    label.textContent = `${data.name}: ${data.labels[at]}${moments ? `, after ${(moments[at] / 1000).toFixed(1)} s` : ""}`;
    for (const { plot, caption, cursor } of plots) {
      caption.textContent = plot.title ? `${plot.title}: ${plot.words[at]}` : plot.words[at];
      cursor.style.left = `${last ? (100 * at) / last : 0}%`;
    }
    const words = plots.map(({ caption }) => caption.textContent).join("; ");
    picture.setAttribute("aria-label", `Read as ${words}`);
    slider.setAttribute("aria-valuetext", `${data.labels[at]}: ${words}`);
  }

  /** A button that writes the drawing again as it was written, or evenly where that is not known. */
  function player() {
    const button = make("button", "play", moments ? "Replay as drawn" : "Replay");
    button.type = "button";
    button.addEventListener("click", () => {
      const began = performance.now();
      const run = (root.run = {}); // a later press, or other data, ends this one
      const due = (at) => (moments ? moments[at] : at * EVEN_PACE);
      const step = () => {
        if (root.run !== run || !root.isConnected) return;
        const gone = performance.now() - began;
        let at = 0;
        while (at < last && due(at + 1) <= gone) at++;
        show(at);
        if (at < last) requestAnimationFrame(step);
      };
      step();
    });
    return button;
  }

  slider.addEventListener("input", () => {
    root.run = null;
    show(Number(slider.value));
  });
  root.run = null;
  show(data.at);
}

export default function ({ parentElement, data }) {
  const root = parentElement.querySelector(".curves");
  const told = JSON.stringify(data);
  if (shown.get(root) === told) return;
  shown.set(root, told);
  build(root, data);
}
