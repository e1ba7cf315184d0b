"""`chainrule train`: a model, a data set, a progress bar, and a folder with what came out."""

from __future__ import annotations

import enum
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

OPTIMIZATION, OUTPUT = "Optimisation", "Output"


class OptimizerName(enum.StrEnum):
    """The optimisers that can be chosen."""

    adam = "adam"
    sgd = "sgd"


def train(
    model: Annotated[str, typer.Argument(help="What to train: [bold]lenet5[/] or [bold]mlp[/].")],
    data: Annotated[str, typer.Option(help="What to learn from: [bold]digits[/].")] = "digits",
    epochs: Annotated[
        int, typer.Option(min=1, help="Passes over the training data.", rich_help_panel=OPTIMIZATION)
    ] = 30,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples in each step.", rich_help_panel=OPTIMIZATION)] = 32,
    optimizer: Annotated[
        OptimizerName, typer.Option(help="The update rule.", rich_help_panel=OPTIMIZATION)
    ] = OptimizerName.adam,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            "--learning-rate",
            "--lr",
            help="The first step size; it falls to 0 along half a cosine. [dim]default: 0.002 (adam), 0.05 (sgd)[/]",
            rich_help_panel=OPTIMIZATION,
        ),
    ] = None,
    momentum: Annotated[float, typer.Option(min=0.0, max=0.9999, help="For sgd.", rich_help_panel=OPTIMIZATION)] = 0.9,
    weight_decay: Annotated[
        float, typer.Option(min=0.0, help="Strength of the L2 penalty.", rich_help_panel=OPTIMIZATION)
    ] = 0.0,
    shift: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=8,
            help="Move each training image by up to so many pixels, anew in each epoch. [dim]default: 2 of 32 "
            "(lenet5), 0 of 8 (mlp)[/]",
            rich_help_panel=OPTIMIZATION,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same run.", rich_help_panel=OPTIMIZATION)] = 0,
    output: Annotated[
        Path | None,
        typer.Option(help="The run's folder. [dim]default: runs/<time>-<model>-<data>[/]", rich_help_panel=OUTPUT),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the result.", rich_help_panel=OUTPUT)] = False,
) -> int:
    """Train a model and test it on data that it never saw.

    After each epoch it is measured on the validation data; the weights of the best epoch are tested at the end.
    Ctrl-C stops early and keeps what was learned.

    [bold]The run's folder[/] holds config.json, metrics.csv (a row for each epoch),
    weights.safetensors (the best epoch),
    last.safetensors, curves.png and summary.json.

    [bold]Examples[/]

    chainrule train lenet5 --data digits

    chainrule train mlp --epochs 10 --optimizer sgd --lr 0.1 --output runs/mine
    """
    rate = learning_rate if learning_rate is not None else {"adam": 2e-3, "sgd": 0.05}[optimizer.value]
    if not rate > 0 or rate == float("inf"):
        raise typer.BadParameter(f"the learning rate is a number above 0, got {rate}.")
    config = {
        "model": model, "data": data, "epochs": epochs, "batch_size": batch_size, "optimizer": optimizer.value,
        "learning_rate": rate, "momentum": momentum, "weight_decay": weight_decay,
        "shift": image_size(model) // 16 if shift is None else shift, "seed": seed,
    }  # fmt: skip
    return _Training(config, quiet).run(output)


def image_size(model: str) -> int:
    """The side of the images that a model is trained on: the original 8 for the MLP, 32 for convolutions."""
    return 8 if model == "mlp" else 32


