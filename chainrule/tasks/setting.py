"""How one setting is written down, once: its value unless given, its rule, and what it says of itself.

The class `Settings` checks by the rule; the command line makes a flag of it.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple


class Rule(NamedTuple):
    """What values a setting may have.

    Attributes:
        holds: whether a value is one of them.
        expected: the same in words, for the error.
        low, high: the bounds that belong to them, if there are any.
        options: all of them, if they are few.
    """

    holds: Callable[[Any], bool]
    expected: str
    low: float | None = None
    high: float | None = None
    options: tuple[str, ...] = ()


class Setting(NamedTuple):
    """What is known of a setting besides its name, type and default.

    Attributes:
        rule: what values it may have.
        help: what it is, as the command's help says it.
        usual: what it is unless given, where its default does not say that.
        group: the heading under which the command's help has it; "" if it has no flag there.
        flags: the flags, if they are not the name.
    """

    rule: Rule
    help: str
    usual: str = ""
    group: str = ""
    flags: tuple[str, ...] = ()


def setting(default: Any, rule: Rule, help: str, usual: str = "", group: str = "", *flags: str) -> Any:
    """A field of a dataclass of settings; see `Setting`. `dict` as the default makes a new one for each."""
    metadata = {"setting": Setting(rule, help, usual, group, flags)}
    if default is dict:
        return dataclasses.field(default_factory=dict, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def setting_of(kind: type, name: str) -> Setting:
    """What is known of the setting of that name."""
    found: Setting = kind.__dataclass_fields__[name].metadata["setting"]  # type: ignore[attr-defined]
    return found


def check(settings: Any) -> None:
    """Raise a ValueError for a value that its rule does not allow; None is allowed where it is the default."""
    for field in dataclasses.fields(settings):
        value, rule = getattr(settings, field.name), field.metadata["setting"].rule
        if not (value is None and field.default is None) and not _quietly(rule.holds, value):
            raise ValueError(f"{field.name}: expected {rule.expected}, got {value!r}.")


def _quietly(holds: Callable[[Any], bool], value: Any) -> bool:
    try:
        return bool(holds(value))
    except TypeError:
        return False


def whole(low: int, expected: str, high: float = math.inf) -> Rule:
    """A whole number from `low` to `high`."""

    def holds(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

    return Rule(holds, expected, low, None if high == math.inf else high)


def number(low: float, expected: str, high: float = math.inf, above: bool = False) -> Rule:
    """A finite number from `low`, or `above` it, to `high`."""

    def holds(value: Any) -> bool:
        known = isinstance(value, int | float) and not isinstance(value, bool) and value != math.inf
        return known and (value > low if above else value >= low) and value <= high

    return Rule(holds, expected, None if above else low, None if high == math.inf else high)


def one_of(*options: str) -> Rule:
    """One of a few words."""
    return Rule(
        lambda value: value in options, " or ".join((", ".join(options[:-1]), options[-1])), None, None, options
    )


def text(expected: str) -> Rule:
    """A text that is not empty."""
    return Rule(lambda value: isinstance(value, str) and value != "", expected)


def _names_a_device(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"cpu|(xla|cuda|tpu)(:\d{1,4})?", value) is not None


#: The remaining rules. Whether a device is there is asked when a run needs it: settings are read anywhere.
DEVICE = Rule(_names_a_device, "cpu, xla, cuda or tpu, maybe with a number, as in cuda:1")
YES_OR_NO = Rule(lambda value: isinstance(value, bool), "true or false")
NAMES = Rule(
    lambda value: isinstance(value, list | tuple) and all(isinstance(name, str) for name in value), "names of columns"
)
TABLE = Rule(lambda value: isinstance(value, dict), "a table of options")
