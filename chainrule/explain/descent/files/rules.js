// The update rules of chainrule.optim for one parameter of several entries. `step` takes the parameter, the gradient, the
// state that the step before left, and settings; it answers with the parameter after it and the state. Tests compare
// whole paths with the library's.
"use strict";
const each = (f, ...vectors) => vectors[0].map((_, i) => f(...vectors.map((v) => v[i])));
const zeros = (v) => v.map(() => 0);

const RULES = {
  "gradient descent": {
    formula: "θ ← θ − η·g", settings: [], rate: 0.02,
    begin: () => ({}),
    step: (p, g, s, { rate }) => [each((x, d) => x - rate * d, p, g), s],
  },
  "momentum": {
    formula: "v ← μ·v + g, θ ← θ − η·v", settings: ["momentum"], rate: 0.01,
    begin: (p) => ({ v: zeros(p) }),
    step: (p, g, s, { rate, momentum }) => {
      const v = each((old, d) => momentum * old + d, s.v, g);
      return [each((x, d) => x - rate * d, p, v), { v }];
    },
  },
  "Nesterov": {
    formula: "v ← μ·v + g, θ ← θ − η·(g + μ·v)", settings: ["momentum"], rate: 0.01,
    begin: (p) => ({ v: zeros(p) }),
    step: (p, g, s, { rate, momentum }) => {
      const v = each((old, d) => momentum * old + d, s.v, g);
      return [each((x, d, w) => x - rate * (d + momentum * w), p, g, v), { v }];
    },
  },
  "AdaGrad": {
    formula: "s ← s + g², θ ← θ − η·g/(√s + ε)", settings: [], rate: 0.3,
    begin: (p) => ({ s: zeros(p) }),
    step: (p, g, state, { rate }) => {
      const s = each((old, d) => old + d * d, state.s, g);
      return [each((x, d, w) => x - rate * d / (Math.sqrt(w) + 1e-10), p, g, s), { s }];
    },
  },
  "RMSProp": {
    formula: "s ← α·s + (1 − α)·g², v ← μ·v + g/(√s + ε), θ ← θ − η·v   (α = 0.99)",
    settings: ["momentum"], rate: 0.01,
    begin: (p) => ({ s: zeros(p), v: zeros(p) }),
    step: (p, g, state, { rate, momentum }) => {
      const s = each((old, d) => 0.99 * old + 0.01 * d * d, state.s, g);
      const v = each((old, d, w) => momentum * old + d / (Math.sqrt(w) + 1e-8), state.v, g, s);
      return [each((x, d) => x - rate * d, p, v), { s, v }];
    },
  },
  "Adam": {
    formula: "m ← β₁·m + (1 − β₁)·g, v ← β₂·v + (1 − β₂)·g², θ ← θ − η·m̂/(√v̂ + ε)   (β₁ = μ, β₂ = 0.999)",
    settings: ["momentum"], rate: 0.1,
    begin: (p) => ({ m: zeros(p), v: zeros(p), t: 0 }),
    step: (p, g, state, { rate, momentum }) => {
      const t = state.t + 1;
      const m = each((old, d) => momentum * old + (1 - momentum) * d, state.m, g);
      const v = each((old, d) => 0.999 * old + 0.001 * d * d, state.v, g);
      const moved = (x, first, second) =>
        x - rate * (first / (1 - momentum ** t)) / (Math.sqrt(second / (1 - 0.999 ** t)) + 1e-8);
      return [each(moved, p, m, v), { m, v, t }];
    },
  },
  "Lion": {
    formula: "θ ← θ − η·sign(β₁·m + (1 − β₁)·g), m ← β₂·m + (1 − β₂)·g   (β₁ = μ, β₂ = 0.99)",
    settings: ["momentum"], rate: 0.01,
    begin: (p) => ({ m: zeros(p) }),
    step: (p, g, state, { rate, momentum }) => {
      const moved = (x, d, old) => x - rate * Math.sign(momentum * old + (1 - momentum) * d);
      return [each(moved, p, g, state.m), { m: each((d, old) => 0.99 * old + 0.01 * d, g, state.m) }];
    },
  },
};

// The points of so many steps, the start first.
function descend(landscape, rule, start, settings, steps) {
  let point = start, state = RULES[rule].begin(start);
  const path = [start];
  for (let t = 0; t < steps; t++) {
    [point, state] = RULES[rule].step(point, LANDSCAPES[landscape].gradient(point), state, settings);
    path.push(point);
  }
  return path;
}
