"""A primitive's formula, and the same with the numbers put in."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.primitives.value import Array

#: A name in a formula: a letter that is no part of a command (\\max), nor of a word.
_NAME = re.compile(r"\\(?:operatorname|text|mathcal|mathrm)\{[A-Za-z]+\}|\\[A-Za-z]+|[A-Za-z]")


def number_text(x: Any, digits: int = 4) -> str:
    """A number for people: `digits` significant digits, whole numbers without a point.

    >>> number_text(0.731058), number_text(-4.0), number_text(float("nan")), number_text(-np.inf), number_text(True)
    ('0.7311', '-4', 'NaN', '-∞', 'True')
    """
    if isinstance(x, bool | np.bool_):
        return str(bool(x))
    if isinstance(x, int | np.integer):
        return str(int(x))
    return f"{float(x):.{digits}g}" if math.isfinite(float(x)) else in_signs(str(float(x)))


def in_signs(word: str) -> str:
    """What is no finite number, as it is written: NaN, ∞, -∞.

    >>> in_signs("-Infinity"), in_signs("nan")
    ('-∞', 'NaN')
    """
    sign = "-" if word.startswith("-") else ""
    return "NaN" if word.lower() == "nan" else f"{sign}∞"


def array_text(x: Array, most: int = 12) -> str:
    """A small array in brackets; of a large one the shape."""
    if x.ndim == 0:
        return number_text(x[()])
    if x.size > most or not x.size:
        return f"[{'×'.join(map(str, x.shape))}]"
    return "[" + ", ".join(array_text(row) for row in x) + "]"


def latex_of(x: Array, most: int = 12) -> str | None:
    """An array as LaTeX: a number, a row, a matrix; None for a large one."""
    if x.size > most or x.ndim > 2 or not x.size:
        return None
    if x.ndim == 0:
        number = number_text(x[()])
        if not number[-1].isdigit():
            number = {"∞": r"\infty", "-∞": r"-\infty"}.get(number, rf"\text{{{number}}}")
        elif "e" in number:
            head, _, exponent = number.partition("e")
            number = f"{head} \\cdot 10^{{{int(exponent)}}}"
        return f"({number})" if number.startswith("-") else number
    rows = [[latex_of(y) or "" for y in row] for row in (x if x.ndim == 2 else x[None])]
    return r"\begin{pmatrix} " + r" \\ ".join(" & ".join(row) for row in rows) + r" \end{pmatrix}"


def substituted(primitive: Any, inputs: Sequence[Array], outputs: Sequence[Array]) -> str | None:
    r"""The formula of a primitive with its numbers put in, and what comes out; None if an array is large.

    >>> from chainrule.primitives.elementwise import Multiply
    >>> substituted(Multiply, [np.array(3.0), np.array(-4.0)], [np.array(-12.0)])
    '3 \\odot (-4) = -12'
    """
    names = primitive.arguments
    if not primitive.latex or len(names) < len(inputs) or len(outputs) != 1:
        return None
    texts = [latex_of(x) for x in inputs]
    result = latex_of(outputs[0])
    if result is None or any(text is None for text in texts):
        return None
    known = dict(zip(names, texts, strict=False))
    found: list[str] = []

    def put_in(match: re.Match[str]) -> str:
        name = match.group()
        if name in known:
            found.append(name)
        return str(known.get(name, name))

    formula = _NAME.sub(put_in, primitive.latex)
    if not set(known) <= set(found):
        return None  # the formula does not name its arguments as they are
    bare = result[1:-1] if result.startswith("(") else result
    return f"{formula} = {bare}"


#: LaTeX's words as characters, for the terminal and for drawings.
_CHARACTERS = {
    r"\odot": "⊙", r"\cdot": "·", r"\sum": "Σ", r"\prod": "Π", r"\sqrt": "√", r"\ln": "ln", r"\max": "max",
    r"\min": "min", r"\star": "⋆", r"\top": "ᵀ", r"\le": "≤", r"\wedge": "∧", r"\vee": "∨", r"\oplus": "⊕",
    r"\neg": "¬", r"\lfloor": "⌊", r"\rfloor": "⌋", r"\leftarrow": "←", r"\sim": "~", r"\in": "∈", r"\dots": "…",
    r"\infty": "∞", r"\Gamma": "Γ", r"\psi": "ψ", r"\Phi": "Φ", r"\lambda": "λ", r"\kappa": "κ", r"\pi": "π",
    r"\circ": "∘", r"\quad": " ", r"\;": " ", r"\,": " ", r"\sin": "sin", r"\cos": "cos", r"\tanh": "tanh",
    r"\arctan": "arctan", r"\arcsin": "arcsin", r"\arg": "arg", r"\det": "det", r"\gcd": "gcd", r"\cdots": "⋯",
}  # fmt: skip
_RAISED = str.maketrans("0123456789+-()xyznT−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ˣʸᶻⁿᵀ⁻")
_MATRIX = re.compile(r"\\begin\{pmatrix\} (.*?) \\end\{pmatrix\}")


def plain_formula(latex: str) -> str:
    r"""A formula in characters.

    >>> plain_formula(r"e^{x}"), plain_formula(r"\lfloor x / y \rfloor"), plain_formula(r"\operatorname{erf} x")
    ('eˣ', '⌊ x / y ⌋', 'erf x')
    >>> plain_formula(r"e^{(-1)} = 0.3679"), plain_formula(r"3 \odot (-4) = -12")
    ('e⁽⁻¹⁾ = 0.3679', '3 ⊙ (-4) = -12')
    """
    text = _MATRIX.sub(_as_rows, latex)
    text = re.sub(r"\\(?:operatorname|text|mathcal|mathrm)\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"\\(?:[A-Za-z]+|[;,])", lambda m: _CHARACTERS.get(m.group(), m.group()[1:]), text)
    text = re.sub(r"\^\{?(ᵀ)\}?", r"\1", text)
    text = re.sub(r"\^\{([^{}]*)\}|\^(\w)", _raised, text)
    text = re.sub(r"_\{([^{}]*)\}", r"[\1]", text)
    return text.replace("{", "(").replace("}", ")").replace("  ", " ").strip()


def _as_rows(match: re.Match[str]) -> str:
    rows = ["[" + ", ".join(x.strip("() ") for x in row.split("&")) + "]" for row in match[1].split(r"\\")]
    return rows[0] if len(rows) == 1 else "[" + ", ".join(rows) + "]"


def _raised(match: re.Match[str]) -> str:
    power = match[1] if match[1] is not None else match[2]
    small = power.translate(_RAISED)
    whole = all(a != b for a, b in zip(power, small, strict=True))
    return small if whole else f"^({power.strip('()')})" if not power.startswith("(") else f"^{power}"
