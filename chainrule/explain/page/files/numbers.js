// Numbers as one sees them: in short form, as a table, as a heat map, an image or a histogram.

/** The arrays as they are in the page: what was changed here, and what was computed from it. */
const arrays = new Array(values.length).fill(undefined);
let recomputed = false;

/** A value's entries, flat; null where there are too many to be kept, or where it is not known any more. */
function entriesOf(place) {
  if (recomputed) return arrays[place] ? Array.from(arrays[place].data) : null;
  const { numbers } = values[place];
  return numbers === undefined ? null : readNumbers(numbers);
}

/** The gradient that reached a value; null if none did or its entries were not kept. */
function gradientOf(place) {
  const { gradient } = values[place];
  if (!gradient) return null;
  if (recomputed) return gradient.value === undefined || !arrays[gradient.value] ? null : Array.from(arrays[gradient.value].data);
  return gradient.numbers === undefined ? null : readNumbers(gradient.numbers);
}

function short(x) {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "NaN" : x > 0 ? "∞" : "−∞";
  const size = Math.abs(x);
  const text = x !== 0 && (size >= 1e6 || size < 1e-4) ? x.toExponential(2) : String(Number(x.toPrecision(4)));
  return text.replaceAll("-", "−");
}

const isKnown = place => {
  const node = maker.get(place);
  return node === undefined || node < state.step;
};

/** Whether every operation that sends a gradient to the value has done so. */
function gradientIsKnown(place) {
  return (users.get(place) ?? []).every(node => (backwardStep.get(node) ?? 0) <= state.step) && state.step >= nodes.length;
}

/** What stands at a line: one number, a few, or nothing. */
function few(entries) {
  if (!entries || entries.length > 3 || !entries.length) return "";
  return entries.length === 1 ? short(entries[0]) : entries.map(short).join(", ");
}

// ------------------------------------------------------------------------------------------- elements

/** An HTML element with its attributes, texts and children. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter(child => child !== null && child !== undefined));
  return element;
}

/** A colour from the one for low to the one for high numbers; the middle is 0. */
function heat(x, largest) {
  if (!Number.isFinite(x) || !largest) return "transparent";
  const share = Math.round(Math.min(1, Math.abs(x) / largest) * 55);
  return `color-mix(in srgb, var(${x < 0 ? "--low" : "--high"}) ${share}%, var(--box))`;
}

/** How an array is cut into tables: the last dimension across, the one before it down. */
function tablesOf(shape, entries) {
  const columns = shape.at(-1) ?? 1, rows = shape.length > 1 ? shape.at(-2) : 1, size = Math.max(1, rows * columns);
  const tables = [];
  for (let start = 0; start < entries.length; start += size) {
    const index = [];
    let rest = start / size;
    for (let axis = shape.length - 3; axis >= 0; axis--) {
      index.unshift(rest % shape[axis]);
      rest = Math.floor(rest / shape[axis]);
    }
    tables.push({ label: shape.length > 2 ? `[${index.join(", ")}]` : "", start, rows, columns });
  }
  return tables;
}

/** Numbers as tables whose cells are coloured; `cell` may give something else than the number. */
function numberTable(shape, entries, cell = (x, i) => short(x)) {
  const largest = Math.max(...entries.map(Math.abs).filter(Number.isFinite), 0);
  const all = make("div", { class: "scroll", tabindex: entries.length > 8 ? "0" : null, role: "group", "aria-label": "numbers" });
  for (const { label, start, rows, columns } of tablesOf(shape, entries)) {
    const table = make("table", { class: "matrix" });
    for (let r = 0; r < rows; r++) {
      const row = make("tr");
      for (let c = 0; c < columns; c++) {
        const i = start + r * columns + c, x = entries[i];
        const td = make("td", { title: String(x) }, cell(x, i));
        if (entries.length > 1) td.style.background = heat(x, largest);
        row.append(td);
      }
      table.append(row);
    }
    if (label) all.append(make("div", { class: "slice" }, label));
    all.append(table);
  }
  return all;
}

const STATISTICS = [["least", "least"], ["largest", "largest"], ["mean", "mean"], ["deviation", "deviation"], ["zeros", "zeros"], ["nan", "NaN"]];

function statisticsList(statistics) {
  const list = make("dl", { class: "facts" });
  for (const [key, label] of STATISTICS) {
    const x = statistics[key] ?? undefined;
    if (x === undefined || (key === "nan" && !x)) continue;
    const [number] = readNumbers(x);
    list.append(make("dt", {}, label), make("dd", { class: key === "nan" ? "wrong" : null }, key === "zeros" ? `${short(100 * number)} %` : short(number)));
  }
  return list;
}

