"""Python functions rewritten so that they say what they read: the same function, each read passing an observer.

What a compiled step depends on is what its Python code reads while it is traced: global names, variables of enclosing
functions, attributes, items, lengths. The source is parsed, every such read becomes a call of a function in
`readers.py` (by `rewriter.py`), and the result is compiled in the place of the original:

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

from chainrule.compiler.rewriter import INSERTED, MARK, rewritten_tree

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
    source = "".join(linecache.getlines(code.co_filename, namespace))
    around = _statements_around(code.co_firstlineno, source, code.co_filename)
    for before, after in _pairs_within(around, source, code.co_filename, code.co_flags & _FLAGS):
        if _is_compiled_from(code, before) and before.co_freevars == after.co_freevars:
            return _with_readers(after)
    return None


def _statements_around(line: int, source: str, filename: str) -> range:
    """Which statements of a file's top level a line is in: one, or several with `;` between."""
    around = []
    for i, statement in enumerate(_statements_of(source, filename)):
        decorators = getattr(statement, "decorator_list", [])
        first = min([statement.lineno, *(d.lineno for d in decorators)])
        if first <= line <= (statement.end_lineno or first):
            around.append(i)
    return range(around[0], around[-1] + 1) if around else range(0)


@functools.lru_cache(maxsize=64)
def _pairs_within(around: range, source: str, filename: str, flags: int) -> list[tuple[CodeType, CodeType]]:
    """The functions in some statements of a file, each with its rewritten counterpart.

    A class is rewritten once for all of its methods. Python compiles calls of what was imported differently, so the
    file's imports are put before the statements.
    """
    statements = _statements_of(source, filename)
    others = [statement for i, statement in enumerate(statements) if i not in around]
    imports = [i for other in others for i in _imports(other)]
    excerpt = ast.Module([*imports, *(statements[i] for i in around)], [])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a string is not callable, says the compiler
            plain = compile(excerpt, filename, "exec", flags, True)
            changed = compile(rewritten_tree(excerpt), filename, "exec", flags, True)
    except (SyntaxError, ValueError, RecursionError):
        return []
    return list(_pairs(plain, changed))


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
        if isinstance(constant, CodeType) and constant.co_varnames[:1] != (INSERTED,):
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
        if isinstance(c, str) and c.startswith(MARK):
            return _function_named(c.removeprefix(MARK))
        return tuple(map(constant, c)) if isinstance(c, tuple) else c  # a display of constants is one constant

    made = code.replace(co_consts=tuple(map(constant, code.co_consts)))
    _rewritten[id(made)] = made
    return made


def _function_named(name: str) -> Any:
    from chainrule.compiler.readers import READERS  # which stands on this file

    if name == "slice":
        return slice
    return getattr(operator, name.removeprefix("operator.")) if name.startswith("operator.") else READERS[name]
