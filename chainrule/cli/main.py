"""The command line's roof: its subcommands, and how wrong input is answered: one line, exit code 2."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from typer.exceptions import TyperException

import chainrule
from chainrule.cli.agents import play
from chainrule.cli.data import data
from chainrule.cli.explain import explain
from chainrule.cli.export import export
from chainrule.cli.info import info
from chainrule.cli.launch import launch
from chainrule.cli.making import attack, sample
from chainrule.cli.models import models
from chainrule.cli.runs import doctor, evaluate, predict
from chainrule.cli.serve import serve
from chainrule.cli.summary import summary
from chainrule.cli.train import train
from chainrule.cli.tune import tune
from chainrule.devices import CPU, set_default_device
from chainrule.errors import ChainruleError

app = typer.Typer(
    name="chainrule",
    help="Deep learning from the chain rule up.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"chainrule {chainrule.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and stop.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Deep learning from the chain rule up."""


COMMANDS = (
    train, evaluate, predict, doctor, sample, attack, tune, data, models, summary, explain, export, serve, play, info,
    launch,
)  # fmt: skip
for command in COMMANDS:
    # What stands behind the script of `launch` is the script's.
    app.command(context_settings={"allow_interspersed_args": False} if command is launch else None)(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command with the given arguments (those of the process unless given) and exit.

    Exit codes: 0 done, 2 wrong model, data, option or value, 130 interrupted, 1 training failed.
    """
    set_default_device(CPU)  # `CHAINRULE_DEVICE` is a default of the option --device: what else there is stays here
    try:
        code = app(arguments, standalone_mode=False)
    except typer.Abort:
        sys.exit(130)
    except TyperException as error:
        _complain(error.format_message())
        sys.exit(2)
    except (ChainruleError, ValueError, OSError) as error:
        _complain(str(error))
        sys.exit(2)
    sys.exit(code or 0)


def _complain(message: str) -> None:
    """One line on the standard error stream; none if there is nothing to say, as after the help."""
    if message:
        print(f"chainrule: {' '.join(message.split())}", file=sys.stderr)
