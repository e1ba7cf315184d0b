"""Flags of the command made from the fields of `Settings`: type, bounds, choices and help are said there, once."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer

from chainrule.tasks.setting import setting_of
from chainrule.tasks.settings import Settings


def with_settings(*names: str, headings: bool = True) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a command a flag for each of these settings (all that have one unless named), which it gets as `**given`.

    headings: whether the help has them under their headings.
    """
    fields = Settings.__dataclass_fields__
    chosen = names or tuple(name for name in fields if setting_of(Settings, name).group)

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        own = inspect.signature(command, eval_str=True).parameters.values()
        rest = [parameter for parameter in own if parameter.kind is not parameter.VAR_KEYWORD]
        made = [_parameter(name, headings) for name in chosen]
        parameters = [parameter.replace(kind=parameter.KEYWORD_ONLY) for parameter in (*made, *rest)]
        command.__signature__ = inspect.Signature(parameters, return_annotation=int)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return command

    return decorate


def chosen_settings(given: dict[str, Any]) -> dict[str, Any]:
    """What was said of the settings, as `Settings` takes it; what was not said is left out."""
    return {name: _plain(value) for name, value in given.items() if value is not None and value != []}


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    return tuple(value) if isinstance(value, list) else str(value) if isinstance(value, Path) else value


def _parameter(name: str, headings: bool) -> inspect.Parameter:
    """A parameter of a command that says to typer what the field says of the setting."""
    about = setting_of(Settings, name)
    text = about.help + (f" [dim]default: {about.usual}[/]" if about.usual else "")
    info: Any
    if about.group == "Arguments":
        info = typer.Argument(None, help=text)
    else:
        info = typer.Option(
            None, *about.flags, min=about.rule.low, max=about.rule.high, help=text,
            rich_help_panel=about.group if headings else None, envvar=_VARIABLES.get(name),
        )  # fmt: skip
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=info, annotation=_type_of(name) | None)


#: What may also be said by a variable of the environment.
_VARIABLES = {"data_root": "CHAINRULE_DATA", "device": "CHAINRULE_DEVICE"}


def _type_of(name: str) -> Any:
    """What typer makes of the words after the flag."""
    options = setting_of(Settings, name).rule.options
    if options:
        return enum.StrEnum(name, {option: option for option in options})
    if name == "data_root":
        return Path
    hint = get_type_hints(Settings)[name]
    kinds = [kind for kind in get_args(hint) if kind is not type(None)] or [hint]
    return list[str] if name in ("ignore", "as_categories") else kinds[0]
