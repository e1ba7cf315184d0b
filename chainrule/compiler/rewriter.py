"""The rewriting of a syntax tree: every read in it becomes a call of a reader (`readers.py`).

    x * settings["scale"]   →   binary(operator.mul, x, item(name("settings", settings), "scale"))

A reader stands in the tree as a string, which `rewrite.py` replaces by the function once the tree is compiled.
"""

from __future__ import annotations

import ast
import copy
from typing import Any

from chainrule.compiler.scopes import Names, Scope, arguments_of, names_of

#: How the strings begin that stand for functions.
MARK = "chainrule: "
#: The argument of functions that only show a variable's cell, so that they are told from the user's.
INSERTED = "__chainrule__"
_HOLDER, _KEY = "__chainrule_holder__", "__chainrule_key__"
#: Called as they are: they look at the frame of their caller.
_OF_THE_FRAME = frozenset({"super", "locals", "globals", "eval", "exec", "breakpoint", "__import__"})


def rewritten_tree(tree: ast.Module) -> ast.Module:
    """The tree with the reads of all functions in it passing through the readers. `tree` is left as it is."""
    new: ast.Module = _Rewriter().visit(copy.deepcopy(tree))
    return ast.fix_missing_locations(new)


def _reader(name: str, *arguments: Any) -> Any:
    return ast.Call(ast.Constant(MARK + name), list(arguments), [])


def _walked(iterable: Any, target: Any) -> Any:
    """An iterable whose parts a loop's target may take apart further."""
    shape = _shape_of(target)
    return _reader("each", iterable) if shape is None else _reader("each_unpacked", iterable, ast.Constant(shape))


def _shape_of(target: Any) -> Any:
    """What of a target is taken apart: (of the parts before a star, of those behind it), None for what is not."""
    if not isinstance(target, ast.Tuple | ast.List):
        return None
    star = next((i for i, part in enumerate(target.elts) if isinstance(part, ast.Starred)), len(target.elts))
    shapes = [_shape_of(part) for part in target.elts]
    return tuple(shapes[:star]), tuple(shapes[star + 1 :])


def _comparison(node: ast.cmpop, with_constant: bool) -> str:
    """What does a comparison; `x is None` asks for no identity but None's."""
    identity = {ast.Is: "same", ast.IsNot: "other", ast.In: "within", ast.NotIn: "without"}
    if type(node) in identity and not with_constant:
        return identity[type(node)]
    return "operator." + _COMPARISONS[type(node)] if type(node) in _COMPARISONS else identity[type(node)]


def _of_evaluation(arguments: list[Any]) -> list[Any]:
    """The arguments of `eval` and `exec`: of all names there are, `globals()`, those count that the text has in it."""
    return [
        _reader("everything" if i else "evaluated", part)
        if not (isinstance(part, ast.Call) and _is_for_names(part))
        else part
        for i, part in enumerate(arguments)
    ]


def _is_for_names(call: ast.Call) -> bool:
    is_reader = isinstance(call.func, ast.Constant) and call.func.value == MARK + "namespace"
    return is_reader or (isinstance(call.func, ast.Name) and call.func.id == "locals")


def _must_stay_here(part: ast.expr) -> bool:
    """Whether an expression cannot be put into a function of its own."""
    return any(isinstance(p, ast.Yield | ast.YieldFrom | ast.Await | ast.NamedExpr) for p in ast.walk(part))


def _later(expression: Any) -> ast.Lambda:
    """A function that gives an expression's value."""
    return ast.Lambda(_marked_arguments(), expression)


def _marked_arguments() -> ast.arguments:
    return ast.arguments([], [ast.arg(INSERTED)], None, [], [], None, [ast.Constant(None)])


def _operator(node: ast.operator, in_place: bool = False) -> ast.Constant:
    name = _OPERATORS[type(node)]
    return ast.Constant(MARK + "operator." + ("i" + name.rstrip("_") if in_place else name))


_COMPARISONS: dict[type, str] = {
    ast.Is: "is_", ast.IsNot: "is_not", ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt",
    ast.GtE: "ge",
}  # fmt: skip
_SIGNS: dict[type, str] = {ast.USub: "neg", ast.UAdd: "pos", ast.Invert: "invert"}
_OPERATORS: dict[type, str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "truediv", ast.FloorDiv: "floordiv", ast.Mod: "mod",
    ast.Pow: "pow", ast.LShift: "lshift", ast.RShift: "rshift", ast.BitOr: "or_", ast.BitXor: "xor", ast.BitAnd: "and_",
    ast.MatMult: "matmul",
}  # fmt: skip