class _Training:
    """One run of the command: what is trained, on what, how."""

    def __init__(self, config: dict[str, Any], quiet: bool) -> None:
        import rich.console

        import chainrule
        from chainrule import data, models, nn, optim

        self.config = config
        self.console = rich.console.Console(quiet=quiet)
        self.result = rich.console.Console()
        chainrule.manual_seed(config["seed"])
        size = image_size(config["model"])
        self.splits = data.load(config["data"], size=size)
        options: dict[str, Any] = {"num_classes": self.splits.classes}
        if config["model"] == "mlp":
            options = {"sizes": [size**2, 128, self.splits.classes]}
        self.model = models.create(config["model"], **options)
        parameters, rate, decay = self.model.parameters(), config["learning_rate"], config["weight_decay"]
        if config["optimizer"] == "adam":
            self.optimizer: optim.Optimizer = optim.Adam(parameters, lr=rate, weight_decay=decay)
        else:
            self.optimizer = optim.SGD(parameters, lr=rate, momentum=config["momentum"], weight_decay=decay)
        self.loss = nn.CrossEntropyLoss()
        self.train_batches = data.DataLoader(self.splits.train, config["batch_size"], shuffle=True)
        self.validation_batches = data.DataLoader(self.splits.validation, 256)
        self.test_batches = data.DataLoader(self.splits.test, 256)

    def run(self, output: Path | None) -> int:
        """Train, test, and fill the folder. The exit code: 0, or 130 if it was interrupted."""
        from chainrule.train import DivergedError, Run, evaluate, new_run_path

        config = self.config
        path = output or new_run_path("runs", f"{config['model']}-{config['data']}")
        run = Run(path, config)
        count = sum(p.numel() for p in self.model.parameters())
        self.console.print(
            f"{config['model']} ({count:,} parameters) on {config['data']}: {len(self.splits.train):,} samples to "
            f"learn from, {len(self.splits.validation):,} to choose by, {len(self.splits.test):,} to test on"
        )
        code, status = 0, "finished"
        try:
            with _sigterm_interrupts():
                self._epochs(run)
        except KeyboardInterrupt:
            code, status = 130, "interrupted"
            self.result.print(f"[yellow]Interrupted[/] after {len(run.rows)} of {config['epochs']} epochs.")
        except DivergedError as error:
            run.finish({"status": "diverged", "reason": str(error)})
            raise
        if not run.rows:
            run.finish({"status": status})
            self.result.print(f"Nothing was learned before the end of the first epoch. Run: {path}")
            return code
        run.load_best(self.model)
        test = evaluate(self.model, self.test_batches, self.loss)
        best = run.rows[run.best_epoch - 1]["validation_accuracy"]
        accuracies = {"validation_accuracy": best, "test_accuracy": test.accuracy, "test_loss": test.loss}
        run.finish({"status": status, **accuracies})
        self.result.print(
            f"Best epoch {run.best_epoch}: validation accuracy {best:.4f}, [bold]test accuracy {test.accuracy:.4f}[/]"
        )
        self.result.print(f"Run: {path}", soft_wrap=True)
        return code

    def _shifted_batches(self) -> Iterator[Any]:
        from chainrule.data import random_shift

        for images, labels in self.train_batches:
            yield random_shift(images, self.config["shift"]), labels

    def _epochs(self, run: Any) -> None:
        import math

        from chainrule.train import Scores, evaluate, train_epoch

        epochs, rate = self.config["epochs"], self.config["learning_rate"]
        steps, step = epochs * len(self.train_batches), 0
        for epoch in range(1, epochs + 1):
            start = time.perf_counter()
            with _progress(self.console, f"epoch {epoch:>{len(str(epochs))}}/{epochs}", len(self.splits.train)) as show:

                def after_batch(count: int, means: Scores) -> None:
                    nonlocal step
                    step += 1
                    for group in self.optimizer.param_groups:
                        group["lr"] = rate * (1 + math.cos(math.pi * step / steps)) / 2
                    show(count, f"loss {means.loss:.4f}  accuracy {means.accuracy:.4f}")

                trained = train_epoch(self.model, self._shifted_batches(), self.loss, self.optimizer, after_batch)
                validation = evaluate(self.model, self.validation_batches, self.loss)
                show(
                    0,
                    f"loss {trained.loss:.4f}  accuracy {trained.accuracy:.4f}  validation {validation.loss:.4f}  "
                    f"{validation.accuracy:.4f}",
                )
            run.record(epoch, trained, validation, time.perf_counter() - start, self.model)


@contextmanager
def _progress(console: Any, title: str, total: int) -> Iterator[Any]:
    """A bar on a terminal; elsewhere one plain line at the end. Gives `show(samples done, text)`."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    if not console.is_terminal:
        last = ""

        def remember(done: int, text: str) -> None:
            nonlocal last
            last = text

        yield remember
        console.print(f"{title}  {last}", highlight=False)
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[scores]}"),
    )  # fmt: skip
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(title, total=total, scores="")
        yield lambda done, text: progress.update(task, advance=done, scores=text)


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Being asked to stop by the system is taken as Ctrl-C is."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
