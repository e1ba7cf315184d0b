// The computation again: every primitive's meaning applied in order, to numbers that were changed in the page.

/** Primitives that the page does not compute, and why. */
const locked = {
  RandomUniform: "its numbers were drawn by the library; they stay as they are",
  RandomNormal: "its numbers were drawn by the library; they stay as they are",
  RandomIntegers: "its numbers were drawn by the library; they stay as they are",
  RandomPermutation: "its order was drawn by the library; it stays as it is",
  RandomAdvance: "the state of a generator has 192 bits, more than a number of the page holds",
  RandomLogGamma: "its numbers were drawn by the library, for the parameters as they were",
  RandomPoisson: "its numbers were drawn by the library, for the parameters as they were",
  RandomBinomial: "its numbers were drawn by the library, for the parameters as they were",
  RandomVonMises: "its numbers were drawn by the library, for the parameters as they were",
  NumPyFunction: "it is a function of Python",
  Eigh: "eigenvectors are known only up to their signs, which LAPACK chooses",
  SVD: "singular vectors are known only up to their signs, which LAPACK chooses",
};

Object.assign(meanings, {
  /** What a check computes is whether something is wrong; then it says so. */
  Check: ([wrong]) => {
    if (wrong.data.some(Boolean)) throw new Error("these numbers are outside of what the operation is defined for");
    return [[1]];
  },

  /** A loop: its body, a program of its own, for each entry of the first dimension of the sequences. */
  Scan: (inputs, { body, carries, sequences, length, reverse }) => {
    let carry = inputs.slice(0, carries);
    const rows = inputs.slice(carries, carries + sequences), constants = inputs.slice(carries + sequences), stacked = [];
    for (let i = 0; i < length; i++) {
      const t = reverse ? length - 1 - i : i;
      const results = run(body, [...carry, ...rows.map(x => rowOf(x, t)), ...constants]);
      carry = results.slice(0, carries);
      stacked[t] = results.slice(carries).map(x => x.data);
    }
    const stacks = body.outputs.slice(carries).map((_, k) => stacked.flatMap(made => Array.from(made[k])));
    return [...carry.map(x => x.data), ...stacks];
  },
});

/** The entries of an array at one place of its first dimension, as an array. */
function rowOf({ shape: [, ...shape], type, data }, place) {
  const size = sizeOf(shape);
  return { shape, type, data: data.subarray(place * size, (place + 1) * size) };
}

/** The results of a program for the arrays of its inputs. */
function run(program, given) {
  const arrays = program.values.map(({ shape, type, numbers }) => numbers !== undefined && makeArray(shape, type, readNumbers(numbers)));
  program.inputs.forEach((value, i) => { arrays[value] = given[i]; });
  for (const { operation, settings, inputs, outputs } of program.nodes) {
    const made = apply(operation, inputs.map(value => arrays[value]), settings, outputs.map(value => program.values[value]));
    outputs.forEach((value, i) => { arrays[value] = made[i]; });
  }
  return program.outputs.map(value => arrays[value]);
}

/** The results of one primitive, as arrays of the given forms. */
function apply(operation, inputs, settings, forms) {
  const meaning = meanings[operation];
  if (!meaning) throw new Error(locked[operation] ?? `the page does not know ${operation}`);
  return meaning(inputs, settings, forms).map((entries, i) => makeArray(forms[i].shape, forms[i].type, entries));
}

/** Computes nodes in order. `arrays` holds what is known, by value, and gets the results. `changed` holds the values
 *  that are not what they were; what depends on them is computed again and becomes a part of it. Where that cannot be
 *  done the value becomes null; `reasons` gets the reason, by node. */
function recompute(nodes, forms, arrays, changed, reasons) {
  nodes.forEach(node => {
    reasons.delete(node);
    if (!node.inputs.some(value => changed.has(value))) return;
    for (const value of node.outputs) changed.add(value);
    let results = node.outputs.map(() => null);
    try {
      const inputs = node.inputs.map(value => arrays[value]);
      if (inputs.some(x => x === null || x === undefined)) throw new Error("what it uses is not known any more");
      results = apply(node.operation, inputs, node.settings ?? {}, node.outputs.map(value => forms[value]));
    } catch (error) {
      reasons.set(node, error.message);
    }
    node.outputs.forEach((value, i) => { arrays[value] = results[i]; });
  });
}
