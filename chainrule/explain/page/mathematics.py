r"""Formulas in MathML, which browsers draw by themselves: from the few LaTeX commands that primitives use.

>>> to_mathml(r"x \odot y", ("x", "y"))
'<math><mi data-of="0">x</mi><mo>⊙</mo><mi data-of="1">y</mi></math>'

`data-of` says which argument a letter stands for, so that the page can put its number there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from html import escape

from chainrule.errors import ChainruleError

#: Commands, numbers and single signs: letters that stand together are factors, each its own.
_TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|\d+(?:\.\d+)?|\S")
_OPERATORS = {
    r"\odot": "⊙", r"\lfloor": "⌊", r"\rfloor": "⌋", r"\wedge": "∧", r"\vee": "∨", r"\oplus": "⊕", r"\neg": "¬",
    r"\le": "≤", r"\star": "⋆", r"\cdot": "·", r"\sim": "∼", r"\in": "∈", r"\leftarrow": "←", r"\circ": "∘",
    r"\dots": "…", r"\{": "{", r"\}": "}", r"\times": "×", r"\ge": "≥", r"\to": "→", r"\ne": "≠", r"\pm": "±",
    "-": "−", "*": "·",
}  # fmt: skip
_LETTERS = {
    r"\top": "⊤", r"\Gamma": "Γ", r"\psi": "ψ", r"\Phi": "Φ", r"\lambda": "λ", r"\kappa": "κ", r"\pi": "π",
    r"\sigma": "σ", r"\mu": "μ", r"\alpha": "α", r"\beta": "β", r"\epsilon": "ε", r"\varepsilon": "ε",
    r"\gamma": "γ", r"\theta": "θ", r"\eta": "η", r"\infty": "∞",
}  # fmt: skip
_WORDS = {
    r"\max": "max", r"\min": "min", r"\ln": "ln", r"\log": "log", r"\exp": "exp", r"\sin": "sin", r"\cos": "cos",
    r"\tanh": "tanh", r"\arcsin": "arcsin", r"\arctan": "arctan", r"\gcd": "gcd", r"\det": "det", r"\arg": "arg",
}  # fmt: skip
_SUMS = {r"\sum": "∑", r"\prod": "∏"}
_SPACES = {r"\,", r"\;", r"\!", r"\ ", r"\quad"}


#: How the name of a function begins.
_FUNCTION = '<mi mathvariant="normal">'


class FormulaError(ChainruleError, ValueError):
    """A formula uses a command that is not known here."""


@cache
def to_mathml(latex: str, arguments: tuple[str, ...] = ()) -> str:
    """A formula as a `<math>` element; its letters are marked where they are one of the arguments.

    Raises:
        FormulaError: for a command that is not in the tables of this file.
    """
    return f"<math>{''.join(_Parser(latex, arguments).row())}</math>"


class _Parser:
    def __init__(self, latex: str, arguments: Sequence[str]) -> None:
        self.latex, self.tokens, self.position = latex, _TOKEN.findall(latex), 0
        self.places = {name: i for i, name in enumerate(arguments)}
        long = [name for name in arguments if len(name) > 1]
        if len(long) == 1:  # the formula has its first letter
            self.places.setdefault(long[0][0], self.places[long[0]])

    def row(self, end: str = "") -> list[str]:
        """Elements until the token that ends the row."""
        elements: list[str] = []
        while self.position < len(self.tokens):
            if self.tokens[self.position] == end:
                self.position += 1
                return elements
            element = self.element()
            if element:
                elements.append(self.with_scripts(element))
            if (
                element.startswith(_FUNCTION)
                and self.position < len(self.tokens)
                and self.tokens[self.position] not in "(,)"
            ):
                elements.append("<mo>\u2061</mo>")  # "applied to": a little space
        if end:
            raise FormulaError(f"the formula {self.latex!r} has no {end!r} at the end of a group.")
        return elements

    def with_scripts(self, base: str) -> str:
        scripts: dict[str, str] = {}
        while self.position < len(self.tokens) and self.tokens[self.position] in "_^":
            mark = self.tokens[self.position]
            self.position += 1
            scripts[mark] = self.element()
        over = "under" if any(sign in base for sign in _SUMS.values()) else ""
        if "_" in scripts and "^" in scripts:
            tag = "munderover" if over else "msubsup"
            return f"<{tag}>{base}{scripts['_']}{scripts['^']}</{tag}>"
        if "_" in scripts:
            tag = "munder" if over else "msub"
            return f"<{tag}>{base}{scripts['_']}</{tag}>"
        return f"<msup>{base}{scripts['^']}</msup>" if scripts else base

    def element(self) -> str:
        """One element, without what is written above or below it; "" for a space."""
        if self.position == len(self.tokens):
            raise FormulaError(f"the formula {self.latex!r} ends too early.")
        token = self.tokens[self.position]
        self.position += 1
        if token == "{":
            return f"<mrow>{''.join(self.row('}'))}</mrow>"
        if token == r"\sqrt":
            return f"<msqrt>{self.element()}</msqrt>"
        if token == r"\frac":
            return f"<mfrac>{self.element()}{self.element()}</mfrac>"
        if token in (r"\operatorname", r"\mathcal", r"\mathrm", r"\text"):
            return f"{_FUNCTION}{self.word()}</mi>"
        if token in _SPACES:
            return '<mspace width="0.2em"/>'
        if token in _SUMS:
            return f"<mo>{_SUMS[token]}</mo>"
        if token in _WORDS:
            return f"{_FUNCTION}{_WORDS[token]}</mi>"
        if token in _OPERATORS:
            return f"<mo>{_OPERATORS[token]}</mo>"
        if token in _LETTERS:
            return self.letter(_LETTERS[token])
        if token.startswith("\\"):
            raise FormulaError(f"the formula {self.latex!r} uses {token}, which the page cannot draw yet.")
        if token[0].isdigit():
            return f"<mn>{token}</mn>"
        return self.letter(token) if token.isalpha() else f"<mo>{escape(token)}</mo>"

    def word(self) -> str:
        if self.tokens[self.position] != "{":
            self.position += 1
            return self.tokens[self.position - 1]
        end = self.tokens.index("}", self.position)
        word = "".join(self.tokens[self.position + 1 : end])
        self.position = end + 1
        return word

    def letter(self, name: str) -> str:
        place = self.places.get(name, self.places.get(name.lower()))  # matrices are written large
        mark = "" if place is None else f' data-of="{place}"'
        return f"<mi{mark}>{name}</mi>"
