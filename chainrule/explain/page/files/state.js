// What the page knows and what is chosen: the explanation's data, and the few things that change while one looks.

async function readData() {
  const element = document.getElementById("data");
  if (element.type === "application/json") return JSON.parse(element.textContent);
  // A large explanation is compressed; browsers can open it themselves.
  const bytes = Uint8Array.from(atob(element.textContent), c => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

const data = await readData();
const { title, nodes, groups, formulas, files, outputs, layouts } = data, kernels = data.kernels ?? [];
const values = [...data.values, ...(data.backward.values ?? [])], gradientNodes = data.backward.nodes ?? [];
for (const node of [...nodes, ...gradientNodes]) {
  node.inputs ??= [];
  node.outputs ??= [];
}

const ROOT = -1;  // the group that is the whole
const maker = new Map(), users = new Map(), madeBackward = new Set(gradientNodes.flatMap(node => node.outputs));
nodes.forEach((node, place) => {
  for (const value of node.outputs) maker.set(value, place);
  for (const value of node.inputs) users.set(value, [...(users.get(value) ?? []), place]);
});

/** The steps of a walk through the computation: each operation forward, then those that send gradients back. */
const backwardNodes = nodes.map((_, place) => place).filter(place => nodes[place].contributions?.some(Boolean)).reverse();
const steps = [
  ...nodes.map((_, node) => ({ pass: "forward", node })),
  ...backwardNodes.map(node => ({ pass: "backward", node })),
];
const backwardStep = new Map(backwardNodes.map((node, i) => [node, nodes.length + i + 1]));

const state = {
  open: new Set(),         // groups
  chosen: null,            // {kind: "node" | "value" | "group", place}
  hovered: null,
  step: steps.length,      // how many steps are done
  x: 0, y: 0, scale: 1,    // where the picture is
};

const same = (a, b) => Boolean(a && b && a.kind === b.kind && a.place === b.place);

/** The groups that something lies in, from the outermost on. */
function groupsAround({ kind, place }) {
  let group = kind === "node" ? nodes[place].group ?? ROOT : kind === "group" ? groups[place].parent ?? ROOT : homeOfValue.get(place) ?? ROOT;
  const chain = [];
  for (; group !== ROOT; group = groups[group].parent ?? ROOT) chain.unshift(group);
  return chain;
}

/** Which group a value that no operation made is drawn in; a constant is drawn in each that uses it, one of them counts. */
const homeOfValue = new Map();
for (const [group, layout] of Object.entries(layouts)) {
  for (const [kind, place] of layout.boxes ?? []) if (kind === 1 && !homeOfValue.has(place)) homeOfValue.set(place, Number(group));
}

/** A group's children in the order of the computation. */
function childrenOf(group) {
  return (layouts[group].boxes ?? []).filter(([kind]) => kind < 3).map(([kind, place]) => ({ kind: ["node", "value", "group"][kind], place }));
}

/** A group's name as it is called within the group around it, with how many equal ones it stands for. */
function groupTitle(group) {
  const around = groups[group.parent ?? ROOT]?.name;
  const name = around && group.name.startsWith(`${around}.`) ? group.name.slice(around.length + 1) : group.name;
  return group.count > 1 ? `${name} ×${group.count}` : name;
}
/** What a group is, where its name does not say that already. */
const classOf = group => (group.class && group.class !== group.name ? group.class : "");
const counted = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;
const shapeText = value => (value.shape?.length ? value.shape.join("×") : "scalar");

function nameOf({ kind, place }) {
  if (kind === "node") return nodes[place].operation;
  if (kind === "group") return groupTitle(groups[place]);
  return values[place].name ?? values[place].kind;
}

/** The dotted path of modules and blocks around something. */
const pathOf = item => groupsAround(item).map(group => groupTitle(groups[group])).join(" › ");

/** How many operations a group holds. */
const operationsIn = new Map();
for (const node of nodes) {
  for (let group = node.group ?? ROOT; group !== ROOT; group = groups[group].parent ?? ROOT) {
    operationsIn.set(group, (operationsIn.get(group) ?? 0) + 1);
  }
}
