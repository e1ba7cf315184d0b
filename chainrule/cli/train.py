"""`chainrule train`: a model, a data set, a progress bar, and a folder with what came out."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chainrule.cli.progress import EpochTable

if TYPE_CHECKING:
    from chainrule.tensor import Tensor
    from chainrule.train import Run
    from chainrule.train.loop import Progress

OPTIMIZATION, OUTPUT = "Optimisation", "Output"


class OptimizerName(enum.StrEnum):
    """The optimisers that can be chosen."""

    adam = "adam"
    sgd = "sgd"


def train(
    model: Annotated[
        str,
        typer.Argument(
            help="What to train: [bold]lenet5[/], [bold]convnet[/], [bold]resnet10[/], [bold]resnet18[/], or "
            "[bold]mlp[/] with 128 hidden units."
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            help="What to learn from: [bold]digits[/] (1,797 handwritten ones, always there), [bold]mnist[/], "
            "[bold]fashion-mnist[/], [bold]cifar10[/] or [bold]cifar100[/]."
        ),
    ] = "digits",
    data_root: Annotated[
        Path | None,
        typer.Option(
            envvar="CHAINRULE_DATA",
            help="The folder with the data's files. [dim]default: a cache folder, where they are downloaded to[/]",
        ),
    ] = None,
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
            help="The first step size, above 0; it falls to 0 along half a cosine. "
            "[dim]default: 0.002 (adam), 0.05 (sgd)[/]",
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
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same run.", rich_help_panel=OPTIMIZATION)] = 0,
    output: Annotated[
        Path | None,
        typer.Option(help="The run's folder. [dim]default: runs/<time>-<model>-<data>[/]", rich_help_panel=OUTPUT),
    ] = None,
    eager: Annotated[
        bool,
        typer.Option(
            "--eager",
            help="Compute operation by operation instead of compiling the step.",
            rich_help_panel=OPTIMIZATION,
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the result.", rich_help_panel=OUTPUT)] = False,
) -> int:
    """Train a model and test it on data that it never saw.

    After each epoch it is measured on the validation data.
    At the end the weights of the best epoch are tested.
    Ctrl-C stops after the current step and keeps what was learned.
    Exit code: 0; 1 if the loss becomes infinite or NaN, 2 for wrong input, 130 for Ctrl-C.

    [bold]Examples[/]

      chainrule train lenet5 --data digits
      chainrule train mlp --epochs 10 --optimizer sgd --lr 0.1 --output runs/mine
      chainrule train lenet5 --data mnist --epochs 5
      chainrule train resnet10 --data cifar10 --epochs 2 --batch-size 128

    [bold]What comes out[/], in the run's folder

      config.json          what was asked for, with every default filled in
      metrics.csv          loss and accuracy, one row for each epoch
      curves.png           the same as a picture
      weights.safetensors  the weights of the best epoch
      last.safetensors     the weights at the end
      summary.json         the test accuracy
      report.html          all of it on one page, with confusions and examples
    """
    rate = learning_rate if learning_rate is not None else {"adam": 2e-3, "sgd": 0.05}[optimizer.value]
    if not rate > 0 or rate == float("inf"):
        raise typer.BadParameter(f"it is a finite number above 0, got {rate}.", param_hint="'--learning-rate'")
    config = {
        "model": model, "data": data, "epochs": epochs, "batch_size": batch_size, "optimizer": optimizer.value,
        "learning_rate": rate, "schedule": "cosine", "momentum": momentum, "weight_decay": weight_decay,
        "shift": shift, "flip": flip, "seed": seed,
    }  # fmt: skip
    return _Training(config, quiet, eager, data_root).run(output)


def image_size(model: str, data: str) -> int | None:
    """The side that images are resized to: the digits' 8 pixels become 32 for convolutions, others stay as they are."""
    return 32 if data == "digits" and model != "mlp" else None


def model_options(model: str, shape: tuple[int, ...], classes: int) -> dict[str, Any]:
    """The constructor's options for images of a shape (C, H, W)."""
    channels, height, width = shape
    if model == "mlp":
        return {"sizes": [channels * height * width, 128, classes]}
    options: dict[str, Any] = {"num_classes": classes, "in_channels": channels}
    if model in ("lenet5", "convnet"):
        options["image_size"] = height
    elif model == "resnet18":
        options["stem"] = "cifar"
    return options


