// Draws ten probabilities as curves, with a slider, which the arrow keys move too, that steps through the pictures.

const WORTH_NAMING = 0.25; // a curve that never reaches this gets no name: all of those lie at the bottom
const EVEN_PACE = 40; // ms per picture, if the pen's own pace is not known
const REST = 150; // ms without a new picture: the pen was off the paper, and the curves stay level
const shown = new WeakMap(); // what each element last showed

function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

/** The corners of a curve through these values: [percent of the axis, value]. While the pen rests, it stays level. */
export function corners(values, axis) {
  return values.flatMap((value, at) => {
    const corner = [axis.percent(axis.places[at]), value];
    const rested = axis.isTime && at && axis.places[at] - axis.places[at - 1] >= REST;
    return rested ? [[corner[0], values[at - 1]], corner] : [corner];
  });
}

function line(values, axis, colour, isDashed) {
  const path = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  const points = corners(values, axis).map(([x, value]) => `${x.toFixed(2)},${(100 - 100 * value).toFixed(2)}`);
  path.setAttribute("points", points.join(" "));
  // Mixed with the text colour for at least 3 to 1: some would be too pale on white, others too dark on black.
  path.style.stroke = `color-mix(in srgb, ${colour} 70%, currentColor)`;
  if (isDashed) path.setAttribute("stroke-dasharray", "4 4");
  return path;
}

/** The curves of the ten digits and of "no digit", each with its name, colour and values. */
export function series(plot, colours) {
  const digits = colours.map((colour, digit) => ({
    name: String(digit),
    colour,
    values: plot.probabilities.map((shares) => shares[digit]),
  }));
  const doubt = { name: "no digit", colour: "currentColor", values: plot.doubts, isDashed: true };
  return [...digits, doubt];
}

/** The index at which a curve's name is shown: its highest point, or the middle one of several. */
export function peak(values) {
  const highest = Math.max(...values);
  const there = values.map((value, at) => (value >= highest - 0.01 ? at : -1)).filter((at) => at >= 0);
  return there[Math.floor(there.length / 2)];
}

/** When the pen had covered each of these shares of its path, in ms; null if its movement was not seen. */
export function momentsOf(shares, timeline) {
  const whole = timeline?.at(-1)?.way;
  if (!whole) return null;
  return shares.map((share) => {
    const goal = share * whole * (1 - 1e-9);
    const at = timeline.findIndex(({ way }) => way >= goal);
    const [from, to] = [timeline[Math.max(0, at - 1)], timeline[at]];
    return to.time - ((to.time - from.time) * (to.way - goal)) / (to.way - from.way || 1);
  });
}

/** Where each of `count` pictures lies along the slider: at its moment, in ms, if that is known, else at its index. */
export function axisOf(count, moments) {
  const places = moments ?? Array.from({ length: count }, (_, at) => at);
  const end = places.at(-1);
  const percent = (place) => (end ? (100 * place) / end : 0);
  /** The latest picture at a place on the slider. */
  const at = (place) => Math.max(0, places.findLastIndex((other) => other <= place));
  return { places, end, percent, at, isTime: Boolean(moments) };
}

function seconds(place) {
  return (place / 1000).toFixed(1);
}

function askTimeline(strokes) {
  const detail = { strokes, timeline: null };
  document.dispatchEvent(new CustomEvent("ink-timeline", { detail }));
  return detail.timeline;
}

function chart(plot, colours, axis) {
  const box = make("div", "chart");
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 100 100");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  box.append(svg);
  for (const { name, colour, values, isDashed } of series(plot, colours)) {
    svg.append(line(values, axis, colour, isDashed));
    const at = peak(values);
    if (values[at] < WORTH_NAMING) continue;
    const label = make("span", "name", name);
    const share = axis.percent(axis.places[at]);
    label.style.left = `${share}%`;
    label.style.setProperty("--share", share); // keeps the name inside the chart at its edges
    label.style.top = `${100 - 100 * values[at]}%`;
    label.style.setProperty("--colour", isDashed ? "#6b6b6b" : colour);
    box.append(label);
  }
  box.append(make("span", "cursor"));
  return box;
}

function build(root, data) {
  const last = data.labels.length - 1;
  const moments = data.growth && momentsOf(data.growth.shares, askTimeline(data.growth.strokes));
  const axis = axisOf(data.labels.length, moments);
  const picture = make("span", "picture-at");
  picture.setAttribute("role", "img");
  picture.style.backgroundImage = `url(${data.sheet})`;
  picture.style.backgroundSize = `${100 * data.labels.length}% 100%`;
  const plots = data.plots.map((plot) => {
    const figure = make("figure", "plot");
    const caption = make("figcaption", "read-at");
    figure.append(caption, chart(plot, data.colours, axis));
    return { plot, figure, caption, cursor: figure.querySelector(".cursor") };
  });
  const slider = make("input", "scrub");
  Object.assign(slider, { type: "range", min: 0, max: axis.end, step: axis.isTime ? "any" : 1 });
  slider.setAttribute("aria-label", axis.isTime ? "Time" : data.name);
  const label = make("output", "label-at");
  const column = make("div", "plots");
  column.append(...plots.map(({ figure }) => figure), slider, label);
  if (data.growth) column.append(player());
  root.replaceChildren(picture, column);

  let shownAt = data.at;

  /** Show a picture, with the slider at its place, or at a later one where it is still the latest picture. */
  function show(at, place = axis.places[at]) {
    shownAt = at;
    slider.value = place;
    picture.style.backgroundPosition = `${last ? (100 * at) / last : 0}% 0`;
    const when = axis.isTime ? `${seconds(place)} of ${seconds(axis.end)} s · ` : "";
    label.textContent = `${when}${data.name}: ${data.labels[at]}`;
    for (const { plot, caption, cursor } of plots) {
      caption.textContent = plot.title ? `${plot.title}: ${plot.words[at]}` : plot.words[at];
      cursor.style.left = `${axis.percent(place)}%`;
    }
    const words = plots.map(({ caption }) => caption.textContent).join("; ");
    picture.setAttribute("aria-label", `Read as ${words}`);
    slider.setAttribute("aria-valuetext", `${axis.isTime ? `${seconds(place)} s, ` : ""}${data.labels[at]}: ${words}`);
  }

  /** A button that replays the drawing at the pace of the pen, or evenly if that is not known. */
  function player() {
    const button = make("button", "play", axis.isTime ? "Replay as drawn" : "Replay");
    button.type = "button";
    button.addEventListener("click", () => {
      const began = performance.now();
      const run = (root.run = {}); // a later press or new data ends this run
      const step = () => {
        if (root.run !== run || !root.isConnected) return;
        const gone = performance.now() - began;
        const place = Math.min(axis.end, axis.isTime ? gone : Math.floor(gone / EVEN_PACE));
        show(axis.at(place), place);
        if (place < axis.end) requestAnimationFrame(step);
      };
      step();
    });
    return button;
  }

  slider.addEventListener("input", () => {
    root.run = null;
    show(axis.at(Number(slider.value)), Number(slider.value));
  });
  // Step from picture to picture, however far apart they are in time: the browser's own steps would skip some.
  slider.addEventListener("keydown", (event) => {
    const [before, after] = [Math.max(0, shownAt - 1), Math.min(last, shownAt + 1)];
    const keys = { ArrowLeft: before, ArrowDown: before, ArrowRight: after, ArrowUp: after, Home: 0, End: last };
    if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    root.run = null;
    show(keys[event.key]);
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
