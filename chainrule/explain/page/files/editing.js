// Numbers that can be changed: everything that follows from them is computed again, forward and backward.

const MOST_NODES = 300;
const reasons = new Map();

/** Whether the page can compute: a small graph, and the numbers of everything that no operation made are there. */
const live = nodes.length > 0 && nodes.length <= MOST_NODES && !nodes.some(node => node.failed) &&
  [...nodes, ...gradientNodes].every(node => node.inputs.every(value => maker.has(value) || madeBackward.has(value) || values[value].numbers !== undefined));
function isLive() { return live; }

const isEditable = place => live && !maker.has(place) && !madeBackward.has(place) && isFloat(values[place].type) && users.has(place);

/** The arrays before the first change: what the explanation has, and what follows from that. */
function prepare() {
  if (recomputed) return;
  values.forEach((value, place) => {
    if (value.numbers !== undefined) arrays[place] = makeArray(value.shape ?? [], value.type, readNumbers(value.numbers));
  });
  const unknown = new Set(values.map((_, place) => place).filter(place => arrays[place] === undefined));
  for (const node of [...nodes, ...gradientNodes]) {
    if (!node.outputs.some(value => unknown.has(value)) || !node.inputs.every(value => arrays[value])) continue;
    if (!meanings[node.operation]) continue;
    const made = apply(node.operation, node.inputs.map(value => arrays[value]), node.settings ?? {}, node.outputs.map(formOf));
    node.outputs.forEach((value, i) => { arrays[value] ??= made[i]; });
  }
  recomputed = true;
}

const formOf = place => ({ shape: values[place].shape ?? [], type: values[place].type });

/** Puts a number into a value and computes what follows. */
function change(place, entry, number) {
  prepare();
  const { shape, type, data: before } = arrays[place];
  arrays[place] = makeArray(shape, type, before.map((x, i) => (i === entry ? number : x)));
  recompute([...nodes, ...gradientNodes], values.map((_, v) => formOf(v)), arrays, new Set([place]), reasons);
  findWrong();
  fillPanel();
  redraw();
}

// --------------------------------------------------------------------------------------- the first NaN again

const allFinite = place => !arrays[place] || Array.from(arrays[place].data).every(x => Number.isFinite(Number(x)));

/** What made the first NaN or infinity of the numbers as they are now: {node, group?, message}, or null. */
function firstNaN() {
  if (!recomputed) return data.first_nan ?? null;
  const made = nodes.findIndex(node => node.inputs.every(allFinite) && !node.outputs.every(allFinite));
  if (made >= 0) return { node: made, message: `${nodes[made].operation} made it from finite numbers.` };
  const sent = backwardNodes.find(place => {
    const node = nodes[place], upstream = node.outputs.map(value => values[value].gradient?.value).filter(value => value !== undefined);
    const gone = node.contributions.map(contribution => contribution?.value).filter(value => value !== undefined);
    return [...node.inputs, ...node.outputs, ...upstream].every(allFinite) && !gone.every(allFinite);
  });
  return sent === undefined ? null : { node: sent, message: `The gradient of ${nodes[sent].operation} made it from finite numbers.` };
}

/** Where something is wrong now: the operation that failed or made the first NaN, and the groups around it. */
let wrong = { node: -1, groups: new Set() };

function findWrong() {
  const failed = nodes.findIndex(node => node.failed), found = failed >= 0 ? { node: failed } : firstNaN();
  wrong = found === null ? { node: -1, groups: new Set() } : {
    node: found.group === undefined ? found.node : -1,
    groups: new Set([...groupsAround({ kind: "node", place: found.node }), ...(found.group === undefined ? [] : [found.group])]),
  };
}

// ----------------------------------------------------------------------- upstream × local = downstream again

function recomputedParts(node, contribution, position) {
  const shown = (shape, place) => show(shape, place !== undefined && arrays[place] ? Array.from(arrays[place].data) : null);
  const result = values[node.outputs[0]], upstream = values[node.outputs[0]].gradient?.value;
  return {
    upstream: shown(result.shape ?? [], upstream),
    local: localFactor(node, contribution, position, upstream),
    downstream: shown(values[node.inputs[position]].shape ?? [], contribution.value),
  };
}

