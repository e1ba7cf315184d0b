// What is chosen, in words, formulas and numbers.

const panel = document.getElementById("panel");

let shownItem = null;

function fillPanel() {
  const { chosen } = state;
  const fresh = chosen === null ? overview() : chosen.kind === "node" ? aboutNode(chosen.place) : chosen.kind === "group" ? aboutGroup(chosen.place) : aboutValue(chosen.place);
  const field = panel.contains(document.activeElement) && document.activeElement.tagName === "INPUT" ? document.activeElement : null;
  if (field && (same(shownItem, chosen) || shownItem === chosen)) {
    refreshAround([...panel.children].find(child => child.contains(field)), fresh);
    return;
  }
  shownItem = chosen;
  panel.replaceChildren(...fresh);
  panel.scrollTop = 0;
}

const heading = text => make("h3", {}, text);

function overview() {
  const facts = make("dl", { class: "facts" });
  const rows = [["operations", nodes.length], ["groups", groups.length], ["made by", data.framework]];
  for (const [name, value] of rows) facts.append(make("dt", {}, name), make("dd", {}, String(value)));
  const parts = [make("h2", {}, title), facts];
  const failed = nodes.findIndex(node => node.failed);
  if (failed >= 0) parts.push(failure(nodes[failed].failed), jump("To the operation that failed", { kind: "node", place: failed }));
  const broken = failed < 0 ? firstNaN() : null;
  if (broken) {
    const { node, group, message } = broken;
    const item = group === undefined ? { kind: "node", place: node } : { kind: "group", place: group };
    parts.push(failure({ message: `First NaN or infinity: ${message}` }), jump("To what made it", item));
  }
  if (outputs.length) parts.push(heading("Results"), ...outputs.map((place, i) => valueSection(place, outputs.length > 1 ? `result ${i + 1}` : "result")));
  const named = values.map((_, place) => place).filter(place => values[place].kind === "input");
  if (named.length) parts.push(heading("Inputs"), ...named.map(place => valueSection(place)));
  if (kernels.length) parts.push(heading("Kernels"), kernelTable());
  return parts;
}

function kernelTable() {
  const table = make("table", { class: "matrix" }, make("tr", {}, ...["kernel", "µs", "GFLOP/s", "share"].map(name => make("th", { scope: "col" }, name))));
  for (const kernel of [...kernels].sort((a, b) => (b.microseconds ?? 0) - (a.microseconds ?? 0)).slice(0, 40)) {
    table.append(make("tr", {}, make("td", {}, kernel.name), ...kernelNumbers(kernel).map(text => make("td", {}, text))));
  }
  return make("div", { class: "scroll" }, table);
}

const kernelNumbers = ({ microseconds, gflops, share }) =>
  [microseconds === undefined ? "" : short(microseconds), gflops === undefined ? "" : short(gflops), share === undefined ? "" : `${short(100 * share)} %`];

function jump(text, item) {
  return make("button", { onclick: () => reveal(item) }, text);
}

/** The groups around something, each of them a button. */
function pathLine(item) {
  const line = make("p", { class: "path" });
  groupsAround(item).forEach((group, i) => {
    if (i) line.append(" › ");
    line.append(jump(groupTitle(groups[group]), { kind: "group", place: group }));
  });
  return line.childNodes.length ? line : null;
}

function failure({ message, came, expected }) {
  const box = make("div", { class: "wrong-box", role: "note" }, make("p", { class: "wrong" }, message ?? "This operation failed."));
  const facts = make("dl", { class: "facts" });
  for (const [name, text] of [["came", came], ["expected", expected]]) {
    if (text !== undefined && text !== message) facts.append(make("dt", {}, name), make("dd", {}, typeof text === "string" ? text : JSON.stringify(text)));
  }
  box.append(facts);
  return box;
}

// --------------------------------------------------------------------------------------------- formulas

function formulaOf(node) {
  const holder = make("div", { class: "formula", tabindex: "0", role: "group", "aria-label": "formula" });
  holder.innerHTML = formulas[node.formula] ?? "";
  return holder.firstChild?.hasChildNodes() ? holder : null;
}

const MATH = "http://www.w3.org/1998/Math/MathML";

function mathElement(tag, ...children) {
  const element = document.createElementNS(MATH, tag);
  element.append(...children);
  return element;
}

/** A number, or a small array in brackets, as MathML; null where it is too large for a formula. */
function mathNumbers(place, alone = false) {
  const entries = entriesOf(place), { shape = [] } = values[place];
  if (!entries || !entries.length || entries.length > 9 || shape.length > 2) return null;
  if (entries.length === 1) {
    const number = mathElement("mn", short(entries[0]));
    return entries[0] < 0 && !alone ? mathElement("mrow", mathElement("mo", "("), number, mathElement("mo", ")")) : number;
  }
  const columns = shape.at(-1), table = mathElement("mtable");
  for (let i = 0; i < entries.length; i += columns) {
    table.append(mathElement("mtr", ...entries.slice(i, i + columns).map(x => mathElement("mtd", mathElement("mn", short(x))))));
  }
  return mathElement("mrow", mathElement("mo", "["), table, mathElement("mo", "]"));
}

