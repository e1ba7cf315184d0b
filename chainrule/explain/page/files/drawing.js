// The picture: only what lies in view is drawn, and only as finely as it can be seen.

const canvas = document.getElementById("graph"), context = canvas.getContext("2d");
let palette = {}, picture = { width: 0, height: 0 }, waiting = false;

const KINDS = {
  elementwise: "Add Subtract Multiply Divide FloorDivide Remainder Power Maximum Minimum Arctan2 Negate Exp Expm1 Log Log1p Sqrt Rsqrt Sin Cos Arcsin Arctan Tanh Erf Erfc Absolute Sign Floor Round Equal Less LessEqual Where BitwiseAnd BitwiseOr BitwiseXor BitwiseNot Lgamma Polygamma Erfinv NormalQuantile",
  product: "MatMul LowBitsMatMul Convolution ConvolutionTranspose ConvolutionWeight Attention AttentionGradient Solve Det SlogDet Cholesky QR Eigh SVD",
  reduction: "Sum Product Amax Argmax CumulativeSum CumulativeArgmax Sort SearchSorted",
  move: "Cast Broadcast Reshape Permute Flip Pad Concatenate Index IndexAdd IndexUpdate IndexReduce",
  window: "Windows Fold WindowSum MaxPool MaxPoolGradient",
};
const kindOf = new Map(Object.entries(KINDS).flatMap(([kind, names]) => names.split(" ").map(name => [name, kind])));

function readPalette() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["ground", "box", "line", "edge", "text", "quiet", "value", "gradient", "chosen", "group", "inner", "wrong", "leaf", "soft", "elementwise", "product", "reduction", "move", "window", "other"]) {
    palette[name] = style.getPropertyValue(`--${name}`).trim();
  }
}

/** Draws at the next opportunity, once. */
function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; draw(); });
}

function fitCanvas() {
  const { width, height } = canvas.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
  picture = { width, height, ratio };
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
}

function draw() {
  const { ratio, width, height } = picture;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.fillStyle = palette.ground;
  context.fillRect(0, 0, width, height);
  context.setTransform(ratio * state.scale, 0, 0, ratio * state.scale, ratio * state.x, ratio * state.y);
  const view = [-state.x / state.scale, -state.y / state.scale, (width - state.x) / state.scale, (height - state.y) / state.scale];
  drawInside(inside(ROOT), 0, 0, view);
}

/** Below this scale boxes are too small for anything but their colour. */
const FAR = 0.1;

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
const font = (size, weight = 400) => `${weight} ${size}px ${FONT}`;

function drawInside(here, x, y, view) {
  const near = [view[0] - x, view[1] - y, view[2] - x, view[3] - y];
  const shown = here.boxes.filter(b => b.x < near[2] && b.y < near[3] && b.x + b.w > near[0] && b.y + b.h > near[1]);
  context.save();
  context.translate(x, y);
  for (const box of shown) if (box.inner) drawOpenGroup(box);
  drawLines(here.lines.filter(({ bounds: [l, t, r, b] }) => l < near[2] && t < near[3] && r > near[0] && b > near[1] - 40));
  for (const box of shown) if (!box.inner) drawBox(box);
  if (state.scale > 0.55) for (const box of shown) drawNumbers(box);
  context.restore();
  for (const box of shown) if (box.inner) drawInside(box.inner, x + box.x + PAD, y + box.y + HEADER, view);
}

function rounded(x, y, w, h, radius) {
  context.beginPath();
  context.roundRect(x, y, w, h, radius);
}

/** Lines wear the colour of what is chosen or under the pointer. */
function lineIsLit(line) {
  const lit = item => item && (
    (item.kind === "node" && (nodes[item.place].outputs.some(value => line.values.includes(value)) || same(line.to, item))) ||
    (item.kind === "value" && line.values.includes(item.place)));
  return lit(state.hovered) || lit(state.chosen);
}

function drawLines(lines) {
  const plain = new Path2D(), lit = new Path2D(), late = new Path2D();
  for (const line of lines) {
    const isLit = lineIsLit(line);
    if (line.twin && !isLit) continue;
    const path = isLit ? lit : line.values.some(isKnown) ? plain : late;
    if (line.far && !isLit) drawEnds(path, line.points);
    else if (line.back) drawBackwards(path, line.points);
    else drawForwards(path, line.points);
  }
  context.lineWidth = Math.max(1.1, 0.6 / state.scale);
  context.strokeStyle = palette.edge;
  context.stroke(late);
  context.strokeStyle = palette.line;
  context.stroke(plain);
  context.lineWidth = Math.max(1.8, 1.4 / state.scale);
  context.strokeStyle = palette.chosen;
  context.stroke(lit);
}

function drawForwards(path, points) {
  path.moveTo(...points[0]);
  for (let i = 1; i < points.length; i++) {
    const [ax, ay] = points[i - 1], [bx, by] = points[i], middle = (ax + bx) / 2;
    if (ay === by || state.scale < FAR) path.lineTo(bx, by);
    else path.bezierCurveTo(middle, ay, middle, by, bx, by);
  }
}

