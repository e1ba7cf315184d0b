"""The page docs/compiler.md: one small network on its way from Python to machine code.

`python -m docs.make.compiler` writes it; every box shows what the compiler really made, for 512-bit vectors.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import chainrule
from chainrule import nn
from chainrule.backends.native import Native
from chainrule.backends.native.emitting.nest import Emitter
from chainrule.backends.native.executable import rows_of
from chainrule.backends.native.run.machine import target_machine
from chainrule.compiler.origins import Step
from chainrule.compiler.step import parts_of
from chainrule.compiler.trace import trace_step
from chainrule.nn import functional as F
from chainrule.primitives.value import Symbol

PAGE = Path(__file__).parents[1] / "compiler.md"

CODE = """\
import chainrule
from chainrule import nn
from chainrule.nn import functional as F

model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
optimizer = chainrule.optim.SGD(model.parameters(), lr=0.1)

@chainrule.compile
def step(x, y):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss
"""


def traced() -> Step:
    """The step of the page, traced for a batch of 16."""
    chainrule.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = chainrule.optim.SGD(model.parameters(), lr=0.1)

    def step(arguments: list[Any]) -> list[Any]:
        x, y = arguments
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return [loss]

    return trace_step(step, [chainrule.zeros(16, 64), chainrule.zeros(16, dtype=chainrule.int64)])


def lowered(step: Step) -> Any:
    """The simplified graph, what it becomes, and the loops of that."""
    native = Native(parts_of(step, step.spent).program, [], False)
    return native.graph.equations, native.executable, rows_of(native.lowered())


def numbered(equations: Sequence[Any]) -> str:
    """Equations with names for their values, so that one sees what goes where."""
    names: dict[Any, str] = {}

    def name(x: Any) -> str:
        if not isinstance(x, Symbol):
            return f"{x.reshape(-1)[0]:g}" if x.size == 1 else f"array{list(x.shape)}"
        return names.setdefault(x, f"v{len(names)}")

    lines = []
    for e in equations:
        inputs = ", ".join(name(x) for x in e.inputs)
        outputs = ", ".join(f"{name(x)}: {x!r}" for x in e.outputs)
        lines.append(f"{outputs} = {e.primitive.name}({inputs})" + (f"  # {e.path}" if e.path else ""))
    return "\n".join(lines)


def page() -> str:
    """The whole page."""
    step = traced()
    equations, executable, rows = lowered(step)
    kernels = executable.kernels
    table = "\n".join(f"{kernel.stage:3d}  {kernel.title}" for kernel in kernels)
    chosen = next(row.group for row, kernel in zip(rows, kernels, strict=True) if "Maximum" in kernel.title)
    chosen.nest.drop_unused()
    axes = chosen.product.row_axes, chosen.product.column_axis
    code = Emitter(chosen.nest, "finish", 512, axes).emit()
    text = "\n".join([*sorted(code.intrinsics), code.text()])
    assembly = assembled(text)
    forward = [e for e in equations if e.path in ("0", "1", "2", "1/relu")]
    return TEMPLATE.format(
        code=CODE.strip(),
        traced=len(step.equations),
        simplified=len(equations),
        forward=numbered(forward),
        kernels=len(kernels),
        stages=max(kernel.stage for kernel in kernels) + 1,
        table=table,
        arena=executable.arena_bytes,
        llvm=text.strip(),
        assembly=assembly,
    )


def assembled(text: str) -> str:
    """The inner loop as a processor with AVX-512 runs it."""
    machine = target_machine("x86_64-unknown-linux-gnu", "x86-64-v4", "")
    from chainrule.backends.native.run.machine import llvm

    module = llvm().parse_assembly(text)
    lines = machine.emit_assembly(module).splitlines()
    kept = [line.split("#")[0].rstrip().replace("\t", "    ") for line in lines]
    kept = [line for line in kept if line and not re.match(r"\s*\.(?!LBB)", line)]
    vector = [i for i, line in enumerate(kept) if "vmaxps" in line or "vmovups" in line]
    first = max(i for i in range(vector[0]) if kept[i].startswith(".LBB"))
    last = next(i for i in range(vector[0], len(kept)) if re.match(r"\s+j[a-z]+ ", kept[i]))
    return "\n".join(kept[first : last + 1])


TEMPLATE = """\
# From Python to machine code