/** The formula with the numbers in the places of the letters. */
function formulaWithNumbers(node) {
  if (node.outputs.length !== 1 || !isKnown(node.outputs[0])) return null;
  const holder = make("div", { class: "formula numbers", tabindex: "0", role: "group", "aria-label": "formula with numbers" });
  holder.innerHTML = formulas[node.formula] ?? "";
  const letters = [...holder.querySelectorAll("[data-of]")];
  if (!letters.length) return null;
  for (const letter of letters) {
    const value = node.inputs[Number(letter.dataset.of)];
    const numbers = value === undefined ? null : mathNumbers(value);
    if (!numbers) return null;
    letter.replaceWith(numbers);
  }
  const result = mathNumbers(node.outputs[0], true);
  if (!result) return null;
  holder.firstChild.append(mathElement("mo", "="), result);
  return holder;
}

// ------------------------------------------------------------------------------------------- operations

function aboutNode(place) {
  const node = nodes[place], item = { kind: "node", place };
  const parts = [make("h2", {}, node.operation), pathLine(item)];
  if (node.line) parts.push(make("p", { class: "path" }, `${files[node.line[0]]}, line ${node.line[1]}`));
  parts.push(formulaOf(node), formulaWithNumbers(node));
  if (node.failed) parts.push(failure(node.failed));
  else if (wrong.node === place) parts.push(failure(firstNaN()));
  const reason = reasons.get(node) ?? (isLive() ? locked[node.operation] : undefined);
  if (reason) parts.push(make("p", { class: "locked" }, `Locked: ${reason}.`));
  parts.push(settingsList(node.settings), kernelFacts(node));
  if (node.inputs.length) parts.push(heading("Uses"), ...node.inputs.map(value => valueSection(value)));
  if (node.outputs.length) parts.push(heading(node.outputs.length > 1 ? "Results" : "Result"), ...node.outputs.map(value => valueSection(value)));
  parts.push(...backwardParts(node, place));
  return parts.filter(Boolean);
}

function settingsList(settings) {
  if (!settings || !Object.keys(settings).length) return null;
  const list = make("dl", { class: "facts" });
  for (const [name, value] of Object.entries(settings)) {
    list.append(make("dt", {}, name), make("dd", {}, settingText(value)));
  }
  return list;
}

