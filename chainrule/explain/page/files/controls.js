// What a hand does: choosing, opening, moving the picture, keys; and the beginning of it all.

const stage = document.getElementById("stage"), tip = document.getElementById("tip"), said = document.getElementById("said");

function say(text) { said.textContent = text; }

function choose(item) {
  state.chosen = item;
  fillPanel();
  markOutline();
  redraw();
  if (item) say(describe(item));
}

/** What a screen reader is told, and the tip shows. */
function describe(item) {
  if (item.kind === "group") return `${groupTitle(groups[item.place])}, ${groups[item.place].class ?? groups[item.place].kind}, ${operationsIn.get(item.place) ?? 0} operations, ${state.open.has(item.place) ? "open" : "folded"}`;
  const place = item.kind === "node" ? nodes[item.place].outputs[0] : item.place;
  if (place === undefined) return nameOf(item);
  const numbers = isKnown(place) ? few(entriesOf(place)) : "", gradient = gradientIsKnown(place) ? few(gradientOf(place)) : "";
  return `${nameOf(item)}, ${shapeText(values[place])} ${values[place].type}${numbers ? `, value ${numbers}` : ""}${gradient ? `, gradient ${gradient}` : ""}`;
}

/** Opens or folds one group; what is under the hand stays where it is. */
function toggle(group, open = !state.open.has(group)) {
  const item = { kind: "group", place: group }, before = boxOf(item);
  setOpen([[group, open]]);
  const after = boxOf(item);
  if (before && after) {
    state.x += (before.x - after.x) * state.scale;
    state.y += (before.y - after.y) * state.scale;
  }
  refreshBranches([group]);
  if (same(state.chosen, item)) fillPanel();
  say(describe(item));
  redraw();
}

/** Opens the groups around something, chooses it and brings it into view. */
function reveal(item) {
  const folded = groupsAround(item).filter(group => !state.open.has(group));
  if (folded.length) {
    setOpen(folded.map(group => [group, true]));
    refreshBranches(folded);
  }
  choose(item);
  bringIntoView(item);
}

function foldAll() {
  const open = [...state.open];
  setOpen(open.map(group => [group, false]));
  state.chosen = null;
  refreshBranches(open);
  fillPanel();
  fit();
}

// --------------------------------------------------------------------------------------------- the pointer

let drag = null;
const pointers = new Map();

const pointOf = event => {
  const { left, top } = canvas.getBoundingClientRect();
  return [event.clientX - left, event.clientY - top];
};
const itemUnder = event => {
  const [px, py] = pointOf(event);
  return itemAt((px - state.x) / state.scale, (py - state.y) / state.scale);
};

canvas.addEventListener("pointerdown", event => {
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, pointOf(event));
  drag = { moved: false };
});
canvas.addEventListener("pointermove", event => {
  if (!pointers.has(event.pointerId)) return hover(event);
  const before = [...pointers.values()].map(p => [...p]);
  pointers.set(event.pointerId, pointOf(event));
  const after = [...pointers.values()];
  if (after.length === 2) {  // two fingers: apart or together
    const distance = ([[ax, ay], [bx, by]]) => Math.hypot(ax - bx, ay - by) || 1;
    zoomAt(distance(after) / distance(before), (after[0][0] + after[1][0]) / 2, (after[0][1] + after[1][1]) / 2);
    drag.moved = true;
  } else {
    const [dx, dy] = [after[0][0] - before[0][0], after[0][1] - before[0][1]];
    drag.total = (drag.total ?? 0) + Math.abs(dx) + Math.abs(dy);
    if (drag.total > 4) { drag.moved = true; canvas.classList.add("moving"); }
    state.x += dx;
    state.y += dy;
    redraw();
  }
});
function release(event) {
  pointers.delete(event.pointerId);
  canvas.classList.remove("moving");
  if (event.type === "pointerup" && drag && !drag.moved) choose(itemUnder(event));
  if (!pointers.size) drag = null;
}
canvas.addEventListener("pointerup", release);
canvas.addEventListener("pointercancel", release);
canvas.addEventListener("dblclick", event => {
  const item = itemUnder(event);
  if (item?.kind === "group") toggle(item.place);
});
canvas.addEventListener("wheel", event => {
  event.preventDefault();
  if (event.shiftKey) { state.x -= event.deltaY + event.deltaX; return redraw(); }
  zoomAt(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), ...pointOf(event));
}, { passive: false });

