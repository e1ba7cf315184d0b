// Reductions: many entries become one. And what goes along one axis: running sums, sorting.

/** For each entry of x the place of the result that it goes into, when the axes are dropped. */
function reducedPlaces(shape, axes) {
  const kept = shape.map((_, axis) => axis).filter(axis => !axes.includes(axis));
  const inner = stridesOf(kept.map(axis => shape[axis])), strides = new Array(shape.length).fill(0);
  kept.forEach((axis, i) => { strides[axis] = inner[i]; });
  const places = new Int32Array(sizeOf(shape));
  walk(shape, strides, 0, (offset, place) => { places[place] = offset; });
  return places;
}

const reduction = (start, join) => ([x], { axes }, [form]) => {
  const result = new Float64Array(sizeOf(form.shape)).fill(start);
  reducedPlaces(x.shape, axes).forEach((to, from) => { result[to] = join(result[to], x.data[from]); });
  return [result];
};

/** Calls visit with the places of each row of x along an axis. */
function rowsAlong(shape, axis, visit) {
  const strides = stridesOf(shape), others = shape.map((n, i) => (i === axis ? 1 : n));
  if (shape[axis] === 0) return;
  walk(others, strides.map((s, i) => (i === axis ? 0 : s)), 0, (offset, place) => {
    visit(Array.from({ length: shape[axis] }, (_, i) => offset + i * strides[axis]), place);
  });
}

/** Whether a comes after the best so far; a NaN beats all numbers. */
const beats = (a, best) => a > best || (Number.isNaN(a) && !Number.isNaN(best));

/** The order that sorting makes: NaN is last, or first when descending; equal entries keep their order. */
function sortedOrder(values, descending) {
  const key = v => (Number.isNaN(v) ? Infinity : v), late = v => Number(Number.isNaN(v));
  const order = values.map((_, i) => i);
  const sign = descending ? -1 : 1;
  return order.sort((i, j) => {
    const a = values[i], b = values[j];
    if (late(a) !== late(b)) return sign * (late(a) - late(b));
    return key(a) === key(b) ? i - j : sign * (key(a) < key(b) ? -1 : 1);
  });
}

Object.assign(meanings, {
  Sum: reduction(0, (a, b) => a + b),
  Product: reduction(1, (a, b) => a * b),
  Amax: reduction(-Infinity, Math.max),

  Argmax: ([x], { axis }, [form]) => {
    const result = new Float64Array(sizeOf(form.shape));
    rowsAlong(x.shape, axis, (places, row) => {
      let best = 0;
      places.forEach((place, i) => { if (beats(x.data[place], x.data[places[best]])) best = i; });
      result[row] = best;
    });
    return [result];
  },

  CumulativeSum: ([x], { axis }) => {
    const result = new Float64Array(x.data.length);
    rowsAlong(x.shape, axis, places => {
      let sum = 0;
      for (const place of places) result[place] = sum += x.data[place];
    });
    return [result];
  },

  CumulativeArgmax: ([x], { axis, largest }) => {
    const result = new Float64Array(x.data.length), sign = largest ? 1 : -1;
    rowsAlong(x.shape, axis, places => {
      let best = 0;
      places.forEach((place, i) => {
        const a = sign * x.data[place], b = sign * x.data[places[best]];
        if (a >= b || Number.isNaN(a)) best = i;
        result[place] = best;
      });
    });
    return [result];
  },

  Sort: ([x], { axis, descending }) => {
    const values = new Float64Array(x.data.length), indices = new Float64Array(x.data.length);
    rowsAlong(x.shape, axis, places => {
      sortedOrder(places.map(place => x.data[place]), descending).forEach((from, i) => {
        values[places[i]] = x.data[places[from]];
        indices[places[i]] = from;
      });
    });
    return [values, indices];
  },

  SearchSorted: ([sequence, x], { right }) => {
    const length = sequence.shape.at(-1), count = x.shape.at(-1), late = v => Number(Number.isNaN(v));
    const before = (a, b) => (late(a) !== late(b) ? late(a) < late(b) : a < b);
    return [x.data.map((v, i) => {
      const row = Math.floor(i / count) * length;
      let place = 0;
      while (place < length && (right ? !before(v, sequence.data[row + place]) : before(sequence.data[row + place], v))) place++;
      return place;
    })];
  },
});