function settingText(value) {
  if (Array.isArray(value)) return `(${value.map(v => JSON.stringify(v)).join(", ")})`;
  if (value?.nodes) return `${counted(value.nodes.length, "operation")}: ${value.nodes.map(node => node.operation).join(", ")}`;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function kernelFacts(node) {
  const kernel = kernels[node.kernel];
  if (!kernel) return node.without_kernel ? make("div", {}, heading("Compiled"), make("p", { class: "kind" }, `No kernel: ${node.without_kernel}.`), readersOf(node)) : null;
  const list = make("dl", { class: "facts" }, make("dt", {}, "kernel"), make("dd", {}, kernel.name));
  kernelNumbers(kernel).forEach((text, i) => {
    if (text) list.append(make("dt", {}, ["time", "speed", "share of the step"][i]), make("dd", {}, `${text}${[" µs", " GFLOP/s", ""][i]}`));
  });
  const others = nodes.map((_, place) => place).filter(place => nodes[place] !== node && nodes[place].kernel === node.kernel);
  if (others.length) list.append(make("dt", {}, "fused with"), make("dd", {}, ...others.slice(0, 30).map(place => jump(nodes[place].operation, { kind: "node", place }))));
  return make("div", {}, heading("Compiled"), list);
}

/** Where the results of an operation without a kernel are read: the operations that use them and have one. */
function readersOf(node) {
  const readers = node.outputs.flatMap(value => users.get(value) ?? []).filter(place => nodes[place].kernel !== undefined);
  if (!readers.length) return "";
  return make("p", {}, "read by ", ...[...new Set(readers)].slice(0, 30).map(place => jump(nodes[place].operation, { kind: "node", place })));
}

/** upstream × local = downstream for each input that a gradient goes to. */
function backwardParts(node, place) {
  const contributions = node.contributions ?? [];
  if (!contributions.some(Boolean)) return [];
  if ((backwardStep.get(place) ?? 0) > state.step) return [heading("Backward"), make("p", { class: "kind" }, "The gradient has not come here yet.")];
  const parts = [heading("Backward: upstream × local = downstream")];
  contributions.forEach((contribution, i) => {
    if (!contribution) return;
    const { upstream, local, downstream } = partsOf(node, contribution, i);
    const chain = make("div", { class: "chain" },
      make("div", {}, make("small", {}, "upstream"), ...upstream));
    if (local) chain.append(make("span", { class: "sign" }, "×"), make("div", {}, make("small", {}, "local"), ...local));
    chain.append(make("span", { class: "sign" }, "="), make("div", { class: "gradient" }, make("small", {}, "downstream"), ...downstream));
    parts.push(make("div", {}, make("b", {}, `to ${nameOf({ kind: "value", place: node.inputs[i] })}`), chain));
  });
  return parts;
}

const nestedShape = numbers => (Array.isArray(numbers) ? [numbers.length, ...nestedShape(numbers[0] ?? 0)] : []);

/** Numbers as the explanation has them: nested lists, or numbers and statistics together. */
function showGiven(given) {
  if (given === null || given === undefined) return null;
  if (typeof given !== "object" || Array.isArray(given)) return show(nestedShape(given), readNumbers(given));
  return show(given.numbers === undefined ? [] : nestedShape(given.numbers), given.numbers === undefined ? null : readNumbers(given.numbers), given);
}

function partsOf(node, contribution, position) {
  if (recomputed) return recomputedParts(node, contribution, position);
  const arrived = place => show(values[place].shape ?? [], gradientOf(place), values[place].gradient);
  return {  // what is all that arrived at a value stands there only
    upstream: showGiven(contribution.upstream) ?? arrived(node.outputs[0]),
    local: showGiven(contribution.local),
    downstream: showGiven(contribution.downstream) ?? arrived(node.inputs[position]),
  };
}

// ------------------------------------------------------------------------------------- values and groups

function valueSection(place, label) {
  const value = values[place], node = maker.get(place);
  const section = make("div", { class: "value", "data-value": place });
  const head = make("header", {}, make("b", {}, label ?? value.name ?? (node === undefined ? value.kind : nodes[node].operation)),
    make("span", { class: "kind" }, `${shapeText(value)} ${value.type}`));
  if (state.chosen?.kind !== "value" || state.chosen.place !== place) {
    const target = node === undefined ? { kind: "value", place } : { kind: "node", place: node };
    if (!same(state.chosen, target) && (node !== undefined || homeOfValue.has(place))) head.append(jump("show", target));
  }
  section.append(head);
  if (!isKnown(place)) {
    section.append(make("p", { class: "kind" }, "not computed yet"));
    return section;
  }
  section.append(...(isEditable(place) ? editor(place) : show(value.shape ?? [], entriesOf(place), value)));
  section.append(...gradientPart(place));
  return section;
}

function gradientPart(place) {
  const value = values[place];
  if (!value.gradient || !gradientIsKnown(place)) return [];
  return [make("div", { class: "gradient" }, make("small", {}, "gradient"), ...show(value.shape ?? [], gradientOf(place), value.gradient))];
}

function aboutValue(place) {
  const item = { kind: "value", place }, value = values[place];
  const used = users.get(place) ?? [];
  return [
    make("h2", {}, nameOf(item)), make("p", { class: "path" }, value.name ? value.kind : ""), pathLine(item), valueSection(place),
    used.length ? heading("Used by") : null,
    ...used.slice(0, 50).map(node => jump(`${nodes[node].operation}${pathOf({ kind: "node", place: node }) ? ` in ${pathOf({ kind: "node", place: node })}` : ""}`, { kind: "node", place: node })),
  ].filter(Boolean);
}

function aboutGroup(place) {
  const group = groups[place], item = { kind: "group", place };
  const facts = make("dl", { class: "facts" });
  const rows = [["class", group.class], ["kind", group.kind], ["equal ones", group.count > 1 ? group.count : undefined], ["operations", operationsIn.get(place) ?? 0]];
  for (const [name, value] of rows) if (value !== undefined) facts.append(make("dt", {}, name), make("dd", {}, String(value)));
  return [
    make("h2", {}, group.count > 1 ? `${group.name} ×${group.count}` : group.name), pathLine(item), facts,
    make("button", { onclick: () => toggle(place) }, state.open.has(place) ? "Fold" : "Open"),
    ...blockGradient(group),
  ].filter(Boolean);
}

/** A block with a gradient of its own is one step of the backward pass. */
function blockGradient(group) {
  if (!group.contributions?.some(Boolean) || state.step < steps.length || recomputed) return [];
  return [heading("Backward, by a rule of its own"), ...group.contributions.map((contribution, i) => contribution && make("div", {},
    make("b", {}, `to ${nameOf({ kind: "value", place: group.inputs[i] })}`),
    make("div", { class: "chain" }, make("div", {}, make("small", {}, "upstream"), ...(showGiven(contribution.upstream) ?? [])),
      make("span", { class: "sign" }, "→"),
      make("div", { class: "gradient" }, make("small", {}, "downstream"), ...(showGiven(contribution.downstream) ?? [])))))];
}
