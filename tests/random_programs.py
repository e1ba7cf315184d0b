"""Random programs: small lines of tensor code, made from a seed, whose results depend smoothly on their inputs.

A program is data (source lines), so that a failing one can be shortened and printed. While it is made, each line is
run: a line is taken only if its result is finite and tiny changes of its arguments change it, and its gradients, but
little. So what two ways of computing may differ in is rounding alone, and no order of entries or sign hangs on that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import chainrule
from chainrule.nn import functional as F

EXTENTS = (*(1, 2, 3, 4, 5, 7, 8, 16, 17) * 3, 6, 9, 11, 13, 31, 33, 64, 100, 129, 257, 1025)
#: No result has more entries.
LARGEST = 6000
#: Results with larger entries are scaled down before they are used.
HIGHEST = 8.0
#: How a parameter is changed in place.
UPDATES = (
    "{p}.sub_(0.01 * {p}.grad)", "{p}.mul_(0.9).add_({p}.grad, alpha=-0.01)", "{p}.copy_({p} - 0.01 * {p}.grad)",
    "{p}[:1].sub_(0.01 * {p}.grad[-1:])", "{p}[..., ::2].mul_(0.5)",
)  # fmt: skip
NAME = re.compile(r"\b[vxp]\d+\b")
NAMES = {"np": np, "chainrule": chainrule, "F": F}
#: What arguments are moved by, and how many times as far the result may move.
EPSILON = {"float64": 1e-8, "float32": 1e-4}
AMPLIFIED = {"float64": 100, "float32": 10}


class Program(NamedTuple):
    """A function of tensors as source lines.

    Attributes:
        seed: what it was made from.
        outside: assignments before the function; p… are tensors that it finds outside, others are its arguments.
        body: the lines of the function.
        results: the expressions that it returns.
    """

    seed: int
    outside: tuple[str, ...]
    body: tuple[str, ...]
    results: tuple[str, ...]

    def source(self) -> str:
        """A function `make` that gives the function, its arguments and the tensors that it finds outside."""
        made = list(dict.fromkeys(name for line in self.outside for name in re.findall(r"^(\w+) = ", line)))
        arguments = ", ".join(name for name in made if name[0] != "p")
        found = ", ".join(name for name in made if name[0] == "p")
        accumulated = {line.split(".")[0] for line in self.outside if ".grad = " in line}
        parameters = [line.split()[0] for line in self.outside if line.startswith("p") and "requires_grad" in line]
        first = [f"{name}.grad = None" for name in parameters if name not in accumulated]
        inner = [f"def step({arguments}):", *["    " + line for line in (*first, *self.body)]]
        inner.append(f"    return [{', '.join(self.results)}]")
        lines = [*self.outside, *inner, f"return step, [{arguments}], [{found}]"]
        return "\n".join(["def make():", *["    " + line for line in lines]]) + "\n"

    def make(self) -> tuple[Callable[..., list[Any]], list[Any], list[Any]]:
        """The function, its arguments and what it finds outside, anew."""
        names = dict(NAMES)
        exec(self.source(), names)
        return names["make"]()  # type: ignore[operator]


class UnfitError(Exception):
    """No variable is such that the rule can be used."""


class Maker:
    """A program being made, with the values that its variables have."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = np.random.default_rng(seed)
        self.dtype = "float32" if self.chance(0.2) else "float64"
        self.with_gradients = self.chance(0.55)
        self.outside: list[str] = []
        self.first: list[str] = []
        self.body: list[str] = []
        self.values: dict[str, Any] = {}
        self.usable: list[str] = []
        self.exact: set[str] = set()
        self.memories: set[str] = set()
        self.count = 0

    # ------------------------------------------------------------------------------------- chances

    def chance(self, probability: float) -> bool:
        """True so often."""
        return bool(self.random.random() < probability)

    def number(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        if high < low:
            raise UnfitError
        return int(self.random.integers(low, high + 1))

    def choose(self, things: Sequence[Any]) -> Any:
        """One of them."""
        if not things:
            raise UnfitError
        return things[int(self.random.integers(len(things)))]

    def shape(self, dims: int | None = None) -> tuple[int, ...]:
        """A random shape; rarely without entries."""
        dims = self.choose([1, 2, 2, 3, 3, 4]) if dims is None else dims
        while True:
            shape = tuple(0 if self.chance(0.005) else self.choose(EXTENTS) for _ in range(dims))
            if np.prod(shape) <= LARGEST / 3:
                return shape

    # ------------------------------------------------------------------------------------- variables

    def pick(self, fits: Callable[[Any], bool]) -> str:
        """A variable that fits, more likely a late one."""
        fitting = [name for name in self.usable if fits(self.values[name])]
        if not fitting:
            raise UnfitError
        return fitting[int(len(fitting) * self.random.random() ** 0.6)]

    def floats(self, low: int = 0, high: int = 5) -> str:
        """A variable of floating point with that many dimensions."""
        return self.pick(lambda t: t.dtype.is_floating_point and low <= t.ndim <= high)

    def wholes(self, low: int = 0, high: int = 5) -> str:
        """A variable of whole numbers with that many dimensions."""
        return self.pick(lambda t: t.dtype == chainrule.int64 and low <= t.ndim <= high)

    def masks(self) -> str:
        """A variable of truth values."""
        return self.pick(lambda t: t.dtype == chainrule.bool)

    def shape_of(self, name: str) -> tuple[int, ...]:
        """The shape it has."""
        return tuple(self.values[name].shape)

    def anything(self, low: int = 0, high: int = 4) -> str:
        """A variable of any type, most often of floating point."""
        return self.floats(low, high) if self.chance(0.85) else self.pick(lambda t: low <= t.ndim <= high)

    def axis(self, name: str, low: int = 1) -> int:
        """One of its dimensions whose extent is at least `low`."""
        return int(self.choose([i for i, n in enumerate(self.shape_of(name)) if n >= low]))

    def axes(self, name: str) -> str:
        """Some of its dimensions, as the argument `dim`: none, one (perhaps from the end), or several."""
        dims = self.values[name].ndim
        if dims == 0 or self.chance(0.15):
            return "None"
        if self.chance(0.6):
            return str(self.number(-dims, dims - 1))
        return repr(tuple(sorted(int(i) for i in self.random.permutation(dims)[: self.number(1, dims)])))

    def indices(self, shape: tuple[int, ...], below: int) -> str:
        """Indices of this shape: a new input, or what the program has computed."""
        try:
            if self.chance(0.4):
                found = self.pick(lambda t: t.dtype == chainrule.int64 and tuple(t.shape) == shape)
                return f"({found} % {max(below, 1)})"
        except UnfitError:
            pass
        return self.fresh_wholes(shape, below)

    def shaped(self, dims: int) -> tuple[str, tuple[int, ...]]:
        """An expression with so many dimensions, and its shape: a variable, or one with dimensions put together."""
        name = self.floats()
        shape = self.shape_of(name)
        while len(shape) > dims:
            shape = (shape[0] * shape[1], *shape[2:])
        shape = (1,) * (dims - len(shape)) + shape
        return (name if shape == self.shape_of(name) else f"{name}.reshape({shape})"), shape

    def like(self, shape: Sequence[int]) -> str:
        """A variable of floating point with this shape; a new input if there is none, and sometimes anyway."""
        shape = tuple(shape)
        try:
            if self.chance(0.5):
                return self.pick(lambda t: t.dtype == getattr(chainrule, self.dtype) and tuple(t.shape) == shape)
        except UnfitError:
            pass
        return self.fresh(shape)

    def partner(self, name: str) -> str:
        """A variable that broadcasts with this one."""
        if self.chance(0.5):
            return self.same_kind(name)
        shape = self.shape_of(name)
        start = self.number(0, len(shape)) if self.chance(0.3) else 0
        return self.like([1 if self.chance(0.3) else n for n in shape[start:]])

    def same_kind(self, name: str) -> str:
        """A variable of the same data type that broadcasts with this one."""
        shape = self.shape_of(name)
        return self.pick(lambda t: t.dtype == self.values[name].dtype and broadcasts(tuple(t.shape), shape))

    def fresh(self, shape: Sequence[int]) -> str:
        """A new input of normal numbers: an argument or a parameter, with or without a gradient."""
        shape = tuple(shape)
        seed = int(self.random.integers(1000))
        turned = len(shape) > 1 and self.chance(0.1)
        drawn = (*shape[:-2], shape[-1], shape[-2]) if turned else shape
        numbers = f"np.random.default_rng({seed}).standard_normal({drawn})"
        tensor = f"chainrule.tensor({numbers}{'.astype(np.float32)' if self.dtype == 'float32' else ''})"
        if self.with_gradients and not turned and self.chance(0.4):
            return self._parameter(tensor)
        name = self._outside("x", f"{tensor}{'.mT' if turned else ''}")
        if self.with_gradients and self.chance(0.7):
            line = f"{name} = {name}.detach().requires_grad_()"
            self.first.append(line)
            self.run(line)
        return name

    def _parameter(self, tensor: str) -> str:
        name = self._outside("p", f"{tensor}.requires_grad_()")
        if self.chance(0.3):
            self.outside.append(f"{name}.grad = chainrule.zeros_like({name})")  # and gradients are added up
            self.run(self.outside[-1])
        return name

    def fresh_wholes(self, shape: Sequence[int], below: int) -> str:
        """A new argument of whole numbers from 0 to below."""
        if below < 1:
            raise UnfitError
        seed = int(self.random.integers(1000))
        numbers = f"np.random.default_rng({seed}).integers(0, {below}, {tuple(shape)})"
        return self._outside("x", f"chainrule.tensor({numbers})")

    def fresh_mask(self, shape: Sequence[int]) -> str:
        """A new argument of truth values."""
        seed = int(self.random.integers(1000))
        return self._outside("x", f"chainrule.tensor(np.random.default_rng({seed}).random({tuple(shape)}) < 0.5)")

    def fresh_order(self, shape: Sequence[int], axis: int) -> str:
        """A new argument of indices that are all different along an axis."""
        seed = int(self.random.integers(1000))
        numbers = f"np.random.default_rng({seed}).random({tuple(shape)}).argsort({axis})"
        return self._outside("x", f"chainrule.tensor({numbers})")

    def memory(self, expression: str) -> str:
        """A new tensor outside that the program may change."""
        name = self._outside("p", expression)
        self.memories.add(name)
        return name

    def _outside(self, kind: str, expression: str) -> str:
        name = f"{kind}{self.count}"
        self.count += 1
        self.outside.append(f"{name} = {expression}")
        self.run(self.outside[-1])
        self.usable.append(name)
        self.exact.add(name)
        return name

    # ------------------------------------------------------------------------------------- lines

    def run(self, line: str) -> None:
        """Do what a line says."""
        names = {**NAMES, **self.values}
        exec(line, names)
        self.values = {name: value for name, value in names.items() if NAME.fullmatch(name)}

    def add(self, expression: str, moves: bool = False) -> bool:
        """Assign it to a new variable, if it is fit for that. `moves`: its entries are some of its arguments'."""
        used = set(NAME.findall(expression))
        if self._leaves_history(expression, used) or not self._is_fit(expression, used):
            return False
        name = f"v{self.count}"
        try:
            self.run(f"{name} = {expression}")
        except (chainrule.ChainruleError, ValueError):  # in place where that is not allowed
            return False
        self.count += 1
        self.body.append(f"{name} = {expression}")
        value = self.values[name]
        if "_(" in expression:  # in place, so what looks at the same memory changes too
            self.exact = {other for other in self.exact if not self.values[other].dtype.is_floating_point}
        elif (moves and used <= self.exact) or not value.dtype.is_floating_point:
            self.exact.add(name)
        if largest(value) > HIGHEST:
            self.usable = [other for other in self.usable if largest(self.values[other]) <= HIGHEST]
            return self.add(self._tamed(name))
        self.usable.append(name)
        return True

    def _tamed(self, name: str) -> str:
        value = self.values[name]
        if not value.dtype.is_floating_point:
            return f"{name} % 7"
        return f"{name}.tanh()" if self.chance(0.3) else f"{name} / {np.ceil(largest(value) / 2)}"

    def _leaves_history(self, expression: str, used: set[str]) -> bool:
        """Whether it writes into a tensor from outside what gradients flow through: the next call would find that."""
        if "_(" not in expression or not any(self.values[name].requires_grad for name in used):
            return False
        target = self.values[NAME.search(expression)[0]]  # type: ignore[index]
        return any(root_of(target) is root_of(self.values[name]) for name in self.values if name[0] != "v")

    def _is_fit(self, expression: str, used: set[str]) -> bool:
        try:
            up, down = (self._moved_outcome(expression, used, sign) for sign in (1, -1))
        except (chainrule.ChainruleError, ValueError):
            return False
        value = up[0]
        if value.size > LARGEST or (value.dtype == np.float32 and self.dtype == "float64"):
            return False
        return all(are_near(a, b, self.dtype) for a, b in zip(up, down, strict=True))

    def _moved_outcome(self, expression: str, used: set[str], sign: int) -> list[Any]:
        """The result and the gradients of its arguments, after these moved a little, unless they are exact."""
        chainrule.manual_seed(0)
        leaves = {name: self._moved(name, sign) for name in sorted(used)}
        copies = {name: t * 1 if t.requires_grad else t.clone() for name, t in leaves.items()}
        result = eval(expression, {**NAMES, **copies})
        if not result.requires_grad:
            return [result.detach().numpy()]
        weights = np.cos(np.arange(result.numel())).reshape(tuple(result.shape))
        (result * chainrule.tensor(weights.astype(self.dtype))).sum().backward()
        gradients = [t.grad for t in leaves.values() if t.requires_grad and t.grad is not None]
        return [t.detach().numpy() for t in (result, *gradients)]

    def _moved(self, name: str, sign: int) -> Any:
        value = self.values[name].detach()
        if not value.dtype.is_floating_point or name in self.memories:
            return value
        array = value.numpy()
        if name not in self.exact:
            noise = np.random.default_rng(int(name[1:])).uniform(0.5, 1, array.shape) * EPSILON[self.dtype]
            array = (array + sign * noise).astype(array.dtype)
        return chainrule.tensor(array).requires_grad_()

    # ------------------------------------------------------------------------------------- the end

    def finish(self) -> Program:
        """The program: with a loss, gradients and updates if it is to have them, and all or some of its results."""
        if self.with_gradients:
            self._add_loss()
        used = set(NAME.findall("\n".join(self.body)))
        outside = [line for line in self.outside if NAME.match(line)[0] in used]  # type: ignore[index]
        first = [line for line in self.first if NAME.match(line)[0] in used]  # type: ignore[index]
        made = [name for name in self.values if name[0] == "v"]
        kept = made if self.chance(0.4) else [name for name in made if self.chance(0.4)] or made[-1:]
        gradients = [f"{line.split()[0]}.grad" for line in first]
        return Program(self.seed, tuple(outside), (*first, *self.body), (*kept, *gradients))

    def _add_loss(self) -> None:
        wanted = [name for name in self.usable if name[0] == "v" and self.values[name].requires_grad]
        if not wanted:
            return
        chosen = [wanted[-1], *[name for name in wanted[:-1] if self.chance(2 / len(wanted))]]
        self.body.append("loss = 0.0")
        for name in chosen:
            self.body.append(f"loss = loss + ({name} * {self.fresh(self.shape_of(name))}).sum()")
        self.body.append("loss.backward()")
        names = {**NAMES, **self.values}
        exec("\n".join(line for line in self.body if "loss" in line), names)
        accumulated = {line.split(".")[0] for line in self.outside if ".grad = " in line}
        for name in [name for name in self.values if name[0] == "p" and name not in accumulated]:
            if self.values[name].requires_grad and self.values[name].grad is not None and self.chance(0.6):
                self._add_update(name)

    def _add_update(self, name: str) -> None:
        """Change a parameter as an optimiser does, and perhaps read it again."""
        change = self.choose(UPDATES if self.values[name].ndim else UPDATES[:3]).format(p=name)
        self.body.append(f"with chainrule.no_grad(): {change}")
        if self.chance(0.3):
            self.body.append(f"v{self.count} = {self.choose(['{p} * 2', '{p}.detach()', '{p}.sum()']).format(p=name)}")
            self.run(self.body[-1])
            self.count += 1


class Rule(NamedTuple):
    """A way to make an expression.

    Attributes:
        write: chooses variables and settings; raises UnfitError if there are none.
        weight: how often it is chosen, compared with others.
        moves: entries of the result are entries of the arguments, nothing is rounded.
    """

    write: Callable[[Maker], str]
    weight: float
    moves: bool


RULES: dict[str, Rule] = {}


def rule(weight: float = 1.0, moves: bool = False) -> Callable[[Callable[[Maker], str]], Callable[[Maker], str]]:
    """Enter a function into the table."""

    def enter(function: Callable[[Maker], str]) -> Callable[[Maker], str]:
        RULES[function.__name__] = Rule(function, weight, moves)
        return function

    return enter


def random_program(seed: int) -> Program:
    """The program of this seed: 3 to 25 operations."""
    m = Maker(seed)
    for _ in range(m.number(1, 3)):
        m.fresh(m.shape())
    names = list(RULES)
    weights = np.array([RULES[name].weight for name in names])
    wanted = m.number(3, 25)
    for _ in range(8 * wanted):
        chosen = RULES[names[int(m.random.choice(len(names), p=weights / weights.sum()))]]
        try:
            m.add(chosen.write(m), chosen.moves)
        except UnfitError:
            continue
        if len(m.body) >= wanted:
            break
    return m.finish()


def broadcasts(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Whether shapes go together without becoming too large."""
    try:
        return bool(np.prod(np.broadcast_shapes(a, b)) <= LARGEST)
    except ValueError:
        return False


def root_of(tensor: Any) -> Any:
    """The tensor that it is a view of, or itself."""
    return tensor if tensor._base is None else tensor._base


def largest(value: Any) -> float:
    """The largest absolute value of its entries."""
    array = value.detach().numpy()
    return float(np.abs(array.astype(np.float64)).max(initial=0.0))


def are_near(a: Any, b: Any, dtype: str) -> bool:
    """Whether finite numbers differ by little, compared with what their arguments were moved by; others not at all."""
    if a.dtype.kind != "f":
        return bool(np.array_equal(a, b))
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return False
    size = max(1.0, float(np.abs(a).max(initial=0.0)))
    return bool(np.abs(a - b).max(initial=0.0) <= AMPLIFIED[dtype] * EPSILON[dtype] * size)
