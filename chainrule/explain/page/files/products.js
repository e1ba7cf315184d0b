// Matrix products, attention, and linear algebra on the last two dimensions.

/** Sum over one place of a flat product: rows of a (m×k) times columns of b (k×n), for each of the matrices. */
function matmul(a, b, count, m, k, n, turned = false) {
  const result = new Float64Array(count * m * n);
  for (let i = 0; i < count; i++) {
    for (let row = 0; row < m; row++) {
      for (let column = 0; column < n; column++) {
        let sum = 0;
        for (let j = 0; j < k; j++) {
          sum += a[(i * m + row) * k + j] * (turned ? b[(i * n + column) * k + j] : b[(i * k + j) * n + column]);
        }
        result[(i * m + row) * n + column] = sum;
      }
    }
  }
  return result;
}

/** The sizes of queries, keys and values, and the scores scale·q·kᵀ + bias. */
function scoresOf(q, k, v, bias, { scale, causal }) {
  const [rows, width] = q.shape.slice(-2), keys = k.shape.at(-2), values = v.shape.at(-1);
  const count = sizeOf(q.shape.slice(0, -2));
  const scores = matmul(q.data, k.data, count, rows, width, keys, true).map((s, i) => {
    const key = i % keys, row = Math.floor(i / keys) % rows;
    return causal && key > row ? -Infinity : s * scale + (bias ? bias.data[i] : 0);
  });
  return { count, rows, width, keys, values, scores };
}

/** Of what stands behind q, k and v: the bias, if there is one, and what weight i is multiplied by behind softmax. */
function biasAndFactor(more, { keep }) {
  const kept = keep < 1 ? more.at(-1) : null;
  return { bias: more.length > (kept ? 1 : 0) ? more[0] : undefined, factor: i => (kept ? kept.data[i] / keep : 1) };
}

/** The transposes of `count` matrices of m×n. */
const transposed = (x, count, m, n) =>
  x.map((_, i) => x[Math.floor(i / (m * n)) * m * n + (i % m) * n + (Math.floor(i / m) % n)]);

Object.assign(meanings, {
  MatMul: ([x, y]) => {
    const [m, k] = x.shape.slice(-2);
    return [matmul(x.data, y.data, sizeOf(x.shape.slice(0, -2)), m, k, y.shape.at(-1))];
  },

  /** X·Wᵀ with W = scales·numbers. In 4 bits a byte holds two numbers: the lower half with 8 added, and the upper half;
   *  all lower ones of a group come first. */
  LowBitsMatMul: ([x, numbers, scales]) => {
    const [count, inputs] = x.shape, four = numbers.shape.length === 3;
    const weight = Float64Array.from({ length: numbers.shape[0] * inputs }, (_, i) => {
      if (!four) return numbers.data[i] * scales.data[Math.floor(i / inputs)];
      const group = Math.floor(i / 32), byte = numbers.data[group * 16 + (i % 16)], upper = Math.floor(byte / 16);
      return (i % 32 < 16 ? byte - 16 * upper - 8 : upper) * scales.data[group];
    });
    return [matmul(x.data, weight, 1, count, inputs, numbers.shape[0], true)];
  },

  /** softmax(scale·q·kᵀ + bias)·v, the logarithm of the sums, and what rounding takes from that. */
  Attention: ([q, k, v, ...more], settings, forms) => {
    const { bias, factor } = biasAndFactor(more, settings);
    const { count, rows, keys, values, scores } = scoresOf(q, k, v, bias, settings);
    const logsumexp = new Float64Array(count * rows).fill(-Infinity), rest = new Float64Array(count * rows);
    const round = rounding[forms[1].type];
    for (let row = 0; row < count * rows; row++) {
      const mine = scores.subarray(row * keys, (row + 1) * keys);
      const largest = mine.reduce((a, b) => Math.max(a, b), -Infinity), top = largest === -Infinity ? 0 : largest;
      const total = mine.reduce((sum, s) => sum + Math.exp(s - top), 0);
      if (total) logsumexp[row] = round(top + Math.log(total));
      rest[row] = Number.isFinite(logsumexp[row]) ? top - logsumexp[row] + Math.log(total) : 0;
      mine.forEach((s, i) => { mine[i] = Math.exp(s - top) / Math.max(total, 1) * factor(row * keys + i); });
    }
    return [matmul(scores, v.data, count, rows, keys, values), logsumexp, rest];
  },

  /** With P = exp(scores − logsumexp − rest), the factors M of dropout (1 without) and D = P⊙(M⊙g·vᵀ − shift):
   *  scale·D·k, scale·Dᵀ·q, (M⊙P)ᵀ·g. */
  AttentionGradient: ([g, q, k, v, logsumexp, rest, shift, ...more], settings) => {
    const { bias, factor } = biasAndFactor(more, settings);
    const { count, rows, width, keys, values, scores } = scoresOf(q, k, v, bias, settings);
    const row = i => Math.floor(i / keys);
    const weights = scores.map((s, i) => {
      const sum = logsumexp.data[row(i)];
      return sum === -Infinity ? 0 : Math.exp(s - sum - rest.data[row(i)]);
    });
    const upstream = matmul(g.data, v.data, count, rows, values, keys, true);
    const toScores = weights.map((p, i) => p * (upstream[i] * factor(i) - shift.data[row(i)]) * settings.scale);
    const turned = x => transposed(x, count, rows, keys);
    return [
      matmul(toScores, k.data, count, rows, keys, width),
      matmul(turned(toScores), q.data, count, keys, rows, width),
      matmul(turned(weights.map((p, i) => p * factor(i))), g.data, count, keys, rows, values),
    ];
  },
});

