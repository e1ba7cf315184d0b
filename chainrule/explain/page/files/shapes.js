// Primitives that move entries and compute nothing, and reading and writing at places.

const gathered = (x, shape, strides, start = 0) => {
  const result = new Float64Array(sizeOf(shape));
  walk(shape, strides, start, (offset, place) => { result[place] = x.data[offset]; });
  return result;
};

Object.assign(meanings, {
  Reshape: ([x]) => [x.data],

  Broadcast: ([x], { to }) => {
    const added = to.length - x.shape.length;
    const strides = stridesOf(x.shape).map((step, axis) => (x.shape[axis] === 1 ? 0 : step));
    return [gathered(x, to, [...new Array(added).fill(0), ...strides])];
  },

  Permute: ([x], { order }, [form]) => {
    const strides = stridesOf(x.shape);
    return [gathered(x, form.shape, order.map(axis => strides[axis]))];
  },

  Flip: ([x], { axes }) => {
    const strides = stridesOf(x.shape);
    const start = axes.reduce((sum, axis) => sum + strides[axis] * (x.shape[axis] - 1), 0);
    return [gathered(x, x.shape, strides.map((step, axis) => (axes.includes(axis) ? -step : step)), start)];
  },

  /** Entries of a constant are added on both sides of each dimension; negative numbers cut off. */
  Pad: ([x], { before, constant }, [form]) => {
    const [added] = readNumbers(constant);
    const result = new Float64Array(sizeOf(form.shape)), inner = stridesOf(x.shape), outer = stridesOf(form.shape);
    return [result.map((_, place) => {
      let from = 0;
      for (let axis = 0; axis < form.shape.length; axis++) {
        const i = Math.floor(place / outer[axis]) % form.shape[axis] - before[axis];
        if (i < 0 || i >= x.shape[axis]) return added;
        from += i * inner[axis];
      }
      return x.data[from];
    })];
  },

  Concatenate: (parts, { axis }, [form]) => {
    const result = new Float64Array(sizeOf(form.shape)), strides = stridesOf(form.shape);
    let start = 0;
    for (const part of parts) {
      walk(part.shape, strides, start, (offset, place) => { result[offset] = part.data[place]; });
      start += part.shape[axis] * strides[axis];
    }
    return [result];
  },
});

// ------------------------------------------------------------------------------------------- indexing

/** The steps of a range within a dimension, as a slice of Python with a positive step. */
function readRange([start, stop, step], extent) {
  const clip = (i, otherwise) => (i === null ? otherwise : Math.min(Math.max(i < 0 ? i + extent : i, 0), extent));
  const first = clip(start, 0), end = clip(stop, extent), by = step ?? 1;
  return { first, by, count: Math.max(0, Math.ceil((end - first) / by)) };
}

function checkedPlace(i, extent) {
  if (i < -extent || i >= extent) throw new Error(`the index ${i} is outside of a dimension of size ${extent}`);
  return i < 0 ? i + extent : i;
}

/** Where in x the entries of x[key] stand, in order. A key's parts: a number, null (a new dimension), "...",
 *  "array" (the next of the arrays) or {range: [start, stop, step]}. As in NumPy, arrays go together; their dimensions
 *  stand where they are, or in front if something else is between them. */
function placesOf(shape, key, arrays) {
  const named = key.filter(part => part !== null && part !== "...").length;
  const all = { range: [null, null, null] }, rest = new Array(shape.length - named).fill(all);
  const dots = key.indexOf("...");
  const parts = dots < 0 ? [...key, ...rest] : [...key.slice(0, dots), ...rest, ...key.slice(dots + 1)];
  const strides = stridesOf(shape), waiting = [...arrays];
  const dimensions = [], together = [], positions = [];
  let start = 0, axis = 0, spot = 0;
  for (const [position, part] of parts.entries()) {
    if (part === null) {
      dimensions.push({ extent: 1, step: 0 });
    } else if (typeof part === "object") {
      const { first, by, count } = readRange(part.range, shape[axis]);
      start += first * strides[axis];
      dimensions.push({ extent: count, step: by * strides[axis++] });
    } else if (part === "array" || arrays.length) {
      if (!together.length) spot = dimensions.length;
      together.push({ places: part === "array" ? waiting.shift() : { shape: [], data: [part] }, axis: axis++ });
      positions.push(position);
    } else {
      start += checkedPlace(part, shape[axis]) * strides[axis++];
    }
  }
  const separate = positions.some((p, i) => i && p !== positions[i - 1] + 1);
  const joint = broadcastShape(together.map(({ places }) => places.shape));
  const table = new Float64Array(sizeOf(joint));
  for (const { places, axis: along } of together) {
    const added = joint.length - places.shape.length;
    const steps = stridesOf(places.shape).map((s, i) => (places.shape[i] === 1 ? 0 : s));
    walk(joint, [...new Array(added).fill(0), ...steps], 0, (offset, place) => {
      table[place] += checkedPlace(places.data[offset], shape[along]) * strides[along];
    });
  }
  // The joint dimensions walk through the table, the others through x.
  const inTable = stridesOf(joint).map((step, i) => ({ extent: joint[i], step: 0, table: step }));
  dimensions.splice(separate ? 0 : spot, 0, ...inTable);
  const form = dimensions.map(d => d.extent), found = new Int32Array(sizeOf(form));
  walk(form, dimensions.map(d => d.step), start, (offset, place) => { found[place] = offset; });
  if (together.length) {
    walk(form, dimensions.map(d => d.table ?? 0), 0, (offset, place) => { found[place] += table[offset]; });
  }
  return found;
}

function broadcastShape(shapes) {
  const rank = Math.max(0, ...shapes.map(s => s.length));
  return Array.from({ length: rank }, (_, i) => {
    const extents = shapes.map(s => s[s.length - rank + i] ?? 1);
    return extents.find(n => n !== 1) ?? 1;
  });
}

const written = join => ([x, y, ...arrays], { key, reduce }) => {
  const result = x.data.slice();
  placesOf(x.shape, key, arrays).forEach((to, from) => { result[to] = join(result[to], y.data[from], reduce); });
  return [result];
};
const joined = { prod: (a, b) => a * b, amax: Math.max, amin: Math.min };

Object.assign(meanings, {
  Index: ([x, ...arrays], { key }) => [Float64Array.from(placesOf(x.shape, key, arrays), place => x.data[place])],
  IndexAdd: written((a, b) => a + b),
  IndexUpdate: written((_, b) => b),
  IndexReduce: written((a, b, reduce) => joined[reduce](a, b)),
});
