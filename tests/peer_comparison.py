"""The same expression in chainrule and in PyTorch: values, data types, shapes, gradients and errors compared.

An expression is a line of Python such as "x.sum(0, keepdim=True)". In it `lib` is `chainrule` or `torch`, and
x, y, z are the same tensors in both. So a table of expressions reads like a page of the manual.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import pytest

import chainrule
from chainrule.functions import counting, shape

torch = pytest.importorskip("torch")

FLOATS = ("float64", "float32", "float16", "bfloat16")
INTEGERS = ("int64", "int32", "int16", "int8", "uint8")
DTYPES = (*FLOATS, *INTEGERS, "bool")

#: How far two results may differ, relative to the size of the entry and to the largest entry of the result.
TOLERANCE = {"float64": 1e-11, "float32": 2e-5, "float16": 4e-3, "bfloat16": 3e-2}

#: What PyTorch says where it lacks an operation for a data type. There we may do more.
LACKING = (
    "not implemented",
    "not support",
    "is not currently",
    "unsupported scalar",
    "expected dtype",
    "did not match",
    "view size is not compatible",
    "multiple views",
    "dtypes match",
    "only applicable to index tensor",
    "INTERNAL ASSERT",
    "can't assign a numpy",
    "returned an invalid gradient",
    "tensor has no dimensions",
    "modified by an inplace operation",
    "must be either float or double",
    "no longer supported",
)


class Given(NamedTuple):
    """One input: the entries of a leaf, and the view of it that the expression gets."""

    array: Any
    layout: str = "plain"
    requires_grad: bool = True

    def __repr__(self) -> str:
        dtype = self.array.dtype.name
        some = ", ".join(f"{entry:.3g}" for entry in self.array.reshape(-1)[:3].tolist())
        return f"{dtype}{list(self.array.shape)} {self.layout} ({some}…)"


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda x: x,
    "transposed": lambda x: x.transpose(0, -1),
    "strided": lambda x: x[::2],
    "expanded": lambda x: x.unsqueeze(0).expand(2, *x.shape),
    "offset": lambda x: x[1:],
}


def numpy_dtype(name: str) -> Any:
    return np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)


def to_torch(array: Any) -> Any:
    array = np.array(array, order="C")
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.astype(np.float32)).to(torch.bfloat16)
    return torch.from_numpy(array)


def to_numpy(tensor: Any) -> Any:
    tensor = tensor.detach()
    if isinstance(tensor, chainrule.Tensor):
        return np.asarray(tensor.double() if tensor.dtype is chainrule.bfloat16 else tensor)
    return (tensor.double() if tensor.dtype is torch.bfloat16 else tensor.resolve_neg()).numpy()


def dtype_name(tensor: Any) -> str:
    return str(tensor.dtype).split(".")[-1]


def seed_of(text: str) -> np.random.Generator:
    """Random numbers that depend on the text alone, so that a failure can be repeated by itself."""
    return np.random.default_rng(zlib.crc32(text.encode()))


def entries(shape: Sequence[int], dtype: str, seed: str = "", low: float = -3.0, high: float = 3.0) -> Any:
    """Random entries of a data type: numbers with ties among integers, hardly any among floats."""
    rng = seed_of(f"{seed}{tuple(shape)}{dtype}")
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype == "uint8":
        return rng.integers(max(0, math.ceil(low)), math.floor(high) + 1, shape).astype(np.uint8)
    if dtype in INTEGERS:
        return rng.integers(math.ceil(low), math.floor(high) + 1, shape).astype(dtype)
    return rng.uniform(low, high, shape).astype(numpy_dtype(dtype))


class Outcome(NamedTuple):
    """What an expression gave: results and gradients, or an error."""

    results: list[Any]
    gradients: list[Any]
    error: Exception | None


def _flatten(result: Any) -> list[Any]:
    if isinstance(result, (tuple, list)) and not isinstance(result, (torch.Size, chainrule.Size)):
        return [part for piece in result for part in _flatten(piece)]
    return [result]


def _is_tensor(thing: Any) -> bool:
    return isinstance(thing, (chainrule.Tensor, torch.Tensor))


def run(lib: Any, call: Callable[..., Any], givens: Sequence[Given], names: Sequence[str], seed: str) -> Outcome:
    """The outcome of an expression in one of the two libraries, with gradients for a random upstream."""
    leaves, inputs = [], {}
    for name, given in zip(names, givens):
        leaf = to_torch(given.array) if lib is torch else chainrule.tensor(given.array)
        if given.requires_grad and dtype_name(leaf) in FLOATS:
            leaf.requires_grad_()
        leaves.append(leaf)
        inputs[name] = LAYOUTS[given.layout](leaf)
    try:
        results = _flatten(call(lib, **inputs))
    except Exception as error:
        return Outcome([], [], error)
    try:
        _send_back(lib, results, seed)
    except Exception as error:  # torch.floor_divide, for instance, has no derivative there
        return Outcome(results, [], error)
    return Outcome(results, [leaf.grad for leaf in leaves], None)


def _send_back(lib: Any, results: Sequence[Any], seed: str) -> None:
    rng = seed_of(seed)
    with_history = [r for r in results if _is_tensor(r) and r.requires_grad]
    for result in with_history:
        upstream = rng.normal(size=tuple(result.shape)).astype(numpy_dtype(dtype_name(result)))
        given_upstream = to_torch(upstream) if lib is torch else chainrule.tensor(upstream)
        result.backward(given_upstream, retain_graph=True)


def expression(text: str, names: Sequence[str]) -> Callable[..., Any]:
    """The expression as a function of `lib` and its tensors."""
    known = {"np": np, "math": math, "one_hot": one_hot, "pad": pad}
    return eval(f"lambda lib, {', '.join(names)}: {text}", known)  # type: ignore[no-any-return]


def one_hot(x: Any, num_classes: int = -1) -> Any:
    """`nn.functional.one_hot` of either library."""
    return (torch.nn.functional if isinstance(x, torch.Tensor) else counting).one_hot(x, num_classes)


def pad(x: Any, *args: Any, **kwargs: Any) -> Any:
    """`nn.functional.pad` of either library."""
    return (torch.nn.functional if isinstance(x, torch.Tensor) else shape).pad(x, *args, **kwargs)


def difference(ours: Any, theirs: Any, tolerance: float | None = None) -> str:
    """What is different between two results; "" if nothing is."""
    if not _is_tensor(theirs):
        if type(ours).__name__ != type(theirs).__name__ and not isinstance(theirs, (torch.Size, torch.dtype)):
            return f"{ours!r} ({type(ours).__name__}) instead of {theirs!r} ({type(theirs).__name__})"
        if isinstance(theirs, torch.dtype):
            return "" if dtype_name_of(ours) == dtype_name_of(theirs) else f"{ours} instead of {theirs}"
        same = tuple(ours) == tuple(theirs) if isinstance(theirs, torch.Size) else _same_number(ours, theirs)
        return "" if same else f"{ours!r} instead of {theirs!r}"
    if not _is_tensor(ours):
        return f"{ours!r} instead of a tensor"
    if tuple(ours.shape) != tuple(theirs.shape):
        return f"shape {tuple(ours.shape)} instead of {tuple(theirs.shape)}"
    if dtype_name(ours) != dtype_name(theirs):
        return f"dtype {dtype_name(ours)} instead of {dtype_name(theirs)}"
    if ours.requires_grad != theirs.requires_grad:
        return f"requires_grad {ours.requires_grad} instead of {theirs.requires_grad}"
    a, b = to_numpy(ours), to_numpy(theirs)
    dtype = dtype_name(theirs)
    if dtype not in FLOATS:
        return "" if np.array_equal(a, b) else f"{a.tolist()} instead of {b.tolist()}"
    a, b = a.astype(np.float64), b.astype(np.float64)
    allowed = TOLERANCE[dtype] if tolerance is None else tolerance
    finite = np.abs(b[np.isfinite(b)])
    scale = min(float(finite.max(initial=0.0)), 1e3)
    with np.errstate(all="ignore"):
        close = (a == b) | (np.isnan(a) & np.isnan(b)) | (np.abs(a - b) <= allowed * (np.abs(b) + scale))
    close &= np.isfinite(a) == np.isfinite(b)
    return "" if close.all() else f"{a.tolist()} instead of {b.tolist()}"


def dtype_name_of(dtype: Any) -> str:
    return str(dtype).split(".")[-1]


def _same_number(a: Any, b: Any) -> bool:
    if isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-5)
    return bool(a == b)


def compare(
    text: str,
    givens: Sequence[Given],
    names: Sequence[str] = ("x", "y", "z"),
    tolerance: float | None = None,
    call: Callable[..., Any] | None = None,
    more: Callable[[Exception, Sequence[Given]], bool] = lambda error, givens: False,
) -> str:
    """Run an expression in both libraries; the answer says what differs, "" if nothing does."""
    names = names[: len(givens)]
    call = expression(text, names) if call is None else call
    ours = run(chainrule, call, givens, names, text)
    theirs = run(torch, call, givens, names, text)
    where = f"{text}  with {', '.join(map(repr, givens))}: "
    if theirs.error is not None:
        if ours.error is None:
            lacking = isinstance(theirs.error, NotImplementedError) or any(w in str(theirs.error) for w in LACKING)
            return "" if lacking or more(theirs.error, givens) else where + f"no error; PyTorch: {theirs.error}"
        return _bad_error(where, ours.error, theirs.error)
    if ours.error is not None:
        return where + f"{type(ours.error).__name__}: {ours.error}"
    if len(ours.results) != len(theirs.results):
        return where + f"{len(ours.results)} results instead of {len(theirs.results)}"
    for a, b in zip(ours.results, theirs.results):
        found = difference(a, b, tolerance)
        if found:
            return where + found
    for name, a, b in zip(names, ours.gradients, theirs.gradients):
        if (a is None) != (b is None):
            return where + f"gradient of {name}: {a} instead of {b}"
        found = difference(a, b, tolerance) if b is not None else ""
        if found:
            return where + f"gradient of {name}: {found}"
    return ""


def _bad_error(where: str, ours: Exception, theirs: Exception) -> str:
    """An error must be one of ours: not one that fell out of NumPy."""
    if isinstance(ours, (chainrule.ChainruleError, NotImplementedError)):
        return ""
    source = ours.__traceback__
    while source is not None and source.tb_next is not None:
        source = source.tb_next
    raised_here = source is not None and "chainrule" in source.tb_frame.f_code.co_filename
    meant = isinstance(ours, (TypeError, ValueError, ZeroDivisionError, IndexError)) and raised_here
    # Python's own, for a wrong signature or an operator that neither has.
    called_wrongly = isinstance(ours, TypeError) and ("argument" in str(ours) or type(ours) is type(theirs))
    if meant or called_wrongly:
        return ""
    return where + f"{type(ours).__name__}: {ours} is no error of ours; PyTorch: {theirs}"


def check(
    text: str,
    cases: Iterable[Sequence[Given]],
    names: Sequence[str] = ("x", "y", "z"),
    call: Callable[..., Any] | None = None,
    **options: Any,
) -> None:
    """Compare an expression on many inputs; the failure lists the first differences."""
    found = []
    for givens in cases:
        call = expression(text, names[: len(givens)]) if call is None else call
        difference_found = compare(text, givens, names, call=call, **options)
        if difference_found:
            found.append(difference_found[:600])
    assert not found, f"{len(found)} differences:\n" + "\n".join(found[:6])


def lines(table: str) -> list[str]:
    """The expressions of a table: its lines without comments and blanks."""
    rows = [line.split("  #")[0].strip() for line in table.splitlines()]
    return [row for row in rows if row and not row.startswith("#")]