*Made by `python -m docs.make.compiler`: every box shows what the compiler really makes, for 512-bit vectors.*

A training step is Python code that computes with tensors. `chainrule.compile` runs it once without numbers, looks at
what it does, and makes one native program of it. This page follows a small step through all stages.

```python
{code}
```

## 1. Tracing (`compiler/trace.py`)

The step runs on *symbols*, which have a shape and a data type and no entries. Every primitive that it applies is noted
as an equation: {traced} of them, the forward pass, the backward pass and the update in one list, because the gradient
rules and the optimiser are tensor code like any other. Tensors from outside are found when they are touched: parameters
become inputs, and outputs too, since the step changes them. The learning rate is an input; changing it needs no new
program.

Whatever else the step's code read meanwhile is a *fact*, looked at again before each run (`compiler/facts.py`): here
the names `optimizer`, `F` and `model`, the code of the step, and the three layers' `forward`. For that the function
runs rewritten (`compiler/rewrite.py`): each read of a name, an attribute, an item passes an observer
(`compiler/observe.py`). Modules and optimisers say themselves when anything about them changes (`changes.py`), so of
all else that is in them a run looks only at what has.

## 2. Simplifying (`backends/passes/`)

Transposes of transposes cancel, casts to the same type vanish, equal equations are one, what nothing uses is dropped:
{simplified} equations are left. Those of the two linear layers and the ReLU, forward and backward:

```
{forward}
```

## 3. Fusing (`backends/native/lowering/`)

A value is a constant, or in memory, or *inside* a kernel. Moving entries (transposing, broadcasting, slicing) computes
nothing: it is another view of the same memory (`place.py`). Elementwise operations join the kernel that makes one of
their arguments, if no circle arises; so bias and ReLU are done with a product's result while it is still in the
cache, and the update of a weight where its gradient is made. A reduction joins what makes its entries; what follows it
row by row joins as well and walks the row again. Contractions choose which of their two sides lies along the vector, so
that little has to be rearranged. The result: {kernels} kernels in {stages} stages, with a barrier between stages.

```
{table}
```

## 4. Planning (`backends/native/plan.py`)

Each kernel comes behind those whose results it reads, and whoever writes to a parameter behind all who read its old
value and behind everything that may fail: an error changes nothing. The check of the labels is part of the program, an
equation `Check` whose condition is computed in the kernel that reads the labels anyway. If it fails, the step is done
again in NumPy, which says what eager code says (`compiler/failure.py`). A buffer's memory is used again when its last
reader is done. Here the arena has {arena} bytes.

## 5. Emitting (`backends/native/emitting/`, `backends/native/language/`)

Kernels are written in LLVM's language as text. A kernel knows no sizes and no addresses: extents, strides and offsets
are numbers that it reads, so layers of the same structure share one function. Vectors lie along one axis; the rest at
its end is one more vector, some of whose lanes are masked out. Contractions are two fixed functions for each data type:
a register tile (say 14 rows × 2 vectors of the result stay in registers while it runs along k) and the walk over blocks
around it, which hands every finished block to the nest behind it. This is such a nest, bias and ReLU of the first
layer:

```llvm
{llvm}
```

LLVM, which llvmlite brings along, turns the text into machine code. The loop over whole vectors, on a processor with
AVX-512: the row's bias in every lane of one register, 16 entries of the block in another, added, compared with 0,
written.

```asm
{assembly}
```

Machine code is kept for each function, in memory and on disk under the hash of its text and of the processor's features
(`run/functions.py`, `run/cache.py`), with a checksum, in a directory that only its owner can write to; the next start
finds it there.

### What lies in memory, and what is in registers

Halves have 16 bits in memory and are float32 in registers (`language/halves.py`): converted as they are loaded, rounded
after each operation as in eager code. Products and convolutions read them as they lie, so no float32 copy of a factor
is ever written. The tile widens B as it loads it, a vector at a time; of A, which it reads entry by entry, each part
widens its own rows first, for one piece of k, into memory that stays in the cache (`emitting/packing.py`). Sums are
float32, and the result is rounded once.

