// The page: what is chosen, the paths, and how they are drawn.
"use strict";
const COLOURS = ["#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const MOST = 5000; // steps of one path
const at = (id) => document.getElementById(id);
const state = { path: [], losses: [], memory: null, kept: [], timer: null };

const known = () => KNOWN.find((one) => one.name === at("function").value);
const functionHere = () => LANDSCAPES[known().name];
const settings = () => ({ rate: Number(at("rate").value), momentum: Number(at("momentum").value) });
const shown = (x) => (Number.isFinite(x) ? (Math.abs(x) >= 1e4 || (x && Math.abs(x) < 1e-3) ? x.toExponential(3) : x.toFixed(4)) : String(x));
const diverged = () => !state.path[state.path.length - 1].every((x) => Math.abs(x) < 1e12);

function begin() {
  const start = [Number(at("start-x").value), Number(at("start-y").value)];
  state.path = [start];
  state.losses = [functionHere().value(start)];
  state.memory = RULES[at("rule").value].begin(start);
  at("status").textContent = "";
  draw();
}

function advance(steps) {
  const rule = RULES[at("rule").value], here = functionHere();
  for (let i = 0; i < steps && state.path.length <= MOST && !diverged(); i++) {
    const point = state.path[state.path.length - 1];
    const [next, memory] = rule.step(point, here.gradient(point), state.memory, settings());
    state.path.push(next);
    state.losses.push(here.value(next));
    state.memory = memory;
  }
  if (diverged()) { play(false); at("status").textContent = "It diverged: the rate is too large here."; }
  draw();
}

function play(on) {
  clearInterval(state.timer);
  state.timer = on ? setInterval(() => advance(1), 40) : null;
  at("play").setAttribute("aria-pressed", String(on));
  at("play").textContent = on ? "pause" : "play";
}

// ------------------------------------------------------------------------------------------------ drawing

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function scales(canvas) {
  const [left, right, bottom, top] = known().box;
  return {
    x: (x) => ((x - left) / (right - left)) * canvas.width,
    y: (y) => ((top - y) / (top - bottom)) * canvas.height,
    point: (px, py) => [left + (px / canvas.width) * (right - left), top - (py / canvas.height) * (top - bottom)],
  };
}

// Heights in equal steps of the logarithm above the least one on the map: bands of colour, their edges are contours.
function drawMap() {
  const canvas = at("map"), context = canvas.getContext("2d"), { width, height } = canvas;
  const { point } = scales(canvas), value = functionHere().value;
  const heights = new Float64Array(width * height);
  let least = Infinity, most = -Infinity;
  for (let j = 0; j < height; j++) {
    for (let i = 0; i < width; i++) {
      const z = value(point(i + 0.5, j + 0.5));
      heights[j * width + i] = z;
      least = Math.min(least, z); most = Math.max(most, z);
    }
  }
  const low = colour("--map-low").split(",").map(Number), high = colour("--map-high").split(",").map(Number);
  const image = context.createImageData(width, height), bands = 18, floor = (most - least) * 1e-4;
  const full = Math.log((most - least) / floor + 1);
  const band = (z) => Math.floor((Math.log((z - least) / floor + 1) / full) * bands);
  for (let k = 0; k < heights.length; k++) {
    const own = band(heights[k]), share = own / bands;
    const edge = (k % width && band(heights[k - 1]) !== own) || (k >= width && band(heights[k - width]) !== own);
    for (let c = 0; c < 3; c++) {
      const plain = low[c] + (high[c] - low[c]) * share;
      image.data[4 * k + c] = edge ? plain * 0.82 : plain;
    }
    image.data[4 * k + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  state.background = context.getImageData(0, 0, width, height);
}

function drawPath(context, path, tint, x, y) {
  context.strokeStyle = context.fillStyle = tint;
  context.lineWidth = 2;
  context.beginPath();
  path.forEach(([a, b], i) => (i ? context.lineTo(x(a), y(b)) : context.moveTo(x(a), y(b))));
  context.stroke();
  for (const [a, b] of path.slice(0, 400)) context.fillRect(x(a) - 2, y(b) - 2, 4, 4);
  const [a, b] = path[path.length - 1];
  context.beginPath(); context.arc(x(a), y(b), 6, 0, 7); context.fill();
  context.strokeStyle = "#fff"; context.lineWidth = 1.5; context.stroke();
}

function paths() {
  const now = { name: at("rule").value, path: state.path, losses: state.losses, tint: COLOURS[state.kept.length % COLOURS.length] };
  return [...state.kept, now];
}

function draw() {
  const canvas = at("map"), context = canvas.getContext("2d"), { x, y } = scales(canvas);
  if (!state.background) drawMap();
  context.putImageData(state.background, 0, 0);
  context.lineWidth = 2;
  for (const [a, b] of known().minima) {
    context.strokeStyle = "#fff"; context.beginPath(); context.arc(x(a), y(b), 8, 0, 7); context.stroke();
    context.strokeStyle = "#000"; context.beginPath(); context.arc(x(a), y(b), 10, 0, 7); context.stroke();
  }
  for (const one of paths()) drawPath(context, one.path, one.tint, x, y);
  drawCurves();
  at("rows").replaceChildren(...paths().map(row));
}

function row(one) {
  const last = one.path.length - 1, point = one.path[last], line = document.createElement("tr");
  const norm = Math.hypot(...functionHere().gradient(point));
  const cells = [one.name, last, ...point.map(shown), shown(one.losses[last]), shown(norm)];
  for (const cell of cells) line.append(Object.assign(document.createElement("td"), { textContent: cell }));
  const swatch = Object.assign(document.createElement("span"), { className: "swatch" });
  swatch.style.background = one.tint;
  line.firstChild.prepend(swatch);
  return line;
}

// The loss above the lowest value that is known: of the function, or else of all paths.
function drawCurves() {
  const canvas = at("curve"), context = canvas.getContext("2d"), { width, height } = canvas;
  const all = paths(), lowest = known().lowest ?? Math.min(...all.flatMap((one) => one.losses.filter(Number.isFinite)));
  const gaps = all.map((one) => one.losses.map((loss) => Math.log10(Math.max(loss - lowest, 1e-16))));
  const finite = gaps.flat().filter(Number.isFinite), steps = Math.max(10, ...gaps.map((g) => g.length - 1));
  const top = Math.ceil(Math.max(...finite)), bottom = Math.max(-16, Math.min(top - 2, Math.floor(Math.min(...finite))));
  const x = (t) => 46 + (t / steps) * (width - 60), y = (g) => 12 + ((top - g) / (top - bottom)) * (height - 46);
  context.clearRect(0, 0, width, height);
  context.font = "13px system-ui"; context.lineWidth = 1;
  for (let g = bottom; g <= top; g += Math.ceil((top - bottom) / 8)) {
    context.strokeStyle = colour("--soft"); context.fillStyle = colour("--ink");
    context.beginPath(); context.moveTo(46, y(g)); context.lineTo(width - 12, y(g)); context.stroke();
    context.fillText(`1e${g}`, 6, y(g) + 4);
  }
  context.fillText("0", 43, height - 12); context.fillText(`${steps} steps`, width - 74, height - 12);
  all.forEach((one, k) => {
    context.strokeStyle = one.tint; context.lineWidth = 2; context.beginPath();
    gaps[k].forEach((g, t) => { if (Number.isFinite(g)) context.lineTo(x(t), y(Math.max(g, bottom))); });
    context.stroke();
  });
}

// ------------------------------------------------------------------------------------------------ choosing

function chooseFunction() {
  const one = known();
  at("function-formula").textContent = `L(x, y) = ${one.formula}`;
  [at("start-x").value, at("start-y").value] = one.start;
  state.background = null; state.kept = [];
  begin();
}

function chooseRule() {
  const rule = RULES[at("rule").value];
  at("rule-formula").textContent = rule.formula;
  at("momentum-label").style.visibility = rule.settings.includes("momentum") ? "visible" : "hidden";
  setRate(rule.rate);
  begin();
}

function setRate(rate) {
  at("rate").value = rate;
  at("rate-slider").value = Math.log10(Math.max(rate, 1e-4));
}

for (const one of KNOWN) at("function").append(new Option(one.name));
for (const name of Object.keys(RULES)) at("rule").append(new Option(name));
at("function").value = KNOWN[Math.min(2, KNOWN.length - 1)].name;
at("function").addEventListener("change", chooseFunction);
at("rule").addEventListener("change", () => { play(false); chooseRule(); });
at("rate").addEventListener("input", () => { setRate(Number(at("rate").value)); begin(); });
at("rate-slider").addEventListener("input", () => { at("rate").value = Number((10 ** at("rate-slider").value).toPrecision(3)); begin(); });
for (const id of ["momentum", "start-x", "start-y"]) at(id).addEventListener("input", begin);
at("step").addEventListener("click", () => advance(1));
at("ten").addEventListener("click", () => advance(10));
at("play").addEventListener("click", () => play(state.timer === null));
at("reset").addEventListener("click", () => { play(false); begin(); });
at("keep").addEventListener("click", () => { play(false); state.kept.push(paths().pop()); begin(); });
at("forget").addEventListener("click", () => { state.kept = []; draw(); });
at("map").addEventListener("click", (event) => {
  const frame = at("map").getBoundingClientRect(), { point } = scales(at("map"));
  const place = point(((event.clientX - frame.left) / frame.width) * at("map").width, ((event.clientY - frame.top) / frame.height) * at("map").height);
  [at("start-x").value, at("start-y").value] = place.map((t) => Number(t.toFixed(4)));
  begin();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { state.background = null; draw(); });
chooseRule();
chooseFunction();
