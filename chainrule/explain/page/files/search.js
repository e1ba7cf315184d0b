// Search: in operations, modules, names of values and lines of the source.

const searchInput = document.getElementById("search"), found = document.getElementById("found");
const MOST_FOUND = 40;
let results = [], active = -1;

/** All that can be found, with its words; collected when it is asked for first. */
let searchable = null;
const collected = () => [
  ...groups.map((group, place) => ({ item: { kind: "group", place }, text: `${group.name} ${classOf(group)}` })),
  ...[...homeOfValue.keys()].filter(place => values[place].name).map(place => ({ item: { kind: "value", place }, text: values[place].name })),
  ...nodes.map((node, place) => ({ item: { kind: "node", place }, text: `${node.operation}${node.line ? ` ${files[node.line[0]]}:${node.line[1]}` : ""}` })),
].map(entry => ({ ...entry, words: `${entry.text} ${pathOf(entry.item)}`.toLowerCase() }));

function search(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  searchable ??= collected();
  results = words.length ? searchable.filter(entry => words.every(word => entry.words.includes(word))).slice(0, MOST_FOUND) : [];
  active = results.length ? 0 : -1;
  found.replaceChildren(...results.map(({ item, text: label }, i) => make("li", { role: "option", id: `found-${i}`, "aria-selected": String(i === active), onmousedown: event => { event.preventDefault(); take(i); } },
    label, make("small", {}, pathOf(item)))));
  if (words.length && !results.length) found.replaceChildren(make("li", { role: "option", "aria-selected": "false", "aria-disabled": "true" }, "Nothing found"));
  showFound(words.length > 0);
}

function showFound(visible) {
  found.hidden = !visible;
  searchInput.setAttribute("aria-expanded", String(visible));
  if (visible && active >= 0) searchInput.setAttribute("aria-activedescendant", `found-${active}`);
  else searchInput.removeAttribute("aria-activedescendant");
}

function moveActive(by) {
  if (!results.length) return;
  active = (active + by + results.length) % results.length;
  [...found.children].forEach((element, i) => element.setAttribute("aria-selected", String(i === active)));
  found.children[active].scrollIntoView({ block: "nearest" });
  showFound(true);
}

function take(i) {
  if (!results[i]) return;
  reveal(results[i].item);
  showFound(false);
  canvas.focus();
}

searchInput.addEventListener("input", () => search(searchInput.value));
searchInput.addEventListener("blur", () => showFound(false));
searchInput.addEventListener("keydown", event => {
  const keys = {
    ArrowDown: () => moveActive(1), ArrowUp: () => moveActive(-1), Enter: () => take(active),
    Escape: () => { showFound(false); canvas.focus(); },
  };
  event.stopPropagation();
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
});
