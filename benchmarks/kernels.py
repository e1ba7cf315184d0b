"""Products and loops by themselves: `python -m benchmarks.kernels`, or with `--only product`, `convolution` or `loop`.

Products are compared with NumPy, PyTorch and what the processor can do at most; fused loops with what memory can
bring. Everything is float32; each library has a process of its own, and they run in turn. Results go into memory that
exists already, where the library can do that.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine_text, peak
from benchmarks.measure import Apart, compare_apart, serve_many

LIBRARIES = ("chainrule", "numpy", "torch")

Function = Callable[[], object]


class Kernel(NamedTuple):
    """A row of the table: what it is, its sizes, and the operations or bytes it cannot do without."""

    kind: str
    sizes: tuple[int, ...]
    amount: float
    title: str


def _product(m: int, n: int, k: int, kind: str = "product") -> Kernel:
    what = "weight's gradient, " if kind == "gradient" else ""
    return Kernel(kind, (m, n, k), 2.0 * m * n * k, f"{what}{m}×{n}×{k}")


def _convolution(n: int, c: int, size: int) -> Kernel:
    title = f"3×3 convolution, {n}×{c}×{size}×{size}, forward and both gradients"
    return Kernel("convolution", (n, c, size), 3 * 2.0 * n * c * c * size * size * 9, title)


_MILLION = 10**6
KERNELS = [
    _product(128, 512, 784), _product(2048, 128, 512), _product(32, 1024, 256), _product(1024, 1024, 1024),
    _product(128, 512, 2048, "gradient"), _product(576, 64, 32768, "gradient"),
    _convolution(32, 64, 32), _convolution(32, 128, 16), _convolution(32, 256, 8), _convolution(32, 512, 4),
    Kernel("add", (4 * _MILLION,), 12.0 * 4 * _MILLION, "x + y, 4 million entries"),
    Kernel("tanh", (4 * _MILLION,), 12.0 * 4 * _MILLION, "tanh(x)·y + x, 4 million entries"),
    Kernel("softmax", (4096, 1000), 8.0 * 4096 * 1000, "softmax of 4096×1000"),
    Kernel("adam", (4 * _MILLION,), 28.0 * 4 * _MILLION, "Adam, 4 million parameters"),
]  # fmt: skip
LOOPS = {"add", "tanh", "softmax", "adam"}


def array(*shape: int) -> Any:
    """Random numbers."""
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


# ------------------------------------------------------------------------------------- the competitors


def ours(kind: str, sizes: tuple[int, ...]) -> Function:
    """A compiled function that writes its result into a tensor that stays."""
    import chainrule

    tensor = chainrule.tensor
    if kind == "convolution":
        return _our_convolution(*sizes)
    if kind == "adam":
        weight, gradient = tensor(array(*sizes), requires_grad=True), tensor(array(*sizes))
        optimizer = chainrule.optim.Adam([weight])

        def step() -> None:
            weight.grad = gradient
            optimizer.step()

        return chainrule.compile(step)
    if kind in ("product", "gradient"):
        m, n, k = sizes
        x, y = tensor(array(*((m, k) if kind == "product" else (k, m)))), tensor(array(k, n))
        result = chainrule.zeros(m, n)
        functions = {"product": lambda: x @ y, "gradient": lambda: x.T @ y}
    else:
        x, y, result = tensor(array(*sizes)), tensor(array(*sizes)), chainrule.zeros(*sizes)
        functions = {"add": lambda: x + y, "tanh": lambda: x.tanh() * y + x, "softmax": lambda: x.softmax(1)}

    def write() -> None:
        result.copy_(functions[kind]())

    return chainrule.compile(write)


def _our_convolution(n: int, c: int, size: int) -> Function:
    """Between two elementwise operations, as in a network: there images lie as the compiler likes."""
    import chainrule
    from chainrule.nn import functional as F

    x, weight, upstream = (chainrule.tensor(a) for a in _convolution_arrays(n, c, size))
    means, gradient = chainrule.zeros(c), chainrule.zeros(c, c, 3, 3)

    def step() -> None:
        image, kernel = (x + 1).detach().requires_grad_(), weight.detach().requires_grad_()
        result = F.conv2d(image, kernel, None, 1, 1)
        result.backward(upstream + 1)
        means.copy_(result.sum((0, 2, 3)) + image.grad.sum((0, 2, 3)))
        gradient.copy_(kernel.grad)

    return chainrule.compile(step)


def _convolution_arrays(n: int, c: int, size: int) -> tuple[Any, Any, Any]:
    return array(n, c, size, size), array(c, c, 3, 3), array(n, c, size, size)


def numpys(kind: str, sizes: tuple[int, ...]) -> Function:
    """NumPy, without memory of its own where it can."""
    if kind in ("product", "gradient"):
        m, n, k = sizes
        a, b, c = array(*((m, k) if kind == "product" else (k, m))), array(k, n), np.zeros((m, n), np.float32)
        return lambda: np.matmul(a if kind == "product" else a.T, b, out=c)
    x, y, z = array(*sizes), array(*sizes), np.zeros(sizes, np.float32)
    if kind == "add":
        return lambda: np.add(x, y, out=z)
    return lambda: np.add(np.multiply(np.tanh(x, out=z), y, out=z), x, out=z)


def torchs(kind: str, sizes: tuple[int, ...]) -> Function:
    """PyTorch: channels last for convolutions, the fused Adam."""
    import torch

    make = torch.from_numpy
    if kind == "convolution":
        last = torch.channels_last
        x, w, g = (make(a).to(memory_format=last) for a in _convolution_arrays(*sizes))
        w.requires_grad_()

        def step() -> object:
            image = (x + 1).requires_grad_()
            result = torch.nn.functional.conv2d(image, w, None, 1, 1)
            (gradient, _) = torch.autograd.grad(result, (image, w), g + 1)
            return result.detach().sum((0, 2, 3)) + gradient.sum((0, 2, 3))

        return step
    if kind == "adam":
        weight = make(array(*sizes)).requires_grad_()
        weight.grad = make(array(*sizes))
        return torch.optim.Adam([weight], fused=True).step
    if kind in ("product", "gradient"):
        m, n, k = sizes
        a, b, c = make(array(*((m, k) if kind == "product" else (k, m)))), make(array(k, n)), torch.zeros(m, n)
        return lambda: torch.matmul(a if kind == "product" else a.T, b, out=c)
    x, y, z = make(array(*sizes)), make(array(*sizes)), torch.zeros(*sizes)
    if kind == "softmax":
        return lambda: torch.softmax(x, 1)
    if kind == "add":
        return lambda: torch.add(x, y, out=z)
    return lambda: torch.tanh(x, out=z).mul_(y).add_(x)


# ------------------------------------------------------------------------------------- the table


def can(library: str, kernel: Kernel) -> bool:
    """NumPy has no convolutions, softmax and Adam."""
    return library != "numpy" or kernel.kind in ("product", "gradient", "add", "tanh")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="kinds, separated by commas: product, gradient, convolution, add, …")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--serve", choices=LIBRARIES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        make = {"chainrule": ours, "numpy": numpys, "torch": torchs}[options.serve]
        serve_many(lambda name: make(KERNELS[int(name)].kind, KERNELS[int(name)].sizes))
        return
    console = Console()
    console.print(machine_text())
    workers = {library: Apart("benchmarks.kernels", "--serve", library) for library in LIBRARIES}
    tables = [
        Table("product", "ms", "GFLOP/s", "of the peak", "NumPy", "PyTorch"),
        Table("loop", "ms", "GB/s", "", "NumPy", "PyTorch"),
    ]
    found: dict[str, Any] = {}
    for number, kernel in enumerate(KERNELS):
        if options.only and kernel.kind not in options.only.split(","):
            continue
        here = {library: worker for library, worker in workers.items() if can(library, kernel)}
        times = compare_apart(here, options.rounds, str(number)).milliseconds
        rates = {library: f"{kernel.amount / ms / 1e6:.0f}" for library, ms in times.items()}
        found[kernel.title] = times
        loop = kernel.kind in LOOPS
        share = "" if loop else f"{kernel.amount / times['chainrule'] * 1e3 / peak():.0%}"
        others = [rates.get(library, "–") for library in ("numpy", "torch")]
        tables[loop].add_row(kernel.title, f"{times['chainrule']:.3f}", rates["chainrule"], share, *others)
    for worker in workers.values():
        worker.close()
    for table in tables:
        (console if console.is_terminal else Console(width=120)).print(table)
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