function hover(event) {
  const item = itemUnder(event), [px, py] = pointOf(event);
  if (!same(item, state.hovered)) {
    state.hovered = item;
    redraw();
    tip.hidden = !item;
    if (item) tip.replaceChildren(make("b", {}, nameOf(item)), make("div", {}, describe(item).slice(nameOf(item).length).replace(/^, /, "")), make("div", { class: "kind" }, pathOf(item)));
  }
  if (item) {
    tip.style.left = `${Math.min(px + 14, picture.width - 200)}px`;
    tip.style.top = `${Math.min(py + 16, picture.height - 70)}px`;
  }
}
canvas.addEventListener("pointerleave", () => { state.hovered = null; tip.hidden = true; redraw(); });

// ------------------------------------------------------------------------------------------------- keys

/** The box in the same group that is nearest above or below; those straight ahead come first. */
function neighbour(item, direction) {
  const here = boxOf(item);
  if (!here) return null;
  let best = null, least = Infinity;
  for (const other of childrenOf(groupsAround(item).at(-1) ?? ROOT)) {
    const box = boxOf(other);
    const dy = (box.y + box.h / 2 - here.y - here.h / 2) * direction, dx = Math.abs(box.x + box.w / 2 - here.x - here.w / 2);
    if (dy > 1 && dy + 3 * dx < least) [best, least] = [other, dy + 3 * dx];
  }
  return best;
}

/** What a line leads to, as far as it can be seen: where it is in a folded group, that group. */
function visibleOf(item) {
  const folded = groupsAround(item).find(group => !state.open.has(group));
  return folded === undefined ? item : { kind: "group", place: folded };
}

const nodeOrValue = value => (maker.has(value) ? { kind: "node", place: maker.get(value) } : { kind: "value", place: value });

/** Where lines lead to or come from: for a group those that cross its border. */
function linked(item, forwards) {
  const within = node => groupsAround({ kind: "node", place: node }).includes(item.place);
  const mine = item.kind === "node" ? [item.place] : item.kind === "value" ? [] : nodes.map((_, i) => i).filter(within);
  const made = item.kind === "value" ? [item.place] : mine.flatMap(node => nodes[node].outputs);
  const ends = forwards
    ? made.flatMap(value => users.get(value) ?? []).map(node => ({ kind: "node", place: node }))
    : mine.flatMap(node => nodes[node].inputs).map(nodeOrValue);
  const inGroup = end => item.kind === "group" && groupsAround(end).includes(item.place);
  return ends.filter(end => !inGroup(end)).map(visibleOf).find(end => !same(end, item));
}

function start() {
  return childrenOf(ROOT)[0] ?? null;
}

const graphKeys = {
  ArrowRight: () => (state.chosen ? linked(state.chosen, true) : start()),
  ArrowLeft: () => (state.chosen ? linked(state.chosen, false) : start()),
  ArrowDown: () => (state.chosen ? neighbour(state.chosen, 1) : start()),
  ArrowUp: () => (state.chosen ? neighbour(state.chosen, -1) : start()),
  Backspace: () => {
    const group = state.chosen && groupsAround(state.chosen).at(-1);
    return group === undefined || group === null ? null : { kind: "group", place: group };
  },
};

canvas.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    if (state.chosen?.kind === "group") toggle(state.chosen.place);
    else if (state.chosen) panel.focus();
  } else if (event.key === "Escape") {
    choose(null);
  } else if (graphKeys[event.key]) {
    event.preventDefault();
    const item = graphKeys[event.key]();
    if (!item) return;
    choose(item);
    bringIntoView(item);
  }
});