/** Of a line that comes from far away only its ends are drawn, until one asks for it. */
function drawEnds(path, points) {
  for (const [[x, y], side] of [[points[0], 1], [points.at(-1), -1]]) {
    path.moveTo(x, y);
    path.lineTo(x + 14 * side, y);
    for (const dot of [18, 22]) {
      path.moveTo(x + dot * side, y);
      path.lineTo(x + (dot + 1) * side, y);
    }
  }
}

/** A line back to what stands before goes around below. */
function drawBackwards(path, points) {
  const [ax, ay] = points[0], [bx, by] = points.at(-1), below = Math.max(ay, by) + 46;
  path.moveTo(ax, ay);
  path.bezierCurveTo(ax + 50, ay, ax + 50, below, (ax + bx) / 2, below);
  path.bezierCurveTo(bx - 50, below, bx - 50, by, bx, by);
}

function outlineOf(box, colour) {
  const chosen = same(state.chosen, box), hovered = same(state.hovered, box);
  context.lineWidth = chosen ? Math.max(2.2, 2 / state.scale) : Math.max(1, 0.5 / state.scale);
  context.strokeStyle = colour !== palette.wrong && (chosen || hovered) ? palette.chosen : colour;
  context.stroke();
}

function drawOpenGroup(box) {
  rounded(box.x, box.y, box.w, box.h, 12);
  context.fillStyle = palette.inner;
  context.fill();
  outlineOf(box, palette.edge);
  if (state.scale < 0.28) return;
  const group = groups[box.place];
  context.fillStyle = palette.quiet;
  context.font = font(12, 600);
  context.textAlign = "left";
  context.textBaseline = "middle";
  const words = classOf(group) ? `${groupTitle(group)}  ${group.class}` : groupTitle(group);
  context.fillText(words, box.x + PAD, box.y + 16, box.w - 2 * PAD);
}

function drawBox(box) {
  if (state.scale < FAR && !same(state.chosen, box) && !same(state.hovered, box)) drawFromAfar(box);
  else if (box.kind === "node") drawOperation(box);
  else if (box.kind === "group") drawFolded(box);
  else if (box.kind === "value") drawLeaf(box);
}

/** A box that is a few pixels large. */
function drawFromAfar({ kind, place, x, y, w, h }) {
  if (kind === "in" || kind === "out") return;
  const node = kind === "node" ? nodes[place] : null;
  context.fillStyle = node && wrong.node === place ? palette.wrong : node ? palette[kindOf.get(node.operation) ?? "other"] : palette.line;
  context.globalAlpha = node && place >= state.step ? 0.45 : 1;
  context.fillRect(x, y, w, h);
  context.globalAlpha = 1;
}

/** Whether an operation became part of the same kernel as the chosen one. */
function isFusedWithChosen(node) {
  const chosen = state.chosen?.kind === "node" ? nodes[state.chosen.place] : null;
  return chosen !== null && chosen !== node && node.kernel !== undefined && node.kernel === chosen.kernel;
}

function drawOperation(box) {
  const node = nodes[box.place], { x, y, w, h } = box, done = box.place < state.step;
  const current = steps[state.step - 1], isCurrent = state.step < steps.length && current?.node === box.place;
  rounded(x, y, w, h, 8);
  context.globalAlpha = done ? 1 : 0.45;
  context.fillStyle = palette.box;
  context.fill();
  outlineOf(box, wrong.node === box.place ? palette.wrong : palette.line);
  context.globalAlpha = 1;
  if (isFusedWithChosen(node)) {
    context.lineWidth = 2;
    context.setLineDash([5, 3]);
    context.strokeStyle = palette.chosen;
    context.stroke();
    context.setLineDash([]);
  }
  if (isCurrent) {
    context.lineWidth = 3;
    context.strokeStyle = current.pass === "forward" ? palette.value : palette.gradient;
    context.stroke();
  }
  context.fillStyle = palette[kindOf.get(node.operation) ?? "other"];
  context.fillRect(x + 1, y + 8, 3, h - 16);
  if (state.scale < 0.3) return;
  context.globalAlpha = done ? 1 : 0.55;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillStyle = wrong.node === box.place ? palette.wrong : palette.text;
  context.font = font(13, 600);
  context.fillText(node.operation, x + w / 2 + 1, y + 14, w - 12);
  context.fillStyle = palette.quiet;
  context.font = font(11);
  const value = values[node.outputs[0]];
  context.fillText(value ? shapeText(value) : "", x + w / 2 + 1, y + 29, w - 12);
  context.globalAlpha = 1;
}

