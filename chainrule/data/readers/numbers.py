"""Numbers as people and spreadsheets write them, and columns that are almost numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from chainrule.errors import DataError

BLANKS = ("-", "--", "–", "—", ".", "*", "n/a", "#N/A", "#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "#NAME?")
"""What stands for a missing value in a column whose other values are numbers."""

_UNITS = "$€£¥₹%‰"
_NUMBER = re.compile(
    rf"(?P<sign>[-+−]?)\s*(?P<before>[{_UNITS}]?)\s*(?P<digits>\d(?:[\d.,'  \u00a0\u202f]*\d)?[.,]?|[.,]\d+)"
    rf"(?P<exponent>[eE][-+]?\d+)?\s*(?P<after>[{_UNITS}]?)"
)
_OTHER = {".": ",", ",": "."}  # the decimal mark of elsewhere, which may stand between groups of three digits
_GROUPS = {
    decimal: re.compile(rf"[1-9]\d{{0,2}}(?:(?P<mark>[{other}' \u00a0\u202f])\d{{3}})(?:(?P=mark)\d{{3}})*")
    for decimal, other in _OTHER.items()
}
#: A column of texts that begin with a digit is suspected to be numbers, dates or names of rows from so many rows on.
_SUSPECTED_ROWS = 20
_BEGINS_LIKE_A_NUMBER = re.compile(rf"[-+−]?\s*[{_UNITS}]?\s*\d")


class Written(NamedTuple):
    """A number that was written as a text, its unit ("$", "%", …; "" without one), and whether digits are grouped."""

    value: float
    unit: str
    grouped: bool


def written_number(text: str, decimal: str = ".") -> Written | None:
    """The number that a text is, if it is one; see `read_column` for what is one.

    >>> written_number("1,234.5"), written_number("$ -5"), written_number("1.234,5", decimal=",")
    (Written(value=1234.5, unit='', grouped=True), None, Written(value=1234.5, unit='', grouped=True))
    >>> written_number("−$5"), written_number("5 %"), written_number("1,23")
    (Written(value=-5.0, unit='$', grouped=False), Written(value=5.0, unit='%', grouped=False), None)
    """
    found = _NUMBER.fullmatch(text.strip())
    if found is None or (found["before"] and found["after"]):
        return None
    whole, _, fraction = found["digits"].partition(decimal)
    grouped = _GROUPS[decimal].fullmatch(whole) is not None
    if not (grouped or whole.isdecimal() or (whole == "" and fraction)) or not (fraction == "" or fraction.isdecimal()):
        return None
    sign = "-" if found["sign"] in ("-", "−") else ""
    digits = "".join(digit for digit in whole if digit.isdecimal())
    value = float(f"{sign}{digits or '0'}.{fraction or '0'}{found['exponent'] or ''}")
    return Written(value, found["before"] or found["after"], grouped)


def read_column(
    texts: Sequence[str | None], name: str, where: Callable[[int], str], decimal: str, delimiter: str, is_target: bool
) -> np.ndarray | list[str | None]:
    """A column of texts (None where a value is missing) as numbers, or as the texts that they are.

    The rule: a number may have a sign, an exponent, the decimal mark, one and the same mark between groups of three
    digits (`,` or, where that is the decimal mark, `.`; a space; an apostrophe), and one of the signs $ € £ ¥ ₹ % ‰
    before or after it, which all values of the column then have. The value is the number that is written: `5 %` is 5.

    Raises DataError, naming the place, for a column that has both numbers and texts, for one that would be numbers with
    the other decimal mark, and for one of 20 or more rows whose texts all begin with a digit and mostly differ.
    """
    places: dict[str, int] = {}
    for row, text in enumerate(texts):
        if text is not None:
            places.setdefault(text, row)
    numbers = {text: written for text in places if (written := written_number(text, decimal)) is not None}
    as_categories = "target_classes=True" if is_target else f"as_categories=[{name!r}]"
    ways_out = f"If they are categories, say {as_categories}; or leave the column out, ignore=[{name!r}]."
    if not numbers:
        _refuse_suspects(texts, places, name, where, decimal, ways_out)
        return list(texts)

    def place(text: str) -> str:
        return f"{where(places[text])}, column {name!r}"

    strays = [text for text in places if text not in numbers and text not in BLANKS]
    if strays:
        example, other = next(iter(numbers)), _OTHER[decimal]
        other_mark = (
            f" With another decimal mark it is one: decimal={other!r}." if written_number(strays[0], other) else ""
        )
        raise DataError(
            f"{place(strays[0])}: {strays[0]!r} is no number, but others are, such as {example!r} "
            f"({where(places[example])}).{other_mark} If it stands for a missing value, name it in missing_values. "
            f"{ways_out}"
        )
    first = next(iter(numbers))
    for text, written in numbers.items():
        if written.unit != numbers[first].unit:
            raise DataError(f"{place(text)}: {text!r} has not the unit of {first!r} ({where(places[first])}).")
    if delimiter == ";" and decimal == ".":  # files with semicolons come from where 1,234 is a little more than one
        for text in numbers:
            if "," in text:
                raise DataError(f"{place(text)}: is {text!r} above a thousand? Say decimal=',' or give it without ','.")
    values = {text: written.value for text, written in numbers.items()}
    return np.array([np.nan if text is None else values.get(text, np.nan) for text in texts], np.float64)


def _refuse_suspects(
    texts: Sequence[str | None], places: dict[str, int], name: str, where: Callable[[int], str], decimal: str, out: str
) -> None:
    """Raise DataError for a column without numbers that is one of numbers all the same."""
    other = _OTHER[decimal]
    for text, row in places.items():
        if written_number(text, other) is not None:
            raise DataError(
                f"{where(row)}, column {name!r}: {text!r} is no number with the decimal mark {decimal!r}. With the "
                f"other it is: decimal={other!r}. {out}"
            )
    if len(texts) >= _SUSPECTED_ROWS and 2 * len(places) > len(texts) and _all_begin_like_numbers(places):
        text, row = next(iter(places.items()))
        raise DataError(
            f"{where(row)}, column {name!r}: {text!r} is no number, and {len(places):,} of {len(texts):,} values "
            f"differ, which all begin with a digit: numbers with a unit, dates, or names of rows? {out}"
        )


def _all_begin_like_numbers(texts: Iterable[str]) -> bool:
    return all(_BEGINS_LIKE_A_NUMBER.match(text) for text in texts)