Convolutions of float32 with a kernel of 3×3 and stride 1, and both their gradients, are done by Winograd's algorithm
where the shapes say that it is faster: 16 multiplications instead of 36 for four results (`backends/passes/winograd.py`
marks them, `emitting/winograd.py` and `winograd_weight.py` compute). Its error, measured over the layers of ResNet-18
against float64, is 0.3 to 0.8 times the plain sum's largest for results and gradients of images, and 0.8 to 1.4 times
for those of weights; it is held below 3 times (`tests/test_winograd.py`). It
is in proportion to the numbers in 4×4 neighbouring pixels, the plain sum's to those in 3×3. Where a result is not
finite, the plain sum is taken for that part of the image, so an infinity or a NaN comes where eager code has it.
Convolutions in the body of a loop (a long `scan`) are plain sums: the pass looks at the step itself only.

Where the processor has AVX-512's dot products of bfloat16 (`vdpbf16ps`), nothing is widened: entries of neighbouring k
lie side by side (in the rows of A they do so in memory, and are read there; two rows of B are woven together a line at
a time, which leaves columns out of order until the sums are written), and one instruction adds two products to
each of 16 float32 sums. Every addition rounds to the nearest float32, as the other way does, but in another order, and
numbers below 2⁻¹²⁶ count as 0. So for a sum of K products |error| ≤ (K + 1)·2⁻²³·Σ|a·b| before the result is rounded,
either way.

Processors with AMX have a unit for it, and there 16 rows and more are multiplied by that (`emitting/amx.py`): its
registers hold 16 rows of 32 entries of k, and one instruction does what 512 multiply–adds of vectors do in the time of
32. Only in the scratch memory of a part do A and B lie as these registers take them; `emitting/amx_walk.py` copies them
there, and turns squares of A where k lies across. The bound of the error is the same. Linux has to be asked before a
process may use them, which `run/machine.py` does once; where it refuses, the processor counts as one without AMX.

The same unit multiplies large products of float32. A float32 is the sum of three numbers of bfloat16, without an error:
8 + 8 + 8 of its 24 bits. Of the nine products of two such sums six are added up, six instructions in the place of 32;
the three others are below 2⁻²² of the product, mostly far below, and lean to no side. Since
32 products are added up before one rounding in the whole sum, the error is about half of the plain sum's (root mean
square over products of 512 numbers: 0.10 and 0.24 in units of 2⁻²³·Σ|a·b|, `tests/test_compiler_large_products.py`).
That holds for sizes between 2⁻¹⁰⁰ and 2⁶⁰ whose products are not below 2⁻⁹⁹, and 0: they are watched as factors are
laid out, and where that is not so (for infinite ones, say), the plain tile multiplies in place.

A recurrent layer multiplies a few rows by the same weights at every step, and to lay a panel of them out takes longer
than to multiply 32 rows by it. So what a loop multiplies by each time round is laid out once, before it
(`lowering/laying.py`, `emitting/amx_laid.py`), with the sizes that were seen; from 16 rows, 128 columns and sums of 128
products on, in float32 and bfloat16. An LSTM of 256 units (batch 32, 64 steps) takes 0.85 of the time so, in either.
`compile(…, exact=True)` or `chainrule.use_exact_arithmetic(True)` switches all of it off: `exactness.py` is the one
place that says whether arithmetic is used that is faster and rounds in another order.

Weights in 8 and 4 bits are whole numbers with scales in memory and float32 in registers. With one input a nest walks
along them; with more they are the A of a product, and packing widens them (`lowering/low_bits.py`).

## 6. Running (`backends/native/run/`)

The program is a table: a function's address, the address of its numbers, how many *parts* its work has. Every thread
walks the same table (`run/driver.py`), takes its share of the parts of each call, helps with the others' when it is
done, and waits at the barrier. Which thread does a part changes nothing about its result, so results are the same bits
for any number of threads. A barrier waits until all parts are done, not for all threads: one that wakes up late, or
whose core the system has given to another program, is waited for only if it is in the middle of a part. So a small
program is over before a sleeping thread has come. Workers sleep while nothing is to be done (`run/pool.py`).
Parameters live in memory that the program keeps; the tensors show it, and if somebody still looks at an old value,
the program moves to fresh memory.

An operation without native code is done by its NumPy meaning between two stretches of the table;
`step.explain()` prints the list above for any step and marks these. `step.profile(x, y)` runs it and says where the
time goes.
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
