"""`chainrule train`: a model, a data set, a progress bar, and a folder with what came out."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chainrule.cli.values import parse_changes

if TYPE_CHECKING:
    from chainrule.tasks.run import Outcome, Prepared

#: Settings that are said in sentences, not in the list.
_SAID = ("data", "data_root", "model")
OPTIMIZATION, DATA, OUTPUT = "Optimisation", "Data", "Output"


class OptimizerName(enum.StrEnum):
    """The optimisers that can be chosen."""

    adam = "adam"
    adamw = "adamw"
    sgd = "sgd"
    rmsprop = "rmsprop"
    adagrad = "adagrad"
    nadam = "nadam"


class ScheduleName(enum.StrEnum):
    """How the learning rate changes."""

    cosine = "cosine"
    onecycle = "onecycle"
    constant = "constant"


def train(
    model: Annotated[
        str | None,
        typer.Argument(
            help="What to train: a name from [bold]chainrule models[/], such as [bold]resnet18[/], [bold]mlp[/], "
            "[bold]unet[/], [bold]keypoints[/], [bold]autoencoder_conv[/] or [bold]decoder[/]. [dim]default: what "
            "suits the data[/]"
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="What to learn from: [bold]digits[/] (1,797 handwritten ones, always there), [bold]mnist[/], "
            "[bold]fashion-mnist[/], [bold]cifar10[/], [bold]cifar100[/], [bold]shakespeare[/]; a table (.csv, "
            ".parquet), a text (.txt), a folder of images (segmentation: with images/ and masks/ in it; keypoints: a "
            "table with a column of files and nose_x, nose_y, …). [dim]default: digits[/]",
            rich_help_panel=DATA,
        ),
    ] = None,
    data_root: Annotated[
        Path | None,
        typer.Option(
            envvar="CHAINRULE_DATA",
            help="The folder with known data's files. [dim]default: a cache folder, where they are downloaded to[/]",
            rich_help_panel=DATA,
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Tables: the column that is to be predicted.", rich_help_panel=DATA)
    ] = None,
    classify: Annotated[
        bool | None,
        typer.Option(
            "--classify/--regress",
            help="Tables: whether the target is a class. [dim]default: texts are, numbers are not[/]",
            rich_help_panel=DATA,
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(help="Tables: a column to leave out; may be repeated.", rich_help_panel=DATA)
    ] = None,
    category: Annotated[
        list[str] | None,
        typer.Option(
            help="Tables: a column of categories that look like numbers; may be repeated.", rich_help_panel=DATA
        ),
    ] = None,
    decimal: Annotated[
        str | None,
        typer.Option(
            help="Tables: what stands before a number's fraction. [dim]default: a point[/]", rich_help_panel=DATA
        ),
    ] = None,
    missing: Annotated[
        str | None,
        typer.Option(
            help="Tables: [bold]error[/] names missing values, [bold]drop[/] leaves out their rows, [bold]mean[/] "
            "fills in the mean.",
            rich_help_panel=DATA,
        ),
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=1, help="Images: the side they are resized to.", rich_help_panel=DATA)
    ] = None,
    length: Annotated[
        int | None,
        typer.Option(min=1, help="Texts: characters seen at once. [dim]default: 128[/]", rich_help_panel=DATA),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Passes over the training data. [dim]default: 30 (images), 100 (tables), 7 (texts)[/]",
            rich_help_panel=OPTIMIZATION,
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Samples in each step. [dim]default: 32, texts 16[/]", rich_help_panel=OPTIMIZATION),
    ] = None,
    optimizer: Annotated[
        OptimizerName | None,
        typer.Option(help="The update rule. [dim]default: adam, adamw[/]", rich_help_panel=OPTIMIZATION),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            "--learning-rate",
            "--lr",
            help="The largest step size, above 0. [dim]default: 0.002 (adam), 0.05 (sgd), 0.003 (tables, texts)[/]",
            rich_help_panel=OPTIMIZATION,
        ),
    ] = None,
    schedule: Annotated[
        ScheduleName | None,
        typer.Option(
            help="How the rate changes: it falls along half a cosine, rises and falls, or stays.",
            rich_help_panel=OPTIMIZATION,
        ),
    ] = None,
    momentum: Annotated[
        float | None, typer.Option(min=0.0, max=0.9999, help="For sgd.", rich_help_panel=OPTIMIZATION)
    ] = None,
    weight_decay: Annotated[
        float | None, typer.Option(min=0.0, help="Strength of the L2 penalty.", rich_help_panel=OPTIMIZATION)
    ] = None,
    clip_norm: Annotated[
        float | None,
        typer.Option(
            help="The largest norm of the gradients. [dim]default: 1 for texts[/]", rich_help_panel=OPTIMIZATION
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            min=1, help="End after so many epochs without a better validation loss.", rich_help_panel=OPTIMIZATION
        ),
    ] = None,
    shift: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=32,
            help="Move each training image by up to so many pixels, anew in each epoch. [dim]default: 2, for colour "
            "images 4, for mlp 0[/]",
            rich_help_panel=OPTIMIZATION,
        ),
    ] = None,
    flip: Annotated[
        bool | None,
        typer.Option(
            help="Turn half of the training images left to right. [dim]default: colour images only[/]",
            rich_help_panel=OPTIMIZATION,
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Same seed, same run. [dim]default: 0[/]", rich_help_panel=OPTIMIZATION)
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Any other setting, or an option of the model: [bold]--set hidden=64,64[/]; may be repeated.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="Settings from a TOML file, or those of an earlier run's folder; flags come after."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="The run's folder. [dim]default: runs/<time>-<model>-<data>[/]", rich_help_panel=OUTPUT),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="Go on with the run in this folder, as if it had never stopped.", rich_help_panel=OUTPUT),
    ] = None,
    eager: Annotated[
        bool,
        typer.Option(
            "--eager",
            help="Compute operation by operation instead of compiling the step.",
            rich_help_panel=OPTIMIZATION,
        ),
    ] = False,
    doctor: Annotated[
        bool, typer.Option(help="Watch training and say what goes wrong.", rich_help_panel=OUTPUT)
    ] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the result.", rich_help_panel=OUTPUT)] = False,
) -> int:
    """Train a model and test it on data that it never saw.

    After each epoch it is measured on the validation data.
    At the end the weights of the best epoch are tested.
    Ctrl-C stops after the current step and keeps everything; --resume goes on.
    Exit code: 0; 1 if the loss becomes infinite or NaN, 2 for wrong input, 130 for Ctrl-C.

    [bold]Examples[/]

      chainrule train lenet5 --data digits
      chainrule train lenet5 --data mnist --epochs 5 --batch-size 64
      chainrule train --data cifar10 --epochs 20 --batch-size 128
      chainrule train --data houses.csv --target price
      chainrule train --data shakespeare
      chainrule train unet --data digits
      chainrule train keypoints --data faces/points.csv --size 64
      chainrule train mlp --optimizer sgd --lr 0.1 --set hidden=64,32 --output runs/mine
      chainrule train --resume runs/mine

    [bold]What comes out[/], in the run's folder

      config.json       what was asked for, with every default filled in
      metrics.csv       the figures, one row for each epoch
      best.safetensors  the weights of the epoch with the least validation loss
      checkpoint-…      what --resume needs
      summary.json      the test figures
      report.html       all of it on one page, with curves and examples
    """
    from chainrule.tasks.settings import Settings, read_settings

    root = None if data_root is None else str(data_root)
    chosen: dict[str, Any] = {
        "model": model, "data": data, "data_root": root, "target": target, "classify": classify,
        "ignore": tuple(ignore) if ignore else None, "as_categories": tuple(category) if category else None,
        "decimal": decimal, "missing": missing, "size": size, "length": length, "epochs": epochs,
        "batch_size": batch_size, "optimizer": optimizer and optimizer.value, "learning_rate": learning_rate,
        "schedule": schedule and schedule.value, "momentum": momentum, "weight_decay": weight_decay,
        "clip_norm": clip_norm, "patience": patience, "shift": shift, "flip": flip, "seed": seed,
        "compile": False if eager else None,
    }  # fmt: skip
    given = {name: value for name, value in chosen.items() if value is not None}
    if resume is not None:
        if set(given) - {"data_root"} or set_ or config or output:
            raise ValueError(f"--resume goes on with the settings of {resume}; others cannot be given with it.")
        return _train(None, resume, quiet, doctor, root)
    settings = (Settings() if config is None else read_settings(config)).changed(**given)
    return _train(settings.changed(**parse_changes(set_ or [])), output, quiet, doctor)


def _train(settings: Any, path: Path | None, quiet: bool, watch: bool, data_root: str | None = None) -> int:
    import rich.console

    from chainrule.tasks.run import new_run_path, train_run
    from chainrule.train import Doctor, ProgressBar

    console, result = rich.console.Console(quiet=quiet), rich.console.Console()
    if path is None:
        data = Path(settings.data).name.partition(".")[0]
        path = new_run_path("runs", f"{settings.model}-{data}" if settings.model else data)
    outcome = train_run(
        settings, path, [ProgressBar(console)], doctor=Doctor(console=console, quiet=quiet) if watch else None,
        introduce=lambda run: _introduce(run, console), data_root=data_root,
    )  # fmt: skip
    _conclude(outcome, path, console, result)
    return {"interrupted": 130, "diverged": 1}.get(outcome.status, 0)


def _introduce(run: Prepared, console: Any) -> None:
    settings, task = run.task.settings, run.task
    count = sum(parameter.numel() for parameter in run.model.parameters())
    train, validation, test = (len(part) for part in run.parts)  # type: ignore[arg-type]
    lines = [
        f"{settings.model}, {count:,} parameters",
        f"{settings.data}, {train:,} {task.samples} to learn from, {validation:,} to choose by, {test:,} to test on",
    ]
    chosen = {k: v for k, v in settings.to_json().items() if k not in _SAID and v not in (None, {}, [], ())}
    lines.append(", ".join(f"{k.replace('_', ' ')} {v}" for k, v in chosen.items()))
    values = task.facts.get("target_values", 0)
    if task.kind == "table" and task.facts["classes"] is None and values <= 20 and settings.classify is None:
        lines.append(f"{settings.target} has only {values} different numbers; --classify would make them classes")
    if run.trainer.epoch or run.trainer.step:
        lines.append(f"going on after {run.trainer.epoch} epochs and {run.trainer.step} batches")
    console.print("\n".join(lines) + "\n", soft_wrap=True, highlight=False, markup=False)


def _conclude(outcome: Outcome, path: Path, console: Any, result: Any) -> None:
    from rich.markup import escape

    def say(text: str) -> None:
        result.print(text, soft_wrap=True, highlight=False)

    console.print()
    if outcome.status == "interrupted":
        say(f"[yellow]Interrupted[/] {outcome.reason}; go on with: chainrule train --resume {escape(str(path))}")
    elif outcome.status == "stopped":
        say(f"Stopped early: {outcome.reason}")
    elif outcome.status == "diverged":
        typer.echo(f"chainrule: {outcome.reason}", err=True)
    if outcome.best_epoch:
        figures = ", ".join(f"[bold]test {k.replace('_', ' ')} {v:.4f}[/]" for k, v in outcome.test.items())
        say(f"Best epoch {outcome.best_epoch}: validation loss {outcome.validation['loss']:.4f}, {figures}")
    if outcome.sample:
        console.print(f"\nA sample:\n{outcome.sample}\n", markup=False, highlight=False)
    say(f"Run: {escape(str(path))}")  # brackets in a name are no markup
