"""What the names in a function mean: its own, of a function around it, or global. As Python itself decides it."""

from __future__ import annotations

import ast
from typing import Any


class Scope:
    """What the names of one function mean.

    Attributes:
        local: names that it assigns.
        is_class: the body of a class, whose names functions within do not see.
    """

    def __init__(self, local: set[str], outer: Scope | None, is_class: bool = False, name: str = "") -> None:
        self.local, self.outer, self.is_class, self.name = local, outer, is_class, name
        self.globals: set[str] = set()
        self.nonlocals: set[str] = set()

    def kind(self, name: str) -> str:
        """What a name is here: "local", "free" or "global"."""
        if name in self.globals:
            return "global"
        if name in self.local and name not in self.nonlocals:
            return "local"
        outer = self.outer
        while outer is not None:
            if not outer.is_class and name in outer.local and name not in outer.globals | outer.nonlocals:
                return "free"
            if not outer.is_class and name in outer.globals:
                return "global"
            outer = outer.outer
        return "global"


class Names(ast.NodeVisitor):
    """The names that a body assigns, and those that it declares global or nonlocal."""

    def __init__(self) -> None:
        self.assigned: set[str] = set()
        self.globals: set[str] = set()
        self.nonlocals: set[str] = set()

    def visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load):
            self.assigned.add(node.id)

    def visit_Global(self, node: ast.Global) -> None:
        self.globals |= set(node.names)

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        self.nonlocals |= set(node.names)

    def visit_FunctionDef(self, node: Any) -> None:
        self.assigned.add(node.name)
        arguments = node.args
        defaults = [d for d in arguments.kw_defaults if d is not None]
        for outside in (*node.decorator_list, *arguments.defaults, *defaults):
            self.visit(outside)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.assigned.add(node.name)
        for outside in (*node.decorator_list, *node.bases, *node.keywords):
            self.visit(outside)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        for outside in (*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)):
            self.visit(outside)

    def _visit_comprehension(self, node: Any) -> None:
        self.visit(node.generators[0].iter)
        for part in ast.walk(node):  # `:=` within a comprehension assigns here
            if isinstance(part, ast.NamedExpr):
                self.assigned.add(part.target.id)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _visit_comprehension

    def visit_Import(self, node: Any) -> None:
        self.assigned |= {(a.asname or a.name).split(".")[0] for a in node.names}

    visit_ImportFrom = visit_Import

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self.assigned.add(node.name)
        self.generic_visit(node)

    def visit_MatchAs(self, node: Any) -> None:
        if node.name:
            self.assigned.add(node.name)
        self.generic_visit(node)

    visit_MatchStar = visit_MatchAs

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        if node.rest:
            self.assigned.add(node.rest)
        self.generic_visit(node)


def names_of(body: list[Any]) -> Names:
    """What a body does with names."""
    names = Names()
    for part in body:
        names.visit(part)
    return names


def arguments_of(arguments: ast.arguments) -> set[str]:
    """The names of a function's arguments."""
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return {argument.arg for argument in every if argument is not None}