// -------------------------------------------------------------------------------------- linear algebra

/** Calls compute on each matrix of a, as a list of rows; answers what it gives, one after the other. */
function eachMatrix(a, compute) {
  const [m, n] = a.shape.slice(-2), count = sizeOf(a.shape.slice(0, -2));
  return Array.from({ length: count }, (_, i) =>
    compute(Array.from({ length: m }, (_, r) => Array.from(a.data.subarray((i * m + r) * n, (i * m + r + 1) * n))), i));
}

/** Gaussian elimination with the largest pivot, on a matrix with columns behind it. Changes its rows; answers the
 *  diagonal, with a minus where an odd number of rows was exchanged. */
function eliminate(rows) {
  const pivots = [];
  let sign = 1;
  for (let i = 0; i < rows.length; i++) {
    let best = i;
    for (let r = i; r < rows.length; r++) if (Math.abs(rows[r][i]) > Math.abs(rows[best][i])) best = r;
    if (best !== i) {
      [rows[i], rows[best]] = [rows[best], rows[i]];
      sign = -sign;
    }
    pivots.push(rows[i][i]);
    if (rows[i][i] === 0) continue;
    for (let r = i + 1; r < rows.length; r++) {
      const factor = rows[r][i] / rows[i][i];
      for (let c = i; c < rows[r].length; c++) rows[r][c] -= factor * rows[i][c];
    }
  }
  return { pivots, sign };
}

/** X with A·X = B: eliminated, then from the last row upwards. */
function solve(rows, right) {
  const n = rows.length, all = rows.map((row, i) => [...row, ...right[i]]);
  if (eliminate(all).pivots.some(p => p === 0)) throw new Error("solve: the matrix is singular");
  for (let i = n - 1; i >= 0; i--) {
    for (let c = n; c < all[i].length; c++) {
      for (let j = i + 1; j < n; j++) all[i][c] -= all[i][j] * all[j][c];
      all[i][c] /= all[i][i];
    }
  }
  return all.map(row => row.slice(n));
}

function cholesky(a) {
  const lower = a.map(row => row.map(() => 0));
  for (let i = 0; i < a.length; i++) {
    for (let j = 0; j <= i; j++) {
      let rest = a[i][j];
      for (let k = 0; k < j; k++) rest -= lower[i][k] * lower[j][k];
      if (i === j && !(rest > 0)) throw new Error("cholesky: the matrix is not positive definite");
      lower[i][j] = i === j ? Math.sqrt(rest) : rest / lower[j][j];
    }
  }
  return lower;
}

/** Q and R by Householder's reflections, with LAPACK's signs. */
function householder(a) {
  const m = a.length, n = a[0]?.length ?? 0, r = a.map(row => [...row]);
  const q = a.map((_, i) => a.map((_, j) => Number(i === j)));
  for (let k = 0; k < Math.min(n, m - 1); k++) {
    const length = Math.hypot(...r.slice(k).map(row => row[k]));
    if (length === 0 || r.slice(k + 1).every(row => row[k] === 0)) continue;
    const v = r.map((row, i) => (i < k ? 0 : row[k]));
    v[k] += v[k] < 0 ? -length : length;
    const square = v.reduce((sum, x) => sum + x * x, 0);
    for (let c = 0; c < n; c++) {
      const along = (2 * v.reduce((sum, x, i) => sum + x * r[i][c], 0)) / square;
      v.forEach((x, i) => { r[i][c] -= along * x; });
    }
    for (const row of q) {
      const along = (2 * v.reduce((sum, x, i) => sum + x * row[i], 0)) / square;
      v.forEach((x, i) => { row[i] -= along * x; });
    }
  }
  return [q.map(row => row.slice(0, n)), r.slice(0, n).map((row, i) => row.map((x, c) => (c < i ? 0 : x)))];
}

Object.assign(meanings, {
  Solve: ([a, b]) => {
    const columns = b.shape.at(-1), n = a.shape.at(-1);
    const right = i => Array.from({ length: n }, (_, r) => Array.from(b.data.subarray((i * n + r) * columns, (i * n + r + 1) * columns)));
    return [eachMatrix(a, (rows, i) => solve(rows, right(i))).flat(Infinity)];
  },
  Det: ([a]) => [eachMatrix(a, rows => {
    const { pivots, sign } = eliminate(rows);
    return pivots.reduce((product, p) => product * p, sign);
  })],
  SlogDet: ([a]) => {
    const found = eachMatrix(a, eliminate);
    return [
      found.map(({ pivots, sign }) => pivots.reduce((s, p) => s * Math.sign(p), sign)),
      found.map(({ pivots }) => pivots.reduce((sum, p) => sum + Math.log(Math.abs(p)), 0)),
    ];
  },
  Cholesky: ([a]) => [eachMatrix(a, cholesky).flat(Infinity)],
  QR: ([a]) => {
    const found = eachMatrix(a, householder);
    return [found.map(([q]) => q).flat(Infinity), found.map(([, r]) => r).flat(Infinity)];
  },
});
