"""What is said on the command line: `NAME=VALUE`, with values by how they look, and RUN|MODEL."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def parse_changes(texts: Sequence[str]) -> dict[str, Any]:
    """Settings from texts. Raises ValueError for one that has no `=`.

    >>> parse_changes(["hidden=64,32", "dropout=0.1", "tied=false", "activation=tanh"])
    {'hidden': [64, 32], 'dropout': 0.1, 'tied': False, 'activation': 'tanh'}
    """
    found = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise ValueError(f"a setting is given as NAME=VALUE, got {text!r}.")
        found[name.strip().replace("-", "_")] = parse_value(value)
    return found


def names_run(what: str) -> bool:
    """Whether RUN|MODEL is a run's folder. Raises ValueError for a path at which there is no folder.

    >>> names_run("lenet5")
    False
    """
    path = Path(what)
    if not path.is_dir() and path.name != what:
        raise ValueError(f"there is no folder {what}, and no network has such a name. All of them: `chainrule models`.")
    return path.is_dir()


def parse_value(text: str) -> Any:
    """A number, true or false, a list of these where there are commas, or else the text.

    >>> parse_value("0.1"), parse_value("3"), parse_value("a,2")
    (0.1, 3, ['a', 2])
    """
    if "," in text:
        return [parse_value(part) for part in text.split(",") if part.strip()]
    text = text.strip()
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def parse_domains(texts: Sequence[str]) -> dict[str, Any]:
    """What a search may choose from: `low..high` (with `:log`), or alternatives with commas between them.

    Raises ValueError for one that is neither.

    >>> parse_domains(["lr=1e-4..1e-1:log", "width=16..64", "optimizer=adam,sgd"])["width"]
    Int(low=16, high=64, log=False, step=1)
    """
    from chainrule.tune.space import Choice, Float, Int

    found: dict[str, Any] = {}
    for text in texts:
        name, _, given = text.partition("=")
        name = {"lr": "learning_rate"}.get(name.strip(), name.strip().replace("-", "_"))
        given, _, scale = given.partition(":")
        low, dots, high = (parse_value(part) for part in given.partition(".."))
        if not dots and "," not in given:
            given = ""  # one value is nothing to choose from
        if scale not in ("", "log") or not given or (dots and not all(isinstance(x, int | float) for x in (low, high))):
            raise ValueError(
                f"a range is given as NAME=LOW..HIGH, NAME=LOW..HIGH:log or NAME=ONE,ANOTHER, got {text!r}."
            )
        if dots:
            kind = Int if isinstance(low, int) and isinstance(high, int) else Float
            found[name] = kind(low, high, log=scale == "log")
        else:
            options = parse_value(given)
            found[name] = Choice(options if isinstance(options, list) else [options])
    return found