const pageKeys = {
  "/": () => searchInput.focus(),
  "+": () => zoomAt(1.25), "=": () => zoomAt(1.25), "-": () => zoomAt(0.8), 0: () => fit(),
  ".": () => goToStep(state.step + 1), ",": () => goToStep(state.step - 1),
  Home: () => goToStep(0), End: () => goToStep(steps.length, false),
  f: foldAll, l: toggleOutline, d: switchTheme, "?": () => document.getElementById("help").showModal(),
};
document.addEventListener("keydown", event => {
  const typing = ["INPUT", "TEXTAREA", "SELECT"].includes(document.activeElement?.tagName);
  if (typing || event.ctrlKey || event.metaKey || event.altKey || document.getElementById("help").open || !pageKeys[event.key]) return;
  event.preventDefault();
  pageKeys[event.key]();
});

// ------------------------------------------------------------------------------------------------ buttons

function setTheme(dark) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  readPalette();
  redraw();
}

function switchTheme() { setTheme(document.documentElement.dataset.theme !== "dark"); }

function toggleOutline() {
  const outline = document.getElementById("outline");
  outline.hidden = !outline.hidden;
  document.getElementById("outline-button").setAttribute("aria-pressed", String(!outline.hidden));
  fitCanvas();
  draw();
}

for (const [id, action] of Object.entries({
  "zoom-in": () => zoomAt(1.25), "zoom-out": () => zoomAt(0.8), fit: () => fit(), "fold-all": foldAll, theme: switchTheme,
  "outline-button": toggleOutline, "help-button": () => document.getElementById("help").showModal(),
})) document.getElementById(id).addEventListener("click", action);

// ---------------------------------------------------------------------------------------------- beginning

/** The part of the address behind # names what to show: n12 an operation, g3 a group. */
function followAddress() {
  const id = decodeURIComponent(location.hash.slice(1));
  const look = (list, kind) => {
    const place = list.findIndex(entry => entry.id === id);
    if (place >= 0) reveal({ kind, place });
    return place >= 0;
  };
  return id && (look(nodes, "node") || look(groups, "group"));
}

/** A small graph is shown open, a large one folded. */
function openAtFirst() {
  const few = nodes.length <= 40 ? groups.map((_, place) => place) : groups.length && childrenOf(ROOT).length === 1 && childrenOf(ROOT)[0].kind === "group" ? [childrenOf(ROOT)[0].place] : [];
  setOpen(few.map(group => [group, true]));
}

const dark = window.matchMedia("(prefers-color-scheme: dark)");
dark.addEventListener("change", () => setTheme(dark.matches));
if (window.innerWidth <= 860) toggleOutline();
openAtFirst();
fillOutline();
showStep();
fitCanvas();
setTheme(dark.matches);
fillPanel();
fit(true);
draw();
const view = () => `${state.x} ${state.y} ${state.scale}`;
let fitted = view();
new ResizeObserver(() => {
  // A frame may get its size late; until somebody has moved the picture, it is fitted again.
  const moved = view() !== fitted;
  fitCanvas();
  if (!moved) { fit(true); fitted = view(); }
  draw();
}).observe(stage);
window.addEventListener("hashchange", followAddress);
followAddress();
findWrong();
const broken = nodes.findIndex(node => node.failed);
if (broken >= 0 && !location.hash) reveal({ kind: "node", place: broken });

/** For those who look from outside, tests among them: where things are on the screen, and what is known of them. */
window.microscope = {
  state, data, reveal, toggle, entriesOf, gradientOf, change, draw, goToStep,
  screenPlace(item) {
    const box = boxOf(item), { left, top } = canvas.getBoundingClientRect();
    return box && { x: left + state.x + (box.x + box.w / 2) * state.scale, y: top + state.y + (box.y + Math.min(box.h / 2, 16)) * state.scale };
  },
};
document.documentElement.dataset.ready = "";