class _Training:
    """One run of the command: what is trained, on what, how."""

    def __init__(self, config: dict[str, Any], quiet: bool, eager: bool, root: Path | None) -> None:
        import rich.console

        import chainrule
        from chainrule import data, models, nn, optim
        from chainrule.train import evaluation_step, training_step

        self.config = config
        self.console = rich.console.Console(quiet=quiet)
        self.result = rich.console.Console()
        chainrule.manual_seed(config["seed"])
        if config["model"] == "unet" or config["data"] == "shakespeare":
            raise ValueError("this command trains classifiers of images; U-Nets and texts are trained from Python.")
        self.splits = data.load(config["data"], size=image_size(config["model"], config["data"]), root=root)
        shape = tuple(self.splits.train[0][0].shape)
        colour, plain = shape[0] == 3, config["model"] == "mlp"
        if config["shift"] is None:
            config["shift"] = 0 if plain else 4 if colour else 2
        if config["flip"] is None:
            config["flip"] = colour and not plain
        self.model = models.create(config["model"], **model_options(config["model"], shape, self.splits.classes))
        parameters, rate, decay = self.model.parameters(), config["learning_rate"], config["weight_decay"]
        if config["optimizer"] == "adam":
            self.optimizer: optim.Optimizer = optim.Adam(parameters, lr=rate, weight_decay=decay)
        else:
            self.optimizer = optim.SGD(parameters, lr=rate, momentum=config["momentum"], weight_decay=decay)
        self.loss = nn.CrossEntropyLoss()
        self.step = training_step(self.model, self.loss, self.optimizer)
        self.evaluation = evaluation_step(self.model, self.loss)
        if not eager:
            self.step, self.evaluation = chainrule.compile(self.step), chainrule.compile(self.evaluation)
        self.train_batches = data.DataLoader(self.splits.train, config["batch_size"], shuffle=True)
        self.validation_batches = data.DataLoader(self.splits.validation, 256)
        self.test_batches = data.DataLoader(self.splits.test, 256)
        steps = config["epochs"] * len(self.train_batches)
        self.schedule = optim.lr_scheduler.CosineAnnealingLR(self.optimizer, T_max=steps)

    def run(self, output: Path | None) -> int:
        """Train, test, and fill the folder. Gives the exit code."""
        from chainrule.train import DivergedError, Run, hold_interrupts, new_run_path

        path = output or new_run_path("runs", f"{self.config['model']}-{self.config['data']}")
        try:
            run = Run(path, self.config)
        except OSError as error:
            reason = f"{error.strerror}: {path}" if error.strerror else str(error)
            raise typer.BadParameter(reason, param_hint="'--output'") from None
        self._introduce()
        code, outcome = 0, {"status": "finished"}
        with hold_interrupts() as stop_if_asked:
            try:
                self._epochs(run, stop_if_asked)
            except KeyboardInterrupt:
                code, outcome = 130, {"status": "interrupted"}
                run.keep_last(self.model)
                done = f"{len(run.rows)} of {self.config['epochs']} epochs"
                self._say(f"[yellow]Interrupted[/] after {done}; the weights of that moment are in last.safetensors.")
            except DivergedError as error:
                code, outcome = 1, {"status": "diverged", "reason": str(error)}
                typer.echo(f"chainrule: {error}", err=True)
            self._finish(run, outcome)
        return code

    def _introduce(self) -> None:
        count = sum(parameter.numel() for parameter in self.model.parameters())
        train, validation, test = (len(part) for part in self.splits[:3])
        self.console.print(
            f"{self.config['model']}, {count:,} parameters\n"
            f"{self.config['data']}, {train:,} samples to learn from, {validation:,} to choose by, {test:,} to test on",
            soft_wrap=True,
        )

    def _epochs(self, run: Run, stop_if_asked: Callable[[], None]) -> None:
        from chainrule.train import Scores, evaluate, train_epoch

        table = EpochTable(self.console, self.config["epochs"])
        table.print_heading()
        for epoch in range(1, self.config["epochs"] + 1):
            start = time.perf_counter()
            with table.bar(epoch, len(self.splits.train)) as advance:

                def after_batch(count: int, means: Scores, advance: Progress = advance) -> None:
                    advance(count, means)
                    self.schedule.step()
                    stop_if_asked()

                batches = self._shifted_batches()
                trained = train_epoch(self.model, batches, self.loss, self.optimizer, after_batch, self.step)
                validation = evaluate(self.model, self.validation_batches, self.loss, self.evaluation)
            seconds = time.perf_counter() - start
            best = run.record(epoch, trained, validation, seconds, self.model)
            table.print_row(epoch, trained, validation, seconds, best)

    def _shifted_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        from chainrule.data.transforms import Compose, RandomCrop, RandomHorizontalFlip

        shape = self.splits.train[0][0].shape
        black = [-mean / std for mean, std in zip(self.splits.mean, self.splits.std, strict=True)]
        parts: list[Any] = []
        if self.config["shift"]:
            parts.append(RandomCrop(shape[-1], padding=self.config["shift"], fill=black))
        if self.config["flip"]:
            parts.append(RandomHorizontalFlip())
        change = Compose(parts)
        for images, labels in self.train_batches:
            yield change(images), labels

    def _finish(self, run: Run, outcome: dict[str, Any]) -> None:
        """Test the best weights, write what is left to write, and say where it is."""
        from rich.markup import escape

        from chainrule.train import evaluate

        if run.rows:
            run.load_best(self.model)
            test = evaluate(self.model, self.test_batches, self.loss, self.evaluation)
            validation = run.rows[run.best_epoch - 1]["validation_accuracy"]
            outcome |= {"validation_accuracy": validation, "test_accuracy": test.accuracy, "test_loss": test.loss}
            count = len(self.splits.test)
            self.console.print()
            self._say(
                f"Best epoch {run.best_epoch}: validation accuracy {validation:.4f}, [bold]test accuracy "
                f"{test.accuracy:.4f}[/] ({round(test.accuracy * count)} of {count})"
            )
        run.finish(outcome)
        if run.rows:
            self._report(run, outcome)
        self._say(f"Run: {escape(str(run.path))}")  # brackets in a name are no markup

    def _report(self, run: Run, outcome: dict[str, Any]) -> None:
        from chainrule.train.classifier import classify
        from chainrule.train.report import Report, write_report

        names = list(self.splits.names) or [str(i) for i in range(self.splits.classes)]
        results = classify(self.model, self.test_batches, names, self.splits.mean, self.splits.std)
        numbers = {name.replace("_", " "): value for name, value in outcome.items() if name != "reason"}
        report = Report(
            f"{self.config['model']} on {self.config['data']}", run.rows, {"best epoch": run.best_epoch, **numbers},
            self.config, (results.confusion, names), results.per_class, results.worst, results.best,
        )  # fmt: skip
        write_report(report, run.path / "report.html")

    def _say(self, text: str) -> None:
        self.result.print(text, soft_wrap=True, highlight=False)
