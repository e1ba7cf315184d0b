// Special functions, from their series and continued fractions.
// Source: Abramowitz and Stegun, Handbook of Mathematical Functions (1964), 6.1, 6.3, 6.4, 7.1 and 9.6.

const ROOT_PI = Math.sqrt(Math.PI);
const BERNOULLI = [1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510];

/** erf x = 2/√π · e^(−x²) · Σ 2ⁿ x^(2n+1) / (1·3·5 ⋯ (2n+1)): all terms have one sign. For |x| < 2.5. */
function erfSeries(x) {
  let term = x, sum = x;
  for (let n = 1; n < 80; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return ((2 / ROOT_PI) * Math.exp(-x * x)) * sum;
}

/** erfc x = e^(−x²)/√π · 1/(x + ½/(x + 1/(x + 3⁄2/(x + …)))). For x ≥ 2.5. */
function erfcFraction(x) {
  let below = x;
  for (let n = 80; n > 0; n--) below = x + n / 2 / below;
  return Math.exp(-x * x) / ROOT_PI / below;
}

function erfc(x) {
  if (Number.isNaN(x)) return NaN;
  if (x === Infinity) return 0;
  if (x < 0) return 2 - erfc(-x);
  return x < 2.5 ? 1 - erfSeries(x) : erfcFraction(x);
}

function erf(x) {
  if (Math.abs(x) < 2.5) return erfSeries(x);
  return x > 0 ? 1 - erfc(x) : erfc(-x) - 1;
}

/** x ≥ 0 with erfc x = tail, 0 < tail ≤ 1: Newton's steps on ln erfc, which is nearly a parabola, from Winitzki's
 *  formula. */
function inverseErfc(tail) {
  if (!(tail > 0)) return tail === 0 ? Infinity : NaN;
  const logarithm = Math.log(tail) + Math.log(2 - tail), a = 0.147, half = 2 / (Math.PI * a) + logarithm / 2;
  let x = Math.sqrt(Math.max(0, Math.sqrt(half * half - logarithm / a) - half));
  for (let step = 0; step < 8; step++) {
    const now = erfc(x);
    x += (Math.log(now / tail) * now) / ((2 / ROOT_PI) * Math.exp(-x * x));
  }
  return x;
}

function inverseErf(x) {
  const size = Math.abs(x);
  if (!(size <= 1)) return NaN;
  if (size > 0.4) return Math.sign(x) * inverseErfc(1 - size);
  let y = (ROOT_PI / 2) * x;
  for (let step = 0; step < 8; step++) {
    const wrong = (x - erf(y)) / ((2 / ROOT_PI) * Math.exp(-y * y));
    y += wrong / (1 - y * wrong);
  }
  return y;
}

function normalQuantile(p) {
  if (!(p >= 0 && p <= 1)) return NaN;
  if (Math.abs(p - 0.5) < 0.2) return Math.SQRT2 * inverseErf(2 * (p - 0.5));
  return p < 0.5 ? -Math.SQRT2 * inverseErfc(2 * p) : Math.SQRT2 * inverseErfc(2 * (1 - p));
}

/** ln |Γ(x)|: Stirling's series from 10 on, Γ(x) = Γ(x + 1) / x below. */
function logGamma(x) {
  if (Number.isNaN(x)) return NaN;
  if (!Number.isFinite(x) || (x <= 0 && Number.isInteger(x))) return Infinity;
  if (x < 0) return Math.log(Math.PI / Math.abs(Math.sin(Math.PI * (x - Math.round(x))))) - logGamma(1 - x);
  let product = 1;
  for (; x < 10; x++) product *= x;
  let series = 0;
  BERNOULLI.forEach((b, i) => { series += b / ((2 * i + 2) * (2 * i + 1)) * x ** -(2 * i + 1); });
  return (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + series - Math.log(product);
}

const factorial = n => (n < 2 ? 1 : n * factorial(n - 1));

/** ψ⁽ⁿ⁾(x): the asymptotic series from 16 on, ψ⁽ⁿ⁾(x) = ψ⁽ⁿ⁾(x + 1) − (−1)ⁿ·n!·x^(−n−1) below. */
function polygamma(x, n) {
  const sign = n % 2 ? 1 : -1;  // (−1)^(n+1)
  if (x < -1e5) throw new Error("the page computes ψ only from −100,000 on");
  if (x <= 0 && Number.isInteger(x)) return n ? sign * Infinity : x === 0 ? -Infinity * Math.sign(1 / x) : NaN;
  let shift = 0;
  for (; x < 16; x++) shift += sign * factorial(n) * x ** (-n - 1);
  let series = n ? factorial(n - 1) * x ** -n : -Math.log(x);
  series += (factorial(n) / 2) * x ** (-n - 1);
  BERNOULLI.forEach((b, i) => {
    const k = 2 * (i + 1);
    series += b * (factorial(k + n - 1) / factorial(k)) * x ** (-k - n);
  });
  return shift + sign * series;
}

/** e^(−|x|)·Iₙ(x), the mean of e^(|x|·(cos θ − 1))·cos nθ around the circle; beyond 100 its asymptotic series. */
function scaledBessel(x, order) {
  const size = Math.abs(x), sign = order % 2 ? Math.sign(x) : 1;
  if (size < 100) {
    let sum = 0;
    for (let i = 0; i < 64; i++) {
      const angle = ((i + 0.5) * Math.PI) / 64;
      sum += Math.exp(size * (Math.cos(angle) - 1)) * Math.cos(order * angle);
    }
    return (sign * sum) / 64;
  }
  let term = 1, series = 1;
  for (let k = 1; k < 20; k++) {
    term *= -(4 * order * order - (2 * k - 1) ** 2) / (8 * k * size);
    series += term;
  }
  return (sign * series) / Math.sqrt(2 * Math.PI * size);
}

Object.assign(meanings, {
  Erf: unary(erf),
  Erfc: unary(erfc),
  Erfinv: unary(inverseErf),
  NormalQuantile: unary(normalQuantile),
  Lgamma: unary(logGamma),
  Polygamma: ([x], { n }) => [x.data.map(v => polygamma(v, n))],
  ScaledBessel: ([x], { order }) => [x.data.map(v => scaledBessel(v, order))],
});
