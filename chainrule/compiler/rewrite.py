"""Python functions rewritten so that they say what they read: the same function, each read passing an observer.

What a compiled step depends on is what its Python code reads while it is traced: global names, variables of enclosing
functions, attributes, items, lengths. The source is parsed, every such read becomes a call of a function in
`readers.py`, and the result is compiled in the place of the original:

    x * settings["scale"]   →   binary(operator.mul, x, item(name("settings", settings), "scale"))

>>> print(ast.unparse(rewritten_tree(ast.parse("def f(x): return x * scale"))))
def f(x):
    return 'chainrule: binary'('chainrule: operator.mul', x, 'chainrule: name'(scale, 'scale'))

The strings stand for functions; in the compiled code they are replaced by these (`co_consts`), so nothing is put into
the user's module. A function whose source is not there, or is not what was compiled, stays as it is.
"""

from __future__ import annotations
import __future__

import ast
import functools
import linecache
import operator
import warnings
from collections import defaultdict
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

_MARK = "chainrule: "
#: The argument of functions that only show a variable's cell, so that they are told from the user's.
_INSERTED = "__chainrule__"
_HOLDER, _KEY = "__chainrule_holder__", "__chainrule_key__"
#: Called as they are: they look at the frame of their caller.
_OF_THE_FRAME = frozenset({"super", "locals", "globals", "eval", "exec", "breakpoint", "__import__"})
_FLAGS = 0
for _feature in __future__.all_feature_names:
    _FLAGS |= getattr(__future__, _feature).compiler_flag


def rewritten(function: FunctionType) -> CodeType | None:
    """The code of a function with its reads passing through the readers; None where the source cannot be had."""
    code = function.__code__
    known = _codes.get(id(code))
    if known is None or known[0] is not code:
        known = _codes[id(code)] = (code, _rewrite(code, function.__globals__))
    return known[1]


def is_rewritten(function: Any) -> bool:
    """Whether a function was made by rewritten code, and so is rewritten itself."""
    return isinstance(function, FunctionType) and id(function.__code__) in _rewritten


def has_source(function: FunctionType) -> bool:
    """Whether a function is rewritten, or can be."""
    return is_rewritten(function) or rewritten(function) is not None


#: All that was rewritten, by identity.
_rewritten: dict[int, CodeType] = {}
#: By the identity of the original code, which is kept with it.
_codes: dict[int, tuple[CodeType, CodeType | None]] = {}


def _rewrite(code: CodeType, namespace: dict[str, Any]) -> CodeType | None:
    lines = linecache.getlines(code.co_filename, namespace)
    excerpt = _excerpt(code.co_firstlineno, "".join(lines), code.co_filename)
    if excerpt is None:
        return None
    try:
        flags = code.co_flags & _FLAGS
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a string is not callable, says the compiler
            plain = compile(excerpt, code.co_filename, "exec", flags, True)
            changed = compile(rewritten_tree(excerpt), code.co_filename, "exec", flags, True)
    except (SyntaxError, ValueError, RecursionError):
        return None
    for before, after in _pairs(plain, changed):
        if _is_compiled_from(code, before) and before.co_freevars == after.co_freevars:
            return _with_readers(after)
    return None


def _excerpt(line: int, source: str, filename: str) -> ast.Module | None:
    """The statement of a file's top level that a line is in, behind the file's imports.

    Python compiles calls of what was imported differently, so these belong to it.
    """
    for statement in _statements_of(source, filename):
        decorators = getattr(statement, "decorator_list", [])
        first = min([statement.lineno, *(d.lineno for d in decorators)])
        if first <= line <= (statement.end_lineno or first):
            others = [other for other in _statements_of(source, filename) if other is not statement]
            imports = [i for other in others for i in _imports(other)]
            return ast.Module([*imports, statement], [])
    return None


