// The functions of chainrule.optim.landscapes with their gradients, worked out by hand. Names, formulas, maps and starts
// come from the library with the page; tests compare values and gradients here with those there.
"use strict";
const LANDSCAPES = {
  "quadratic bowl": {
    value: ([x, y]) => 0.5 * x * x + y * y,
    gradient: ([x, y]) => [x, 2 * y],
  },
  "ravine": {
    value: ([x, y]) => 0.5 * x * x + 25 * y * y,
    gradient: ([x, y]) => [x, 50 * y],
  },
  "Rosenbrock": {
    value: ([x, y]) => (1 - x) ** 2 + 100 * (y - x * x) ** 2,
    gradient: ([x, y]) => [-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)],
  },
  "Beale": {
    value: ([x, y]) => [1.5, 2.25, 2.625].reduce((sum, c, i) => sum + (c - x + x * y ** (i + 1)) ** 2, 0),
    gradient: ([x, y]) => [1.5, 2.25, 2.625].reduce(([gx, gy], c, i) => {
      const n = i + 1, r = c - x + x * y ** n;
      return [gx + 2 * r * (y ** n - 1), gy + 2 * r * n * x * y ** (n - 1)];
    }, [0, 0]),
  },
  "saddle": {
    value: ([x, y]) => x * x / 2 - y * y / 2 + y ** 4 / 4,
    gradient: ([x, y]) => [x, y ** 3 - y],
  },
  "monkey saddle": {
    value: ([x, y]) => x ** 3 - 3 * x * y * y,
    gradient: ([x, y]) => [3 * x * x - 3 * y * y, -6 * x * y],
  },
  "wavy bowl": {
    value: (p) => p.reduce((sum, t) => sum + t * t + 3 * Math.sin(t) ** 2, 0),
    gradient: (p) => p.map((t) => 2 * t + 3 * Math.sin(2 * t)),
  },
};
