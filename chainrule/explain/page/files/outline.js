// The list of modules and operations: the same tree as in the picture, for eyes that read and for screen readers.

const tree = document.querySelector("#outline ul"), treeItems = new Map();
const AT_ONCE = 200;
const keyOf = ({ kind, place }) => `${kind}${place}`;

function fillOutline() {
  tree.replaceChildren(...branch(ROOT, 1));
  markOutline();
}

/** The items of one group; very many are shown in portions. */
function branch(group, level, from = 0) {
  const all = childrenOf(group), shown = all.slice(from, from + AT_ONCE).map(item => treeItem(item, level));
  if (all.length > from + AT_ONCE) {
    const more = make("li", { role: "treeitem", tabindex: "-1", "aria-level": level }, make("span", {}, `… ${all.length - from - AT_ONCE} more`));
    more.addEventListener("click", event => {
      event.stopPropagation();
      const added = branch(group, level, from + AT_ONCE);
      more.replaceWith(...added);
      added[0].focus();
    });
    shown.push(more);
  }
  return shown;
}

function treeItem(item, level) {
  const isGroup = item.kind === "group";
  const mark = make("span", { class: "mark", "aria-hidden": "true" }, item.kind === "value" ? "○" : "");
  const label = make("span", {}, mark, nameOf(item));
  if (isGroup && classOf(groups[item.place])) label.append(" ", make("small", {}, classOf(groups[item.place])));
  const element = make("li", { role: "treeitem", tabindex: "-1", "aria-level": level, "aria-selected": "false" }, label);
  Object.assign(element, { item, level, mark, branch: null });
  treeItems.set(keyOf(item), element);
  if (isGroup) showBranch(element);
  return element;
}

/** What hangs on a group's item: made when it is first opened, and kept. */
function showBranch(element) {
  const { item: { place }, level } = element, open = state.open.has(place);
  element.setAttribute("aria-expanded", String(open));
  element.mark.textContent = open ? "▾" : "▸";
  if (!open) return element.branch?.remove();
  element.branch ??= madeBranch(place, level + 1);
  element.append(element.branch);
}

/** A group's list. The browser lays it out only where it is in view; what it is told is how high it will be. */
function madeBranch(group, level) {
  const items = branch(group, level), list = make("ul", { role: "group" }, ...items);
  list.style.containIntrinsicHeight = `auto ${items.length * 24}px`;
  return list;
}

/** Groups were opened or folded, outer ones first. */
function refreshBranches(changed) {
  for (const group of changed) {
    const element = treeItems.get(keyOf({ kind: "group", place: group }));
    if (element) showBranch(element);
  }
  markOutline();
}

let marked = null, entrance = null;

function markOutline() {
  const element = state.chosen && treeItems.get(keyOf(state.chosen));
  marked?.setAttribute("aria-selected", "false");
  marked = element?.isConnected ? element : null;
  marked?.setAttribute("aria-selected", "true");
  if (entrance) entrance.tabIndex = -1;
  entrance = marked ?? tree.firstElementChild;
  if (entrance) entrance.tabIndex = 0;
  marked?.scrollIntoView({ block: "nearest" });
}

tree.addEventListener("click", event => {
  const element = event.target.closest("li");
  if (!element?.item) return;
  if (event.target.classList.contains("mark") && element.item.kind === "group") toggle(element.item.place);
  choose(element.item);
  bringIntoView(element.item);
});
tree.addEventListener("dblclick", event => {
  const item = event.target.closest("li")?.item;
  if (item?.kind === "group" && !event.target.classList.contains("mark")) toggle(item.place);
});

tree.addEventListener("keydown", event => {
  const element = event.target.closest("li");
  if (!element) return;
  const visible = [...tree.querySelectorAll("li")], at = visible.indexOf(element), { item } = element;
  const isOpen = element.getAttribute("aria-expanded") === "true";
  const go = target => {
    if (!target) return;
    if (target.item) { choose(target.item); bringIntoView(target.item); }
    (target.isConnected ? target : treeItems.get(keyOf(target.item)))?.focus();
  };
  const moves = {
    ArrowDown: () => go(visible[at + 1]),
    ArrowUp: () => go(visible[at - 1]),
    Home: () => go(visible[0]),
    End: () => go(visible.at(-1)),
    ArrowRight: () => (item?.kind === "group" && !isOpen ? toggle(item.place) : go(element.querySelector("li"))),
    ArrowLeft: () => (isOpen ? toggle(item.place) : go(element.parentElement.closest("li"))),
    Enter: () => (item?.kind === "group" ? toggle(item.place) : item ? panel.focus() : element.click()),
    " ": () => (item ? go(element) : element.click()),
  };
  if (!moves[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  event.stopPropagation();
  moves[event.key]();
});