@functools.lru_cache(maxsize=16)
def _statements_of(source: str, filename: str) -> list[ast.stmt]:
    """The statements of a file, which is read once for all functions in it. Nobody changes them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source, filename).body
    except (SyntaxError, ValueError, RecursionError):
        return []


def _imports(statement: ast.AST) -> Iterator[ast.stmt]:
    if isinstance(statement, ast.Import | ast.ImportFrom):
        if getattr(statement, "module", "") != "__future__":
            yield statement
    elif not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.expr):
        for part in ast.iter_child_nodes(statement):
            yield from _imports(part)


def _codes_within(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType) and constant.co_varnames[:1] != (_INSERTED,):
            yield constant
            yield from _codes_within(constant)


def _pairs(plain: CodeType, changed: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    """The functions of both, each with its counterpart: those of one name and line come in the same order."""
    counterparts: dict[Any, list[CodeType]] = defaultdict(list)
    for code in _codes_within(changed):
        counterparts[code.co_qualname, code.co_firstlineno].append(code)
    originals: dict[Any, list[CodeType]] = defaultdict(list)
    for code in _codes_within(plain):
        originals[code.co_qualname, code.co_firstlineno].append(code)
    for key, codes in originals.items():
        if len(codes) == len(counterparts[key]):
            yield from zip(codes, counterparts[key], strict=True)


def _is_compiled_from(code: CodeType, source: CodeType) -> bool:
    """Whether the source says what the code does: it may have been edited since, or be another lambda of its line.

    What is within counts too: two lambdas can differ in a function inside them alone.
    """

    def constants(code: CodeType) -> list[str]:
        return [type(c).__name__ + repr(c) for c in code.co_consts if not isinstance(c, CodeType)]

    def inner(code: CodeType) -> list[CodeType]:
        return [c for c in code.co_consts if isinstance(c, CodeType)]

    names = ("co_qualname", "co_firstlineno", "co_code", "co_names", "co_varnames", "co_freevars", "co_cellvars")
    counts = ("co_argcount", "co_posonlyargcount", "co_kwonlyargcount", "co_flags")
    return (
        all(getattr(code, n) == getattr(source, n) for n in names + counts)
        and constants(code) == constants(source)
        and len(inner(code)) == len(inner(source))
        and all(map(_is_compiled_from, inner(code), inner(source)))
    )


def _with_readers(code: CodeType) -> CodeType:
    def constant(c: Any) -> Any:
        if isinstance(c, CodeType):
            return _with_readers(c)
        if isinstance(c, str) and c.startswith(_MARK):
            return _function_named(c.removeprefix(_MARK))
        return c

    made = code.replace(co_consts=tuple(map(constant, code.co_consts)))
    _rewritten[id(made)] = made
    return made


def _function_named(name: str) -> Any:
    from chainrule.compiler.readers import READERS  # which stands on this file

    if name == "slice":
        return slice
    return getattr(operator, name.removeprefix("operator.")) if name.startswith("operator.") else READERS[name]


# ------------------------------------------------------------------------------------------- the tree


def rewritten_tree(tree: ast.Module) -> ast.Module:
    """The tree with the reads of all functions in it passing through the readers. `tree` is left as it is."""
    import copy

    new: ast.Module = _Rewriter().visit(copy.deepcopy(tree))
    return ast.fix_missing_locations(new)


class _Scope:
    """What the names of one function mean.

    Attributes:
        local: names that it assigns.
        is_class: the body of a class, whose names functions within do not see.
    """

    def __init__(self, local: set[str], outer: _Scope | None, is_class: bool = False, name: str = "") -> None:
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


class _Names(ast.NodeVisitor):
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


def _names_of(body: list[Any]) -> _Names:
    names = _Names()
    for part in body:
        names.visit(part)
    return names


def _arguments_of(arguments: ast.arguments) -> set[str]:
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return {argument.arg for argument in every if argument is not None}


def _reader(name: str, *arguments: Any) -> Any:
    return ast.Call(ast.Constant(_MARK + name), list(arguments), [])


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


def _operator(node: ast.operator, in_place: bool = False) -> ast.Constant:
    name = _OPERATORS[type(node)]
    return ast.Constant(_MARK + "operator." + ("i" + name.rstrip("_") if in_place else name))


_SIGNS: dict[type, str] = {ast.USub: "neg", ast.UAdd: "pos", ast.Invert: "invert"}
_OPERATORS: dict[type, str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "truediv", ast.FloorDiv: "floordiv", ast.Mod: "mod",
    ast.Pow: "pow", ast.LShift: "lshift", ast.RShift: "rshift", ast.BitOr: "or_", ast.BitXor: "xor", ast.BitAnd: "and_",
    ast.MatMult: "matmul",
}  # fmt: skip


class _Rewriter(ast.NodeTransformer):
    def __init__(self) -> None:
        self.scope: _Scope | None = None

    def visit(self, node: ast.AST) -> Any:
        new = super().visit(node)
        if isinstance(new, ast.AST) and new is not node:
            ast.copy_location(new, node)
            ast.fix_missing_locations(new)
        return new

    # --------------------------------------------------------------------------------- scopes

    def _function(self, node: Any) -> Any:
        node.decorator_list = [self.visit(d) for d in node.decorator_list]
        self._visit_defaults(node.args)
        names = _names_of(node.body)
        outer, self.scope = self.scope, _Scope(names.assigned | _arguments_of(node.args), self.scope)
        self.scope.globals, self.scope.nonlocals = names.globals, names.nonlocals
        has_text = ast.get_docstring(node, clean=False) is not None
        body = self._statements(node.body)
        node.body = body[:has_text] + self._announced(names) + body[has_text:]
        self.scope = outer
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = _function

    def _announced(self, names: _Names) -> list[ast.stmt]:
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
        names = _names_of([node.body])
        outer, self.scope = self.scope, _Scope(names.assigned | _arguments_of(node.args), self.scope)
        node.body = self.visit(node.body)
        self.scope = outer
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        node.decorator_list = [self.visit(d) for d in node.decorator_list]
        node.bases = [self.visit(b) for b in node.bases]
        node.keywords = [self.visit(k) for k in node.keywords]
        names = _names_of(node.body)
        outer, self.scope = self.scope, _Scope(names.assigned, self.scope, True, node.name)
        self.scope.globals, self.scope.nonlocals = names.globals, names.nonlocals
        node.body = self._statements(node.body)
        self.scope = outer
        return node

    def _comprehension(self, node: Any) -> Any:
        targets = _names_of([g.target for g in node.generators]).assigned
        first = self.visit(node.generators[0].iter)
        outer, self.scope = self.scope, _Scope(targets, self.scope)
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
        return node

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
        marked = ast.arguments([], [ast.arg(_INSERTED)], None, [], [], None, [ast.Constant(None)])
        return ast.Lambda(marked, ast.Name(name, ast.Load()))

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
        node.value = _reader("writing", value)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        value, key = self.visit(node.value), self._key(self.visit(node.slice))
        if self.scope is None:
            node.value, node.slice = value, key
            return node
        if isinstance(node.ctx, ast.Load):
            return _reader("item", value, key)
        node.value, node.slice = _reader("writing", value), _reader("key", key)
        return node

    def _key(self, key: Any) -> Any:
        """What stands in the brackets as an expression: a[1:2] is a[slice(1, 2, None)]."""
        if isinstance(key, ast.Slice):
            parts = [ast.Constant(None) if part is None else part for part in (key.lower, key.upper, key.step)]
            return ast.Call(ast.Constant(_MARK + "slice"), parts, [])
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
            node.args, node.keywords = arguments, keywords
            asked = self.scope is not None and isinstance(node.func, ast.Name) and node.func.id == "globals"
            return _reader("namespace", node) if asked else node
        return ast.Call(ast.Constant(_MARK + "call"), [self.visit(node.func), *arguments], keywords)

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
        return node

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
            return _reader("unary", ast.Constant(_MARK + "operator." + _SIGNS[type(node.op)]), node.operand)
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        values = [self.visit(v) for v in node.values]
        if self.scope is not None:  # the last one is not tested, it is the answer
            values = [*(_reader("truth", v) for v in values[:-1]), values[-1]]
        node.values = values
        return node

    def visit_Compare(self, node: ast.Compare) -> Any:
        given = [node.left, *node.comparators]
        parts = [self.visit(part) for part in given]
        if self.scope is not None and len(parts) == 2 and not any(isinstance(part, ast.Constant) for part in given):
            reader = {ast.Is: "same", ast.IsNot: "same", ast.In: "within", ast.NotIn: "within"}.get(type(node.ops[0]))
            if reader is not None:
                answer = _reader(reader, *parts)
                return answer if isinstance(node.ops[0], ast.Is | ast.In) else ast.UnaryOp(ast.Not(), answer)
        if self.scope is not None and not all(isinstance(op, ast.Is | ast.IsNot) for op in node.ops):
            parts = [_reader("contents", part) for part in parts]
        elif self.scope is not None and not any(isinstance(part, ast.Constant) for part in given):
            parts = [_reader("itself", part) for part in parts]  # `is None` asks for no identity but None's
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
                key = _reader("key", self._key(self.visit(target.slice)))
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
