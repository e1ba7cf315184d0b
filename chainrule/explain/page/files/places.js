// Where everything stands. Each group was laid out with its subgroups folded; where one is open, the picture around it
// is stretched to make room: everything keeps its order, and nothing overlaps.

const PAD = 16, HEADER = 30;

/** A map of numbers that rises at least as fast as they do and gives each interval [from, to] the size it needs. */
function stretched(intervals) {
  const points = [...new Set(intervals.flatMap(({ from, to }) => [from, to]))].sort((a, b) => a - b);
  const at = new Map(points.map((p, i) => [p, i])), moved = [];
  const ending = new Map();
  for (const interval of intervals) ending.set(interval.to, [...(ending.get(interval.to) ?? []), interval]);
  points.forEach((p, i) => {
    moved.push(i ? moved[i - 1] + p - points[i - 1] : p);
    for (const { from, size } of ending.get(p) ?? []) moved[i] = Math.max(moved[i], moved[at.get(from)] + size);
  });
  return v => {
    if (!points.length || v <= points[0]) return v;
    let low = 0, high = points.length - 1;
    if (v >= points[high]) return v + moved[high] - points[high];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (points[middle] <= v) low = middle; else high = middle;
    }
    return moved[low] + ((v - points[low]) * (moved[high] - moved[low])) / (points[high] - points[low]);
  };
}

const BOX_KINDS = ["node", "value", "group", "in", "out"];
const placed = new Map();

/** A group's inside: boxes, lines and size, with places relative to its own corner. */
function inside(group) {
  if (!placed.has(group)) placed.set(group, placeInside(group));
  return placed.get(group);
}

function placeInside(group) {
  const layout = layouts[group], given = layout.boxes ?? [];
  const open = given.map(([kind, place]) => (kind === 2 && state.open.has(place) ? inside(place) : null));
  const across = [], down = [];
  given.forEach(([, , x, y, w, h], i) => {
    if (!open[i]) return;
    across.push({ from: x, to: x + w, size: open[i].width + 2 * PAD });
    down.push({ from: y, to: y + h, size: open[i].height + HEADER + PAD });
  });
  const toX = stretched(across), toY = stretched(down);
  const boxes = given.map(([kind, place, x, y, w, h], i) => {
    const box = { kind: BOX_KINDS[kind], place, inner: open[i] };
    const [left, right, top, bottom] = [toX(x), toX(x + w), toY(y), toY(y + h)];
    box.w = open[i] ? open[i].width + 2 * PAD : w;
    box.h = open[i] ? open[i].height + HEADER + PAD : h;
    box.x = (left + right - box.w) / 2;
    box.y = (top + bottom - box.h) / 2;
    return box;
  });
  const lines = (layout.lines ?? []).map(([from, to, port, carried, ...bends]) => {
    const points = [], far = bends[0] === null;
    for (let i = 0; i < bends.length && !far; i += 2) points.push([toX(bends[i]), toY(bends[i + 1])]);
    return { from: boxes[from], to: boxes[to], way: `${from} ${to}`, port, values: carried, points, far, back: from > to };
  });
  const drawn = new Set();
  for (const line of lines) {
    // Several values may go the same way.
    line.twin = drawn.has(line.way) && !line.from.inner && !line.to.inner;
    drawn.add(line.way);
    line.points.unshift(endOf(line.from, line.port, "out"));
    line.points.push(endOf(line.to, line.port, "in"));
    const xs = line.points.map(p => p[0]), ys = line.points.map(p => p[1]);
    line.bounds = [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
  }
  const known = new Map(boxes.map(box => [`${box.kind}${box.place}`, box]));
  return { boxes, lines, known, width: toX(layout.width ?? 0), height: toY(layout.height ?? 0) };
}

/** Where a line meets a box: at its side, or at the port of an open group. */
function endOf(box, number, side) {
  const x = side === "out" ? box.x + box.w : box.x;
  if (box.kind === "in") return [box.x - PAD, box.y + box.h / 2];
  if (box.kind === "out") return [box.x + PAD, box.y + box.h / 2];
  if (!box.inner) return [x, box.y + box.h / 2];
  const port = box.inner.known.get(side + number);
  return [x, box.y + HEADER + (port ? port.y + port.h / 2 : box.inner.height / 2)];
}

/** Opens or folds groups; only they and those around them are placed anew. */
function setOpen(changes) {
  for (const [group, open] of changes) {
    if (open) state.open.add(group); else state.open.delete(group);
    placed.delete(group);
    for (const outer of groupsAround({ kind: "group", place: group })) placed.delete(outer);
  }
  placed.delete(ROOT);
}

/** Where something is drawn, as a box in the coordinates of the whole; null while a group around it is folded. */
function boxOf(item) {
  let x = 0, y = 0, here = inside(ROOT);
  for (const group of groupsAround(item)) {
    const box = here.known.get(`group${group}`);
    if (!box?.inner) return null;
    [x, y, here] = [x + box.x + PAD, y + box.y + HEADER, box.inner];
  }
  const box = here.known.get(item.kind + item.place);
  return box ? { x: x + box.x, y: y + box.y, w: box.w, h: box.h } : null;
}

/** The innermost thing at a point of the whole. */
function itemAt(px, py, here = inside(ROOT), x = 0, y = 0) {
  for (const box of here.boxes) {
    const left = x + box.x, top = y + box.y;
    if (box.kind === "in" || box.kind === "out" || px < left || py < top || px > left + box.w || py > top + box.h) continue;
    const inner = box.inner && itemAt(px, py, box.inner, left + PAD, top + HEADER);
    return inner || { kind: box.kind, place: box.place };
  }
  return null;
}