class _Rewriter(ast.NodeTransformer):
    def __init__(self) -> None:
        self.scope: Scope | None = None

    def visit(self, node: ast.AST) -> Any:
        new = super().visit(node)
        if isinstance(new, ast.AST) and new is not node:
            ast.copy_location(new, node)
        return new

    # --------------------------------------------------------------------------------- scopes

    def _function(self, node: Any) -> Any:
        node.decorator_list = [self.visit(d) for d in node.decorator_list]
        self._visit_defaults(node.args)
        names = names_of(node.body)
        outer, self.scope = self.scope, Scope(names.assigned | arguments_of(node.args), self.scope)
        self.scope.globals, self.scope.nonlocals = names.globals, names.nonlocals
        has_text = ast.get_docstring(node, clean=False) is not None
        body = self._statements(node.body)
        node.body = body[:has_text] + self._announced(names) + body[has_text:]
        self.scope = outer
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = _function

    def _announced(self, names: Names) -> list[ast.stmt]:
        """What a function says first: which variables of others it may assign."""
        said = [_reader("assigns", ast.Constant(name), self._shown(name)) for name in sorted(names.nonlocals)]
        said += [_reader("assigns", ast.Constant(name), ast.Constant(None)) for name in sorted(names.globals)]
        return [ast.Expr(call) for call in said]

    def _statements(self, body: list[ast.stmt]) -> list[ast.stmt]:
        new: list[ast.stmt] = []
        for statement in body:
            changed = self.visit(statement)
            new += changed if isinstance(changed, list) else [changed]
        return new

    def _visit_defaults(self, arguments: ast.arguments) -> None:
        arguments.defaults = [self.visit(d) for d in arguments.defaults]
        arguments.kw_defaults = [None if d is None else self.visit(d) for d in arguments.kw_defaults]

    def visit_Lambda(self, node: ast.Lambda) -> Any:
        self._visit_defaults(node.args)
        names = names_of([node.body])
        outer, self.scope = self.scope, Scope(names.assigned | arguments_of(node.args), self.scope)
        node.body = self.visit(node.body)
        self.scope = outer
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        node.decorator_list = [self.visit(d) for d in node.decorator_list]
        node.bases = [self.visit(b) for b in node.bases]
        node.keywords = [self.visit(k) for k in node.keywords]
        names = names_of(node.body)
        outer, self.scope = self.scope, Scope(names.assigned, self.scope, True, node.name)
        self.scope.globals, self.scope.nonlocals = names.globals, names.nonlocals
        node.body = self._statements(node.body)
        self.scope = outer
        return node

    def _comprehension(self, node: Any) -> Any:
        targets = names_of([g.target for g in node.generators]).assigned
        first = self.visit(node.generators[0].iter)
        outer, self.scope = self.scope, Scope(targets, self.scope)
        if outer is not None and outer.is_class:
            self.scope.outer = outer.outer
        for i, generator in enumerate(node.generators):
            given = first if i == 0 else self.visit(generator.iter)
            generator.iter = given if generator.is_async else _walked(given, generator.target)
            generator.ifs = [_reader("truth", self.visit(test)) for test in generator.ifs]
            generator.target = self.visit(generator.target)
        for field in ("elt", "key", "value"):
            if hasattr(node, field):
                setattr(node, field, self.visit(getattr(node, field)))
        self.scope = outer
        return _reader("keyed", node) if isinstance(node, ast.SetComp | ast.DictComp) and outer is not None else node

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    def _mangled(self, name: str) -> str:
        """Names with two underscores belong to their class."""
        scope = self.scope
        while scope is not None and not scope.is_class:
            scope = scope.outer
        if scope is None or not name.startswith("__") or name.endswith("__") or "." in name:
            return name
        owner = scope.name.lstrip("_")
        return f"_{owner}{name}" if owner else name

    # --------------------------------------------------------------------------------- reads

    def _shown(self, name: str) -> ast.Lambda:
        """A function whose closure is the variable's cell."""
        return _later(ast.Name(name, ast.Load()))

    def visit_Name(self, node: ast.Name) -> Any:
        if not isinstance(node.ctx, ast.Load) or self.scope is None or node.id in ("super", "__class__"):
            return node
        kind = self.scope.kind(node.id)
        if kind == "global":
            return _reader("name", node, ast.Constant(self._mangled(node.id)))
        if kind == "free":
            return _reader("variable", node, ast.Constant(node.id), self._shown(node.id))
        return node

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        value = self.visit(node.value)
        if self.scope is None:
            node.value = value
            return node
        if isinstance(node.ctx, ast.Load):
            return _reader("attribute", value, ast.Constant(self._mangled(node.attr)))
        node.value = _reader("writing", value, ast.Constant(self._mangled(node.attr)))
        return node

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        value, key = self.visit(node.value), self._key(self.visit(node.slice))
        if self.scope is None:
            node.value, node.slice = value, key
            return node
        if isinstance(node.ctx, ast.Load):
            return _reader("item", value, key)
        reader = "deleted" if isinstance(node.ctx, ast.Del) else "key"
        node.value, node.slice = _reader("writing", value), _reader(reader, key)
        return node

    def _key(self, key: Any) -> Any:
        """What stands in the brackets as an expression: a[1:2] is a[slice(1, 2, None)]."""
        if isinstance(key, ast.Slice):
            parts = [ast.Constant(None) if part is None else part for part in (key.lower, key.upper, key.step)]
            return ast.Call(ast.Constant(MARK + "slice"), parts, [])
        if isinstance(key, ast.Tuple):
            return ast.Tuple([self._key(part) for part in key.elts], ast.Load())
        return key

    def visit_Call(self, node: ast.Call) -> Any:
        arguments = [self.visit(a) for a in node.args]
        keywords = [self.visit(k) for k in node.keywords]
        asks_the_frame = isinstance(node.func, ast.Name) and (
            node.func.id in _OF_THE_FRAME or (node.func.id in ("vars", "dir") and not arguments)
        )
        if self.scope is None or asks_the_frame:
            node.func = node.func if self.scope is not None else self.visit(node.func)
            if self.scope is not None and isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec"):
                arguments = _of_evaluation(arguments)
            node.args, node.keywords = arguments, keywords
            asked = self.scope is not None and isinstance(node.func, ast.Name) and node.func.id == "globals"
            return _reader("namespace", node) if asked else node
        return ast.Call(ast.Constant(MARK + "call"), [self.visit(node.func), *arguments], keywords)

    def visit_keyword(self, node: ast.keyword) -> Any:
        value = self.visit(node.value)
        node.value = _reader("spread", value) if node.arg is None and self.scope is not None else value
        return node

    def visit_Starred(self, node: ast.Starred) -> Any:
        value = self.visit(node.value)
        node.value = _reader("each", value) if isinstance(node.ctx, ast.Load) and self.scope is not None else value
        return node

    def visit_Dict(self, node: ast.Dict) -> Any:
        values = [self.visit(v) for v in node.values]
        if self.scope is not None:
            values = [v if k is not None else _reader("spread", v) for k, v in zip(node.keys, values, strict=True)]
        node.keys, node.values = [None if k is None else self.visit(k) for k in node.keys], values
        return (
            node
            if self.scope is None or all(isinstance(k, ast.Constant) for k in node.keys)
            else _reader("keyed", node)
        )

    def visit_Set(self, node: ast.Set) -> Any:
        node.elts = [self.visit(part) for part in node.elts]
        return node if self.scope is None else _reader("keyed", node)

    # --------------------------------------------------------------------------------- operators

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        left, right = self.visit(node.left), self.visit(node.right)
        if self.scope is None:
            node.left, node.right = left, right
            return node
        return _reader("binary", _operator(node.op), left, right)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        node.operand = self.visit(node.operand)
        if self.scope is not None and isinstance(node.op, ast.Not):
            node.operand = _reader("truth", node.operand)
        elif self.scope is not None and not isinstance(node.operand, ast.Constant):
            return _reader("unary", ast.Constant(MARK + "operator." + _SIGNS[type(node.op)]), node.operand)
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        values = [self.visit(v) for v in node.values]
        if self.scope is not None:  # the last one is not tested, it is the answer
            values = [*(_reader("operand", v) for v in values[:-1]), values[-1]]
        node.values = values
        return node

    def visit_Compare(self, node: ast.Compare) -> Any:
        given = [node.left, *node.comparators]
        parts = [self.visit(part) for part in given]
        constant = [isinstance(part, ast.Constant) and type(part.value) is not bool for part in given]
        if self.scope is not None and len(parts) == 2:
            reader = _comparison(node.ops[0], any(constant))
            if not reader.startswith("operator."):
                return _reader(reader, *parts)
            if not isinstance(node.ops[0], ast.Is | ast.IsNot):
                parts = [_reader("comparand", part) for part in parts]
        elif self.scope is not None and not self.scope.is_class and not any(map(_must_stay_here, given)):
            readers = [_comparison(op, any(constant[i : i + 2])) for i, op in enumerate(node.ops)]
            functions = ast.Tuple([ast.Constant(MARK + reader) for reader in readers], ast.Load())
            return _reader("compared", functions, parts[0], *map(_later, parts[1:]))
        node.left, node.comparators = parts[0], parts[1:]
        return node

    def visit_FormattedValue(self, node: ast.FormattedValue) -> Any:
        node.value = self.visit(node.value)
        if self.scope is not None:
            node.value = _reader("contents", node.value)
        if node.format_spec is not None:
            node.format_spec = self.visit(node.format_spec)
        return node

    # --------------------------------------------------------------------------------- statements

    def _tested(self, node: Any) -> Any:
        self.generic_visit(node)
        if self.scope is not None:
            node.test = _reader("truth", node.test)
        return node

    visit_If = visit_While = visit_IfExp = visit_Assert = _tested

    def visit_For(self, node: Any) -> Any:
        self.generic_visit(node)
        if self.scope is not None and isinstance(node, ast.For):
            node.iter = _walked(node.iter, node.target)
        return node

    def visit_Match(self, node: ast.Match) -> Any:
        self.generic_visit(node)
        if self.scope is not None:
            node.subject = _reader("everything", node.subject)
        return node

    def visit_match_case(self, node: ast.match_case) -> Any:
        if node.guard is not None:
            node.guard = self.visit(node.guard)
        node.body = self._statements(node.body)
        return node

    def visit_YieldFrom(self, node: ast.YieldFrom) -> Any:
        value = self.visit(node.value)
        node.value = value if self.scope is None else _reader("each", value)
        return node

    def visit_Assign(self, node: ast.Assign) -> Any:
        node.value = self.visit(node.value)
        shapes = [_shape_of(t) for t in node.targets]
        node.targets = [self.visit(t) for t in node.targets]
        if self.scope is None or self.scope.is_class or not any(shapes):
            return node
        if len(shapes) == 1:
            node.value = _reader("unpacked", node.value, ast.Constant(shapes[0]))
            return node
        statements = [ast.Assign([ast.Name(_HOLDER, ast.Store())], node.value)]
        for target, shape in zip(node.targets, shapes, strict=True):
            value = ast.Name(_HOLDER, ast.Load())
            statements.append(ast.Assign([target], _reader("unpacked", value, ast.Constant(shape)) if shape else value))
        return [ast.fix_missing_locations(ast.copy_location(s, node)) for s in statements]

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        node.value = None if node.value is None else self.visit(node.value)
        node.target = self.visit(node.target)
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        """`a.b += c` as a read, an operation and a write."""
        if self.scope is None or self.scope.is_class:
            node.value = self.visit(node.value)
            return node
        before: list[ast.stmt] = []
        target: Any = node.target
        if isinstance(target, ast.Name):
            read = self.visit(ast.copy_location(ast.Name(target.id, ast.Load()), target))
        else:
            before.append(ast.Assign([ast.Name(_HOLDER, ast.Store())], _reader("writing", self.visit(target.value))))
            holder = ast.Name(_HOLDER, ast.Load())
            if isinstance(target, ast.Attribute):
                read = _reader("attribute", holder, ast.Constant(self._mangled(target.attr)))
                target = ast.Attribute(ast.Name(_HOLDER, ast.Load()), target.attr, ast.Store())
            else:
                key = _reader("key", self._key(self.visit(target.slice)), ast.Constant(value=False))
                before.append(ast.Assign([ast.Name(_KEY, ast.Store())], key))
                read = _reader("item", holder, ast.Name(_KEY, ast.Load()))
                target = ast.Subscript(ast.Name(_HOLDER, ast.Load()), ast.Name(_KEY, ast.Load()), ast.Store())
        value = _reader("in_place", _operator(node.op, in_place=True), read, self.visit(node.value))
        statements = [*before, ast.Assign([target], value)]
        for statement in statements:
            ast.copy_location(statement, node)
            ast.fix_missing_locations(statement)
        return statements

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        if self.scope is None or any(a.name == "*" for a in node.names):
            return node
        said: list[Any] = [node]
        for alias in node.names:
            name = ast.Name(alias.asname or alias.name, ast.Load())
            module = "." * node.level + (node.module or "")
            said.append(ast.Expr(_reader("imported", name, ast.Constant(module), ast.Constant(alias.name))))
            ast.copy_location(said[-1], node)
            ast.fix_missing_locations(said[-1])
        return said
