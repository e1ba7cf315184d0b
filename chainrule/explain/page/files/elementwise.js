// Elementwise primitives: each entry of the result depends on the entries at the same place.

/** What every primitive means: a function of the inputs, the settings and the forms of the results, which answers
 *  the entries of each result. */
const meanings = {};

const unary = f => ([x]) => [x.data.map(v => f(v))];
const binary = f => ([x, y]) => [x.data.map((v, i) => f(v, y.data[i]))];

/** The remainder with the sign of y, as Python's %. */
function remainder(x, y) {
  const rest = x % y;
  return rest !== 0 && rest < 0 !== y < 0 ? rest + y : rest;
}

function floorDivide(x, y) {
  if (y === 0) return x / y;
  const quotient = (x - remainder(x, y)) / y, below = Math.floor(quotient);
  return quotient - below > 0.5 ? below + 1 : below;
}

/** The same for whole numbers, for which nothing may be divided by 0: NumPy answers 0. */
const divided = f => ([x, y]) =>
  [x.data.map((v, i) => (y.data[i] === 0 && !isFloat(x.type) ? 0 : f(v, y.data[i])))];

Object.assign(meanings, {
  Add: binary((x, y) => x + y),
  Subtract: binary((x, y) => x - y),
  Multiply: binary((x, y) => x * y),
  Divide: binary((x, y) => x / y),
  FloorDivide: divided(floorDivide),
  Remainder: divided(remainder),
  Power: binary((x, y) => (x === 1 || y === 0 ? 1 : x ** y)),
  Maximum: binary(Math.max),
  Minimum: binary(Math.min),
  Arctan2: binary(Math.atan2),
  Negate: unary(x => -x),
  Exp: unary(Math.exp),
  Expm1: unary(Math.expm1),
  Log: unary(Math.log),
  Log1p: unary(Math.log1p),
  Sqrt: unary(Math.sqrt),
  Rsqrt: unary(x => 1 / Math.sqrt(x)),
  Sin: unary(Math.sin),
  Cos: unary(Math.cos),
  Arcsin: unary(Math.asin),
  Arctan: unary(Math.atan),
  Tanh: unary(Math.tanh),
  Absolute: unary(Math.abs),
  Sign: unary(Math.sign),
  Floor: unary(Math.floor),
  Round: unary(toEven),
  Equal: binary((x, y) => x === y),
  Less: binary((x, y) => x < y),
  LessEqual: binary((x, y) => x <= y),
  Where: ([condition, x, y]) => [x.data.map((v, i) => (condition.data[i] ? v : y.data[i]))],

  /** Towards integers it truncates; what does not fit int32 or int64 becomes the most negative number. */
  Cast: ([x], { dtype }) => {
    if (!isFloat(x.type) || isFloat(dtype) || dtype === "bool") return [x.data];
    const limit = dtype === "int32" ? 2 ** 31 : 2 ** 63;
    return [x.data.map(v => (v >= -limit && v < limit ? Math.trunc(v) : -limit))];
  },
});

// ------------------------------------------------------------------------------------------------ bits

/** Whole numbers bit by bit. BigInt, because JavaScript's own operators see 32 bits only. */
const bitwise = f => binary((x, y) => Number(f(BigInt(x), BigInt(y))));

function greatestDivisor(x, y) {
  [x, y] = [Math.abs(x), Math.abs(y)];
  while (y) [x, y] = [y, x % y];
  return x;
}

/** Shifts by more bits than the type has leave nothing, or the sign. */
const shifted = f => ([x, y]) => {
  const width = Number(x.type.replace(/\D/g, ""));
  return [x.data.map((v, i) => f(v, y.data[i] >= 0 && y.data[i] < width ? y.data[i] : null))];
};

Object.assign(meanings, {
  BitwiseAnd: bitwise((x, y) => x & y),
  BitwiseOr: bitwise((x, y) => x | y),
  BitwiseXor: bitwise((x, y) => x ^ y),
  BitwiseNot: ([x]) => [x.data.map(v => (x.type === "bool" ? 1 - v : -v - 1))],
  LeftShift: shifted((x, by) => (by === null ? 0 : Number(BigInt(x) << BigInt(by)))),
  RightShift: shifted((x, by) => (by === null ? (x < 0 ? -1 : 0) : Number(BigInt(x) >> BigInt(by)))),
  GreatestDivisor: binary(greatestDivisor),
  LeastMultiple: binary((x, y) => (x === 0 || y === 0 ? 0 : Math.abs((x / greatestDivisor(x, y)) * y))),
});
