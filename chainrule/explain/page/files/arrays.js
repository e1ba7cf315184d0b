// Arrays: a shape, a data type, and the entries in row-major order as 64-bit floating-point numbers.
// What a data type cannot hold is rounded away when a result is made; so one kind of arithmetic serves all types.

const sizeOf = shape => shape.reduce((a, b) => a * b, 1);

/** How far apart neighbours along each dimension lie. */
function stridesOf(shape) {
  const strides = new Array(shape.length);
  let step = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = step;
    step *= shape[axis];
  }
  return strides;
}

/** Calls visit(offset, place) for every entry of a shape, in order; offset = Σ index·stride + start. */
function walk(shape, strides, start, visit) {
  const size = sizeOf(shape), index = new Array(shape.length).fill(0);
  let offset = start;
  for (let place = 0; place < size; place++) {
    visit(offset, place);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      offset += strides[axis];
      if (++index[axis] < shape[axis]) break;
      offset -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
}

const bits = new DataView(new ArrayBuffer(8));

/** The nearest number with so many bits behind the point of its significand and no exponent below `least`. */
function roundSignificand(x, digits, least, largest) {
  if (x === 0 || !Number.isFinite(x)) return x;
  bits.setFloat64(0, x);
  const exponent = Math.max(((bits.getUint16(0) >> 4) & 0x7ff) - 1023, least);
  const unit = 2 ** (exponent - digits), rounded = toEven(x / unit) * unit;
  return Math.abs(rounded) > largest ? Math.sign(rounded) * Infinity : rounded;
}

/** To the nearest integer, halves to the even one. */
function toEven(x) {
  const below = Math.floor(x), rest = x - below;
  if (rest === 0.5) return below % 2 === 0 ? below : below + 1;
  return rest < 0.5 ? below : below + 1;
}

const wrapped = (signed, width) => x => {
  if (width === 64 && Math.abs(x) <= Number.MAX_SAFE_INTEGER) return x;
  if (!Number.isFinite(x)) return 0;
  return Number((signed ? BigInt.asIntN : BigInt.asUintN)(width, BigInt(Math.trunc(x))));
};

/** For each data type what its numbers are rounded to. */
const rounding = {
  float64: x => x,
  float32: Math.fround,
  float16: x => roundSignificand(x, 10, -14, 65504),
  bfloat16: x => roundSignificand(x, 7, -126, 3.3895313892515355e38),
  int64: wrapped(true, 64), int32: wrapped(true, 32), int16: wrapped(true, 16), int8: wrapped(true, 8),
  uint64: wrapped(false, 64), uint32: wrapped(false, 32), uint16: wrapped(false, 16), uint8: wrapped(false, 8),
  bool: x => (x !== 0 ? 1 : 0),
};

const isFloat = type => type.includes("float");

/** An array of entries already computed, rounded to its type. */
function makeArray(shape, type, entries) {
  const data = new Float64Array(sizeOf(shape));
  const round = rounding[type];
  if (!round) throw new Error(`numbers of type ${type} are not known here`);
  for (let i = 0; i < data.length; i++) data[i] = round(entries[i]);
  return { shape, type, data };
}

/** Numbers as the explanation writes them: nested lists, with words for what JSON has no number for. */
function readNumbers(numbers) {
  const word = { NaN: NaN, Infinity: Infinity, "-Infinity": -Infinity };
  return [numbers].flat(Infinity).map(x => (typeof x === "string" ? word[x] : Number(x)));
}