/** What the gradient is multiplied by, read off the equations of the contribution: what they make of a 1 at each
 *  entry. A row for each entry of the result; for an elementwise operation only the diagonal. */
function localFactor(node, contribution, position, upstream) {
  if (!contribution.steps || upstream === undefined || !arrays[upstream] || !contribution.local) return null;
  const size = arrays[upstream].data.length, part = gradientNodes.slice(...contribution.steps);
  const given = nestedShape(contribution.local.numbers ?? contribution.local);
  const trial = entries => {
    const copy = [...arrays], { shape, type } = arrays[upstream];
    copy[upstream] = makeArray(shape, type, entries);
    recompute(part, values.map((_, v) => formOf(v)), copy, new Set([upstream]), new Map());
    return copy[contribution.value] && Array.from(copy[contribution.value].data);
  };
  const shape = values[node.inputs[position]].shape ?? [], isDiagonal = String(given) === String(shape);
  const rows = isDiagonal ? trial(new Array(size).fill(1)) : Array.from({ length: size }, (_, i) => trial(Array.from({ length: size }, (_, j) => Number(i === j)))).flat();
  return rows && show(isDiagonal ? shape : given, rows);
}

// ------------------------------------------------------------------------------------------------- fields

/** Fields for the entries, all of them or the one that is picked, and a slider for the one that was touched last. */
function editor(place) {
  const entries = entriesOf(place), name = nameOf({ kind: "value", place }), fields = [];
  const label = i => `${name}${entries.length > 1 ? `, entry ${i + 1} of ${entries.length}` : ""}`;
  const slider = make("input", { type: "range" });
  let chosen = 0;
  const pick = i => {
    chosen = i;
    const x = entriesOf(place)[i], reach = Math.max(1, 2 * Math.abs(x));
    Object.assign(slider, { min: -reach, max: reach, step: reach / 200, value: x });
    slider.setAttribute("aria-label", `slider for ${label(i)}`);
  };
  const set = (i, text) => {
    if (text === "" || !Number.isFinite(Number(text))) return;
    change(place, i, Number(text));
    if (chosen === i) slider.value = text;
  };
  const written = x => Number(x.toPrecision(6));
  const fieldFor = (x, i) => {
    const field = fields[i] = make("input", { type: "number", step: "any", value: written(x), "aria-label": label(i) });
    field.addEventListener("focus", () => pick(i));
    field.addEventListener("input", () => set(i, field.value));
    return field;
  };
  slider.addEventListener("input", () => {
    (fields[chosen] ?? fields[0]).value = Number(Number(slider.value).toPrecision(4));
    change(place, chosen, Number(slider.value));
  });
  pick(0);
  const below = make("div", { class: "slider" }, slider);
  if (entries.length <= MOST_IN_TABLE) return [numberTable(values[place].shape ?? [], entries, fieldFor), below];
  const value = make("input", { type: "number", step: "any", value: written(entries[0]), "aria-label": `number at the entry of ${name}` });
  const which = make("input", { type: "number", min: 1, max: entries.length, value: 1, "aria-label": `which entry of ${name}` });
  fields[0] = value;
  value.addEventListener("input", () => set(chosen, value.value));
  which.addEventListener("input", () => {
    const i = Math.min(entries.length, Math.max(1, Math.round(Number(which.value)) || 1)) - 1;
    pick(i);
    value.value = written(entriesOf(place)[i]);
  });
  const line = make("div", { class: "slider matrix" }, make("span", {}, "entry"), which, make("span", {}, "="), value);
  return [...show(values[place].shape, entries), line, below];
}

/** While somebody types or drags, the field stays where it is; what stands around it is made anew. */
function refreshAround(kept, fresh) {
  const at = fresh.findIndex(element => element.dataset?.value === kept.dataset.value);
  for (const child of [...panel.children]) if (child !== kept) child.remove();
  kept.before(...fresh.slice(0, at));
  kept.after(...fresh.slice(at + 1));
  for (const part of [".gradient", ":scope > .picture", ":scope > .facts"]) {
    const [old, now] = [kept, fresh[at]].map(section => section.querySelector(part));
    if (old && now) old.replaceWith(now);
  }
}