/** More entries than this are shown as colours, not as a table. */
const MOST_IN_TABLE = 64;

/** A colour for each entry: a plane of the last two dimensions beside the other. */
function heatMap(shape, entries) {
  const columns = shape.at(-1) ?? 1, rows = shape.length > 1 ? shape.at(-2) : 1, planes = Math.max(1, entries.length / (rows * columns));
  const across = Math.ceil(Math.sqrt(planes * rows / columns)), gap = planes > 1 ? 1 : 0;
  const width = across * (columns + gap) - gap, height = Math.ceil(planes / across) * (rows + gap) - gap;
  const canvas = make("canvas", { class: "picture", width, height, role: "img", "aria-label": `heat map of ${shape.join(" × ")} numbers` });
  canvas.style.width = `${Math.min(320, width * Math.max(1, Math.floor(300 / width)))}px`;
  const context = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
  const [low, high] = ["--low", "--high"].map(name => style.getPropertyValue(name).trim());
  const largest = entries.reduce((most, x) => (Number.isFinite(x) ? Math.max(most, Math.abs(x)) : most), 0) || 1;
  entries.forEach((x, i) => {
    const plane = Math.floor(i / (rows * columns)), row = Math.floor(i / columns) % rows, column = i % columns;
    context.globalAlpha = Number.isFinite(x) ? Math.abs(x) / largest : 1;
    context.fillStyle = x < 0 ? low : high;
    context.fillRect((plane % across) * (columns + gap) + column, Math.floor(plane / across) * (rows + gap) + row, 1, 1);
  });
  return canvas;
}

/** What an array is like, as the explanation says it of those that it does not hold. */
function statisticsOf(entries) {
  const known = entries.filter(Number.isFinite), count = known.length || 1;
  const mean = known.reduce((a, b) => a + b, 0) / count;
  const deviation = Math.sqrt(known.reduce((sum, x) => sum + (x - mean) ** 2, 0) / count);
  const [least, largest] = [Math.min, Math.max].map(f => entries.reduce((a, b) => f(a, b)));
  return { least, largest, mean, deviation, zeros: entries.filter(x => x === 0).length / entries.length, nan: entries.filter(Number.isNaN).length };
}

/** Counts as bars. */
function histogram(counts) {
  const largest = Math.max(...counts, 1), width = 100 / counts.length, space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  for (const [name, value] of Object.entries({ viewBox: "0 0 100 40", preserveAspectRatio: "none", class: "bars", role: "img" })) svg.setAttribute(name, value);
  svg.setAttribute("aria-label", `histogram of ${counts.reduce((a, b) => a + b, 0)} entries`);
  counts.forEach((count, i) => {
    const bar = document.createElementNS(space, "rect"), height = (40 * count) / largest;
    for (const [name, value] of Object.entries({ x: i * width, y: 40 - height, width: width * 0.9, height })) bar.setAttribute(name, value);
    svg.append(bar);
  });
  return svg;
}

/** Grey levels, one byte each, row by row. */
function greyImage({ width, height, base64 }) {
  const canvas = make("canvas", { class: "picture", width, height, role: "img", "aria-label": `image of ${width} × ${height} points` });
  canvas.style.width = `${Math.min(288, width * Math.max(1, Math.floor(256 / Math.max(width, height))))}px`;
  const context = canvas.getContext("2d"), pixels = context.createImageData(width, height), bytes = atob(base64);
  for (let i = 0; i < width * height; i++) pixels.data.set([bytes.charCodeAt(i), bytes.charCodeAt(i), bytes.charCodeAt(i), 255], 4 * i);
  context.putImageData(pixels, 0, 0);
  return canvas;
}

/** Numbers, or what is known of them. */
function show(shape, entries, { statistics, histogram: counts, image } = {}) {
  const parts = [];
  if (image && !recomputed && !entries) parts.push(greyImage(image));
  if (entries && entries.length > MOST_IN_TABLE) parts.push(heatMap(shape, entries), statisticsList(statisticsOf(entries)));
  else if (entries) parts.push(numberTable(shape, entries));
  else if (statistics && !recomputed) parts.push(statisticsList(statistics));
  if (counts && !entries && !recomputed) parts.push(histogram(readNumbers(counts.counts ?? counts)));
  if (!parts.length) parts.push(make("p", { class: "kind" }, recomputed ? "not known after the change" : "not kept"));
  return parts;
}