function drawFolded({ x, y, w, h, place, kind }) {
  const group = groups[place], box = { x, y, w, h, place, kind };
  const copies = group.count > 1 ? 2 : 0;
  for (let i = copies; i > 0; i--) {
    rounded(x + 3 * i, y - 3 * i, w, h, 10);
    context.fillStyle = palette.group;
    context.fill();
    context.lineWidth = 1;
    context.strokeStyle = palette.line;
    context.stroke();
  }
  rounded(x, y, w, h, 10);
  context.fillStyle = palette.group;
  context.fill();
  outlineOf(box, wrong.groups.has(place) ? palette.wrong : palette.line);
  if (state.scale < 0.25) return;
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.fillStyle = palette.text;
  context.font = font(13, 600);
  context.fillText(groupTitle(group), x + 14, y + 18, w - 44);
  context.fillStyle = palette.quiet;
  context.font = font(11);
  context.fillText(classOf(group) || counted(operationsIn.get(place) ?? 0, "operation"), x + 14, y + 37, w - 28);
  context.textAlign = "right";
  context.font = font(13);
  context.fillText("+", x + w - 12, y + 18);
}

function drawLeaf(box) {
  const { x, y, w, h, place } = box, value = values[place];
  rounded(x, y, w, h, h / 2);
  context.fillStyle = value.kind === "constant" ? palette.soft : palette.leaf;
  context.fill();
  outlineOf(box, palette.edge);
  if (state.scale < 0.3) return;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillStyle = palette.text;
  context.font = font(12, value.kind === "constant" ? 400 : 500);
  context.fillText(leafLabel(value, place), x + w / 2, y + h / 2 + 0.5, w - 12);
}

function leafLabel(value, place) {
  if (value.name) return value.name.split(".").slice(-2).join(".");
  const { least, largest } = value.statistics ?? {};
  return few(entriesOf(place)) || (Number.isFinite(least) && least === largest ? short(least) : value.kind);
}

/** What fits between two boxes. */
function brief(entries) {
  const text = few(entries);
  return text.length <= 12 ? text : "";
}

/** The value above the line that leaves a box, the gradient below it. */
function drawNumbers(box) {
  if (box.kind !== "node" && box.kind !== "value") return;
  const place = box.kind === "node" ? nodes[box.place].outputs[0] : box.place;
  if (place === undefined) return;
  const above = isKnown(place) && (box.kind === "node" || values[place].name) ? brief(entriesOf(place)) : "";
  const below = gradientIsKnown(place) ? brief(gradientOf(place)) : "";
  const x = box.x + box.w + 5, y = box.y + box.h / 2;
  context.textAlign = "left";
  context.font = font(11.5, 500);
  context.lineJoin = "round";
  context.lineWidth = 4;
  context.strokeStyle = palette.ground;
  if (above) {
    context.textBaseline = "bottom";
    context.strokeText(above, x, y - 3, 66);
    context.fillStyle = palette.value;
    context.fillText(above, x, y - 3, 66);
  }
  if (below) {
    context.textBaseline = "top";
    context.strokeText(below, x, y + 4, 66);
    context.fillStyle = palette.gradient;
    context.fillText(below, x, y + 4, 66);
  }
}

// ------------------------------------------------------------------------------------- moving the picture

function zoomAt(factor, px = picture.width / 2, py = picture.height / 2) {
  const scale = Math.min(4, Math.max(0.004, state.scale * factor)), real = scale / state.scale;
  state.x = px - (px - state.x) * real;
  state.y = py - (py - state.y) * real;
  state.scale = scale;
  redraw();
}

/** Shows all; where that is too small to be read, and `readable` is asked for, as much from the left as can be read. */
function fit(readable = false) {
  const whole = inside(ROOT), margin = 32;
  const scale = Math.min((picture.width - 2 * margin) / Math.max(whole.width, 1), (picture.height - 2 * margin) / Math.max(whole.height, 1));
  state.scale = Math.min(1.4, Math.max(scale, readable ? 0.8 : 0.004));
  state.x = Math.max(margin, (picture.width - whole.width * state.scale) / 2);
  state.y = (picture.height - whole.height * state.scale) / 2;
  if (readable && childrenOf(ROOT).length && whole.height * state.scale > picture.height) bringIntoView(childrenOf(ROOT)[0]);
  redraw();
}

/** Moves the picture so that something is in view and can be read. */
function bringIntoView(item) {
  const box = boxOf(item);
  if (!box) return;
  if (state.scale < 0.45) state.scale = 0.9;
  const left = box.x * state.scale + state.x, top = box.y * state.scale + state.y;
  const w = box.w * state.scale, h = box.h * state.scale, margin = 40;
  if (left < margin || left + w > picture.width - margin) state.x = picture.width / 2 - (box.x + Math.min(box.w, picture.width / state.scale - 80) / 2) * state.scale;
  if (top < margin || top + h > picture.height - margin) state.y = picture.height / 2 - (box.y + Math.min(box.h, picture.height / state.scale - 80) / 2) * state.scale;
  redraw();
}
