"""Every function of two arguments with every pair of data types, as PyTorch: values, result types, and what is refused.

Operands are tensors with dimensions, 0-d tensors and Python numbers. Their entries are small numbers and the ends of
each type, where a number that is first wrapped to a smaller type gives another result. 2,000 cases of a fixed seed;
with `CHAINRULE_NIGHTLY=1` 20,000, others each time.
"""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import chainrule

torch = pytest.importorskip("torch")
NIGHTLY = bool(os.environ.get("CHAINRULE_NIGHTLY"))
CASES = 20_000 if NIGHTLY else 2_000
pytestmark = [pytest.mark.peer, pytest.mark.timeout(1200 if NIGHTLY else 120)]

FLOATING = ("float64", "float32", "float16", "bfloat16")
WHOLE = ("int64", "int32", "int16", "int8", "uint8")
TYPES = (*FLOATING, *WHOLE, "bool")
#: How far two right results may lie apart, relative to their size: a few roundings of the type.
TOLERANCE = {"float64": 1e-12, "float32": 2e-6, "float16": 4e-3, "bfloat16": 3e-2}

Call = Callable[[Any, Any, Any], Any]


def _named(name: str) -> Call:
    return lambda lib, x, y: getattr(lib, name)(x, y)


#: Functions of two operands, which both libraries compute. The first list takes Python numbers on either side.
OPERATORS: dict[str, Call] = {
    "x + y": lambda lib, x, y: x + y,
    "x - y": lambda lib, x, y: x - y,
    "x * y": lambda lib, x, y: x * y,
    "x / y": lambda lib, x, y: x / y,
    "x // y": lambda lib, x, y: x // y,
    "x % y": lambda lib, x, y: x % y,
    "x ** y": lambda lib, x, y: x**y,
    "x == y": lambda lib, x, y: x == y,
    "x != y": lambda lib, x, y: x != y,
    "x < y": lambda lib, x, y: x < y,
    "x >= y": lambda lib, x, y: x >= y,
    "x & y": lambda lib, x, y: x & y,
    "x | y": lambda lib, x, y: x | y,
    "x ^ y": lambda lib, x, y: x ^ y,
    "x << y": lambda lib, x, y: x << y,
    "x >> y": lambda lib, x, y: x >> y,
    "where": lambda lib, x, y: lib.where(lib.tensor([True, False, True]), x, y),
    **{name: _named(name) for name in ("pow", "float_power", "xlogy", "remainder")},
}
_TAKING_NUMBERS = (
    *("add", "sub", "rsub", "mul", "div", "floor_divide", "fmod", "copysign"),
    *("eq", "ne", "lt", "le", "gt", "ge", "bitwise_and", "bitwise_or", "bitwise_xor"),
    *("bitwise_left_shift", "bitwise_right_shift"),
)
#: These take a Python number as the second operand only.
FUNCTIONS: dict[str, Call] = {
    **{name: _named(name) for name in _TAKING_NUMBERS},
    "div floor": lambda lib, x, y: lib.div(x, y, rounding_mode="floor"),
    "div trunc": lambda lib, x, y: lib.div(x, y, rounding_mode="trunc"),
    "add alpha": lambda lib, x, y: lib.add(x, y, alpha=3),
    "masked_fill": lambda lib, x, y: x.masked_fill(lib.tensor([True, False, True]), y),
    "clamp min": lambda lib, x, y: lib.clamp(x, min=y),
    "clamp max": lambda lib, x, y: lib.clamp(x, max=y),
    "clamp both": lambda lib, x, y: lib.clamp(x, y, y),
    "add_": lambda lib, x, y: x.clone().add_(y),
    "mul_": lambda lib, x, y: x.clone().mul_(y),
    "div_": lambda lib, x, y: x.clone().div_(y),
    "pow_": lambda lib, x, y: x.clone().pow_(y),
    "fill_": lambda lib, x, y: x.clone().fill_(y),
    "xlog1py": lambda lib, x, y: lib.special.xlog1py(x, y),
    "full_like": lambda lib, x, y: lib.full_like(x, y),
}
#: These take tensors only.
OF_TENSORS: dict[str, Call] = {
    name: _named(name)
    for name in (
        *("maximum", "minimum", "fmax", "fmin", "atan2", "hypot", "logaddexp", "logaddexp2", "heaviside", "ldexp"),
        *("logical_and", "logical_or", "logical_xor"),
    )
}


def _ends(name: str) -> list[Any]:
    """Numbers of a type where something may go wrong: its ends, and small ones."""
    if name == "bool":
        return [False, True]
    if name in WHOLE:
        limits = np.iinfo(name)
        return [
            0,
            1,
            2,
            3,
            7,
            100,
            limits.max,
            limits.max - 1,
            limits.min,
            limits.min + 1,
            *([-1, -2, -7] if limits.min else []),
        ]
    large = {"float64": 1e300, "float32": 3e38, "float16": 65504.0, "bfloat16": 3e38}[name]
    return [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -1.5, 7.0, 0.1, 1e-3, large, -large, np.inf, -np.inf, np.nan]


NUMBERS = [
    *(True, False, 0, 1, -1, 2, 3, -7, 100, 127, 128, 255, 256, 300, -129, 1000, 65536, 2**31, 2**33, -(2**40)),
    *(0.0, 0.5, -1.5, 2.5, 0.1, 1e-3, 1e6, -1e6, 1e30, np.inf, -np.inf, np.nan),
]

#: What PyTorch says where it lacks an operation for types; we may do more.
LACKING = (
    *("not implemented", "not yet implemented", "not support", "did not match", "must be Tensor"),
    "only supports a 0-dimensional value",
)


