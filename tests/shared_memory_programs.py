"""Random programs in which arguments, views, parameters and results of a function share memory.

They are Python in words that both libraries and the compiler understand.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

#: All tensors have four entries, or are parts of two.
PARTS = ("{0}[:2]", "{0}[2:]", "{0}[1:3]", "{0}.view(2, 2)[1]", "{0}[::2]", "{0}.view(2, 2).T[0]", "{0}.detach()[1:3]")
WRITES = (
    "{0}.add_({1}.clone())",
    "{0}.mul_(2)",
    "{0}.copy_({1}.clone())",
    "{0}[0] = {0}[1] + 1",
    "{0}.sub_({1} * 0.5)",
)
VALUES = ("{0} * {1}", "{0} + 1", "({0} - {1}).tanh()", "{0} * 2")


class Writer:
    """Writes one program: what is set up, the step, and what happens between its calls."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.halves: list[str] = []
        self.parameters: list[str] = []

    def choose(self, *options: Any) -> Any:
        """One of them."""
        return self.random.choice(options)

    def text(self) -> str:
        """The program: a function `run(T, compiled)` that answers all tensors in the end, and what was returned."""
        lines = ["def run(T, compiled):", "    answers = []"]
        lines += ["    " + line for line in self.setting()]
        lines += ["    def step(a, b):"]
        lines += ["        " + line for line in self.body()]
        lines += ["    f = compiled(step)"]
        for _ in range(4):
            lines += ["    " + line for line in self.between()]
            lines.append(f"    results = f({self.argument()}, {self.argument()})")
            if self.random.random() < 0.5:
                lines.append("    with T.no_grad(): results[0].mul_(3)")
            lines.append("    answers += [r.detach().clone() for r in results]")
            everything = ", ".join([*self.roots, *self.halves, *self.parameters])
            lines.append(f"    answers += [t.detach().clone() for t in ({everything},)]")
            grads = ", ".join(f"{p}.grad" for p in self.parameters)
            lines.append(f"    answers += [None if g is None else g.detach().clone() for g in ({grads},)]")
        return "\n".join([*lines, "    return answers"])

    def setting(self) -> list[str]:
        self.roots = ["r0", "r1"]
        lines = ["r0, r1 = T.tensor([1.0, -2.0, 0.5, 3.0]), T.tensor([0.25, 1.5, -1.0, 2.0])"]
        for i in range(self.random.randint(1, 3)):
            lines.append(f"h{i} = {self.part()}")
            self.halves.append(f"h{i}")
        for i in range(self.random.randint(1, 2)):
            what = self.choose(self.part(), self.choose(*self.halves), self.part() + ".clone()")
            lines.append(f"p{i} = " + self.choose(f"T.nn.Parameter({what})", f"({what}).detach().requires_grad_()"))
            self.parameters.append(f"p{i}")
        return lines

    def part(self) -> str:
        return str(self.choose(*PARTS)).format(self.choose(*self.roots))

    def argument(self) -> str:
        return str(self.choose(self.part(), *self.halves, *self.parameters, "T.tensor([0.5, -0.5])"))

    def body(self) -> list[str]:
        names = ["a", "b", *self.halves, *self.parameters]
        lines = []
        for i in range(self.random.randint(1, 4)):
            target, other = self.choose(*names), self.choose(*names)
            kind = self.random.random()
            if kind < 0.45:
                lines.append("with T.no_grad(): " + str(self.choose(*WRITES)).format(target, other))
            elif kind < 0.7:
                lines.append(f"x{i} = ({str(self.choose(*VALUES)).format(target, other)}).detach()")
                names.append(f"x{i}")
            else:
                p = self.choose(*self.parameters)
                clear = self.choose("", f"{p}.grad = None; ")
                lines.append(f"{clear}({p} * {p} * {other}.detach()).sum().backward()")
                if self.random.random() < 0.6:
                    lines.append(f"with T.no_grad(): {p}.sub_(0.1 * {p}.grad)")
        results = [self.choose(*names, f"{target}.detach()[:1]", f"{other} * 1") for _ in range(2)]
        return [*lines, f"return {results[0]}, {results[1]}"]

    def between(self) -> list[str]:
        kind = self.random.random()
        if kind < 0.3:
            name = self.choose(*self.roots, *self.halves, *self.parameters)
            return [f"with T.no_grad(): {name}.mul_(0.5)"]
        if kind < 0.4:
            return [f"{self.choose(*self.parameters)}.grad = None"]
        if kind < 0.5:
            return [f"{self.choose(*self.parameters)}.data = {self.part()}"]
        if kind < 0.55:
            return [f"{self.choose(*self.parameters)}.data = T.tensor([1.0, -1.0])"]
        if kind < 0.6:
            return [f"{self.choose(*self.parameters)}.grad = T.tensor([1.0, -1.0])"]
        return []


def program(seed: int) -> tuple[str, Callable[[Any, Any], list[Any]]]:
    """A program's text, and the function that it defines."""
    text = Writer(seed).text()
    scope: dict[str, Any] = {}
    exec(text, scope)
    return text, scope["run"]