def _drawn(random: np.random.Generator, kind: str) -> tuple[str, Any]:
    """An operand that both libraries can make: its type ("" for a Python number) and its entries."""
    if kind == "number":
        return "", NUMBERS[random.integers(len(NUMBERS))]
    name = TYPES[random.integers(len(TYPES))]
    pool = _ends(name)
    shape = {"matrix": (2, 3), "row": (3,), "0-d": ()}[kind]
    places = random.integers(len(pool), size=shape)
    dtype = ml_dtypes.bfloat16 if name == "bfloat16" else name
    with np.errstate(over="ignore"):
        return name, np.array([pool[i] for i in places.reshape(-1)]).reshape(shape).astype(dtype)


def _made(lib: Any, operand: tuple[str, Any]) -> Any:
    name, entries = operand
    if not name:
        return entries
    if name == "bfloat16":
        return lib.tensor(entries.astype(np.float32)).to(lib.bfloat16)
    return lib.tensor(entries)


def _outcome(lib: Any, call: Call, x: Any, y: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return call(lib, _made(lib, x), _made(lib, y))
        except Exception as error:
            return error


def _left_out(name: str, x: tuple[str, Any], y: tuple[str, Any]) -> bool:
    """Whether PyTorch's answer is no measure."""
    first, second = (np.asarray(z[1], np.float64) for z in (x, y))
    if name == "div trunc" and {x[0], y[0]} & {"float16", "bfloat16"}:
        return True  # there some quotients are rounded before they are cut off, others are not
    if name in ("full_like", "fill_") and first.ndim == 0:
        return True  # there a number too large for a 0-d tensor is infinite
    if any(word in name for word in ("//", "%", "div", "mod", "remainder")):
        # The most negative number divided by −1 is no number of its type; some processors then stop the program.
        return any(bool((z == -1).any()) for z in (first, second))
    if name == "add alpha" and bool((np.abs(second) > 1e37).any()):
        return True  # multiplied and added in one step there, so the product does not overflow before the sum
    if name == "ldexp":  # 0·2¹²⁸ is NaN there in float32, and exponents wrap around at 32 bits
        return y[0] in FLOATING or bool((np.abs(second) > 100).any())
    if "logical" in name and () in (first.shape, second.shape):  # its truth is lost where it is converted first
        return bool((np.abs(first) > 255).any() or (np.abs(second) > 255).any())
    if name in ("pow", "pow_", "x ** y", "float_power") and bool((np.abs(second) == 0.5).any()):
        return bool(np.isinf(first).any() or (first == 0).any())  # √−∞ and √−0 are not what the powers of them are
    # The sign of NaN means nothing to us, and `heaviside` does not hide it.
    return (name == "copysign" and bool(np.isnan(second).any())) or (
        name == "heaviside" and bool(np.isnan(first).any())
    )


def _difference(name: str, mine: Any, wanted: Any) -> str:
    """What differs between our outcome and PyTorch's, or ""."""
    if isinstance(wanted, Exception):
        if isinstance(mine, Exception) or any(text in str(wanted) for text in LACKING):
            return ""
        return f"{mine} where PyTorch raises {type(wanted).__name__}: {wanted!s:.100}"
    if isinstance(mine, Exception):
        return f"{type(mine).__name__}: {mine!s:.100} instead of {wanted}"
    dtype = str(wanted.dtype).removeprefix("torch.")
    if (mine.dtype.name, tuple(mine.shape)) != (dtype, tuple(wanted.shape)):
        return f"{mine.dtype.name} {tuple(mine.shape)} instead of {dtype} {tuple(wanted.shape)}"
    if dtype not in FLOATING:
        same = np.array_equal(np.asarray(mine), wanted.numpy())
    else:
        ours, theirs = np.asarray(mine, np.float64), wanted.double().numpy()
        # Smallest numbers; but a sum of exponentials that is 1 has a logarithm of 0, up to a rounding of 1.
        tiny = {"float64": 1e-300, "float32": 1e-37, "float16": 1e-7, "bfloat16": 1e-37}[dtype]
        near = TOLERANCE[dtype] if name.startswith("logaddexp") else tiny
        with np.errstate(all="ignore"):
            same = np.allclose(ours, theirs, rtol=TOLERANCE[dtype], atol=near, equal_nan=True)
    return "" if same else f"{mine.tolist()} instead of {wanted.tolist()}"


KINDS = ("matrix", "row", "0-d", "number")
TABLES = [(OPERATORS, True, True), (FUNCTIONS, False, True), (OF_TENSORS, False, False)]
ALL = [
    (name, call, first, second)
    for table, before, after in TABLES
    for name, call in table.items()
    for first, second in itertools.product(KINDS, repeat=2)
    if (first != "number" or (before and second != "number")) and (second != "number" or after)
]


def differences(seed: int, cases: int) -> list[str]:
    """Descriptions of the cases, of so many drawn with a seed, in which the libraries do not agree."""
    random = np.random.default_rng(seed)
    found = []
    for i in range(cases):
        name, call, first, second = ALL[i % len(ALL)]
        x, y = _drawn(random, first), _drawn(random, second)
        if _left_out(name, x, y):
            continue
        mine, wanted = _outcome(chainrule, call, x, y), _outcome(torch, call, x, y)
        what = _difference(name, mine, wanted)
        if what:
            (a, p), (b, q) = x, y
            found.append(f"{name} of {a} {np.asarray(p).tolist()} and {b} {np.asarray(q).tolist()}: {what}")
    return found


def test_values_types_and_refusals_are_pytorchs() -> None:
    seed = int.from_bytes(os.urandom(4), "little") if NIGHTLY else 11
    found = differences(seed, CASES)
    assert not found, f"seed {seed}: {len(found)} of {CASES} differ:\n" + "\n".join(found[:20])
