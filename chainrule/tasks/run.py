"""A run: training from settings into a folder, going on with it, and opening it again.

config.json            the settings, resolved, the kind of data and the versions
facts.json             what was learned about the data: class names, means, a vocabulary
metrics.csv            one row for each epoch
best.safetensors       the weights of the epoch with the least validation loss
checkpoint-….safetensors  all that is needed to go on
doctor.json            what the doctor found, [] if all was well
summary.json           what came out
report.html            all of it on one page
"""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from chainrule import distributed, optim
from chainrule.data.loader import DataLoader
from chainrule.errors import DataError, DivergedError
from chainrule.explain.notebook import framed, module_html, table_html
from chainrule.files import write_text
from chainrule.nn.module import Module
from chainrule.random import get_rng_state, manual_seed, set_rng_state
from chainrule.serialization import load
from chainrule.tasks.kinds import load_task, restore_task
from chainrule.tasks.on_a_sample import explain_sample
from chainrule.tasks.settings import OPTIMIZERS, Settings, read_settings
from chainrule.tasks.task import Parts, Task
from chainrule.train.batches import batches_for
from chainrule.train.callbacks import (
    Callback,
    Checkpoints,
    CSVLog,
    GradientFlow,
    ProgressBar,
    Recorder,
    WeightAveraging,
)
from chainrule.train.doctor import Doctor
from chainrule.train.doctor.finding import MOST_PATHS
from chainrule.train.early_stopping import EarlyStopping
from chainrule.train.interruption import LeftAtOnce, hold_interrupts
from chainrule.train.report import Report, write_report
from chainrule.train.trainer import Trainer
from chainrule.train.weights import load_weights, save_weights

#: Samples at once where nothing is learned.
EVALUATION_BATCH = 256
#: A checkpoint is written at the end of each epoch, and after so many seconds within one.
CHECKPOINT_SECONDS = 60.0


class Outcome(NamedTuple):
    """How a run ended.

    Attributes:
        status: "finished", "stopped" (early), "interrupted" or "diverged".
        reason: why, if it did not finish.
        best_epoch: the epoch with the least validation loss; 0 if none was finished.
        validation, test: loss and metrics with that epoch's weights; {} if none was finished.
        sample: what the model made, where it makes something.
        averaged: whether the weights are the mean over the steps, which was better than the best epoch.
    """

    status: str
    reason: str
    best_epoch: int
    validation: dict[str, Any]
    test: dict[str, Any]
    sample: str
    averaged: bool = False

    def _repr_html_(self) -> str:
        """For notebooks: the figures as a table."""
        rows = [{"part": part, **figures} for part in ("validation", "test") if (figures := getattr(self, part))]
        return table_html(f"{self.status} {self.reason}, best epoch {self.best_epoch}", rows)


class Prepared(NamedTuple):
    """Everything that a run trains with."""

    task: Task
    parts: Parts
    model: Module
    trainer: Trainer
    train: DataLoader
    validation: DataLoader


class OpenRun(NamedTuple):
    """A run that was opened again: its task, and the model with the weights of the best epoch."""

    path: Path
    task: Task
    model: Module

    def _repr_html_(self) -> str:
        """For notebooks: the run's report."""
        report = self.path / "report.html"
        return framed(report.read_text(encoding="utf-8")) if report.is_file() else module_html(self.model)


def prepare(
    settings: Settings, callbacks: Sequence[Callback] = (), doctor: Doctor | None = None, path: Path | None = None
) -> Prepared:
    """Load the data, and make the model and its trainer; path: the run's folder, if it has one. Sets the seed."""
    manual_seed(settings.seed)
    task, parts = load_task(settings)
    chosen = task.settings
    model = _build_model(task)
    train = _training_batches(parts.train, int(chosen.batch_size or 1), world_size() > 1)
    if doctor is not None:  # a look takes as long as a dozen compiled steps: with many batches two an epoch will do
        doctor.every = max(doctor.every, len(train) // 2)
    optimizer = _optimizer(model, chosen, task.optimizer_options(model))
    steps = -(-len(train) // chosen.accumulate) * int(chosen.epochs or 1)
    watching = [] if doctor is None else [task.watching(doctor, model, parts)]
    trainer = task.build_trainer(
        model, task.build_loss(), optimizer, metrics=task.metrics(), schedule=_schedule(optimizer, chosen, steps),
        transform=task.build_transform(), clip_norm=chosen.clip_norm, accumulate=chosen.accumulate,
        precision=chosen.precision, compile=chosen.compile, backend=chosen.backend, device=chosen.device,
        devices=chosen.devices, debug=chosen.debug, processes=world_size() > 1,
        callbacks=[
            *callbacks, *watching, *_patience(chosen), *_averaging(chosen),
            *([] if path is None else task.callbacks(path)),
        ],
    )  # fmt: skip
    return Prepared(task, parts, model, trainer, train, DataLoader(parts.validation, EVALUATION_BATCH))


def train_run(
    settings: Settings | None, path: str | Path, callbacks: Sequence[Callback] = (), *, doctor: Doctor | None = None,
    introduce: Any = None, data_root: str | None = None, device: str | None = None,
) -> Outcome:  # fmt: skip
    """Train from settings into a new folder; or, without settings, go on with the run that the folder holds.

    Args:
        settings: what is to be done; None continues from the latest checkpoint.
        path: the folder.
        callbacks: further ones for the trainer, such as a `ProgressBar`.
        doctor: watches, and writes its findings to doctor.json.
        introduce: called with the `Prepared` run before training begins.
        data_root, device: where known data are now, and where the network is to learn, for a run that is continued.

    In a process group (`distributed`) each process trains on its part of every batch; the first one alone reads and
    writes the folder, and tests.

    Raises FileExistsError if the folder holds a run already, DataError if it should and does not, CheckpointError if
    another process is training in it.
    """
    path = Path(path)
    if world_size() > 1 and distributed.get_rank() > 0:
        return _follow(data_root, device, doctor)
    resumed = settings is None
    settings = read_settings(_need_run(path)) if settings is None else settings
    settings = _elsewhere(settings, data_root, device)
    if not resumed and (path / "config.json").exists():
        raise FileExistsError(
            f"{path} holds a run already; choose another folder, or go on with it by --resume {path}."
        )
    recorder, checkpoints = Recorder(), Checkpoints(path, keep=1, every_seconds=CHECKPOINT_SECONDS)
    if doctor is not None:
        doctor.path = path / "doctor.json"
    flow = [GradientFlow(settings.gradient_flow)] if settings.gradient_flow else []
    for bar in callbacks:
        if isinstance(bar, ProgressBar):
            bar.beside += flow
    if world_size() > 1:
        distributed.broadcast_object_list([settings], src=0)
    run = prepare(settings, [*callbacks, recorder, *flow, CSVLog(path / "metrics.csv"), checkpoints], doctor, path)
    try:
        checkpoints.lock.take()
    except OSError as error:
        raise DataError(f"--output: {error.strerror}: {path}") from None
    try:
        if not resumed:
            _write_beginning(path, run.task)
        if run.trainer.processes is not None:
            latest = checkpoints.latest() if resumed else None
            run.trainer.processes.resume(run.trainer, None if latest is None else load(latest))
        elif resumed:
            checkpoints.resume(run.trainer)
        if introduce is not None:
            introduce(run)
        status, reason = _fit(run, checkpoints)
        return _finish(run, path, status, reason, checkpoints.best_epoch, recorder, doctor)
    finally:
        checkpoints.lock.release()


def _follow(data_root: str | None, device: str | None, doctor: Doctor | None) -> Outcome:
    """What the processes other than the first do: the settings, and the state to go on from, come from it.

    The doctor and the gradient flow look inside the same steps everywhere, so that all run the same programs.
    """
    box: list[Any] = [None]
    distributed.broadcast_object_list(box, src=0)
    settings = _elsewhere(box[0], data_root, device)
    flow = [GradientFlow(settings.gradient_flow)] if settings.gradient_flow else []
    run = prepare(settings, flow, doctor)
    assert run.trainer.processes is not None
    run.trainer.processes.resume(run.trainer, None)
    status, reason = _fit(run, None)
    return Outcome(status, reason, 0, {}, {}, "")


def _elsewhere(settings: Settings, data_root: str | None, device: str | None) -> Settings:
    """The settings of a run where its data are in another folder, or another device is there; None: as they say."""
    places = {"data_root": data_root, "device": device}
    return settings.changed(**{name: place for name, place in places.items() if place is not None})


def world_size() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def _training_batches(data: Any, size: int, shared: bool) -> DataLoader:
    """Shuffled batches; of each, in several processes, the part of this one."""
    if not shared:
        return DataLoader(data, size, shuffle=True)
    from chainrule.train.processes import batches_of_process

    return DataLoader(data, batch_sampler=batches_of_process(data, size))


def open_run(path: str | Path) -> OpenRun:
    """A run's task and model, with the weights of its best epoch, for evaluating and predicting: on the CPU.

    Raises DataError if the folder holds no run, or no epoch of it was finished.
    """
    path = _need_run(Path(path))
    settings, config, facts = read_settings(path), _read_json(path / "config.json"), _read_json(path / "facts.json")
    try:
        _check_numbers(facts)
        task = restore_task(config["task"], settings, facts)
        model = _build_model(task)
    except (LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: config.json and facts.json describe no run: {error!r}.") from error
    if not (path / "best.safetensors").exists():
        raise DataError(f"{path} has no weights yet: no epoch of it was finished.")
    load_weights(model, path / "best.safetensors")
    return OpenRun(path, task, model.cpu())


def _check_numbers(facts: dict[str, Any]) -> None:
    """Raise TypeError unless what samples are scaled by are numbers."""
    for name in ("mean", "std"):
        if not all(isinstance(value, int | float) for value in facts.get(name, [])):
            raise TypeError(f"{name} is a list of numbers, got {facts[name]!r:.60}")


def evaluate_run(
    path: str | Path, part: str = "test", data_root: str | None = None, device: str | None = None
) -> dict[str, float]:
    """Loss and metrics of a run's best weights on a part of its data: "train", "validation" or "test".

    It is done on the device on which the run learned, or on another one; data_root: where known data are now.
    Raises ValueError for another part, DataError if the run or its data cannot be read.
    """
    if part not in Parts._fields:
        raise ValueError(f"the parts of the data are {', '.join(Parts._fields)}, got {part!r}.")
    opened = open_run(path)
    settings = _elsewhere(opened.task.settings, data_root, device)
    manual_seed(settings.seed)
    _, parts = load_task(settings)
    trainer = Trainer(
        opened.model, opened.task.build_loss(), optim.SGD(opened.model.parameters(), lr=0.0),
        metrics=opened.task.metrics(), compile=settings.compile, backend=settings.backend,
        device=settings.device, devices=settings.devices,
    )  # fmt: skip
    return _plain(trainer.evaluate(DataLoader(getattr(parts, part), EVALUATION_BATCH)))


def new_run_path(root: str | Path, name: str) -> Path:
    """A folder name that says when and what, and that is not taken: `2026-01-31-093005-lenet5-digits`."""
    stem = f"{datetime.now():%Y-%m-%d-%H%M%S}-{name}"
    path, number = Path(root) / stem, 2
    while path.exists():
        path, number = Path(root) / f"{stem}-{number}", number + 1
    return path


# ------------------------------------------------------------------------------------- the parts of a run


def _build_model(task: Task) -> Module:
    """The model; raises ValueError for options of a wrong type, as files and flags may have them."""
    try:
        return task.build_model()
    except (TypeError, AttributeError) as error:
        options = task.settings.model_options
        if not options:
            raise
        raise ValueError(f"the model {task.settings.model} cannot be made with {options}: {error}") from error


def _optimizer(model: Module, settings: Settings, options: dict[str, Any]) -> optim.Optimizer:
    kind = getattr(optim, OPTIMIZERS[str(settings.optimizer)])
    options = {**options, "momentum": settings.momentum} if settings.optimizer == "sgd" else options
    found: optim.Optimizer = kind(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay or 0.0, **options
    )
    return found


def _schedule(optimizer: optim.Optimizer, settings: Settings, steps: int) -> Any:
    schedules = optim.lr_scheduler
    warmup = min(round(steps * (settings.warmup or 0.0)), steps - 1)
    if settings.schedule == "cosine":
        return schedules.warmup_cosine(optimizer, warmup, steps)
    if settings.schedule == "onecycle":
        return schedules.OneCycleLR(optimizer, float(settings.learning_rate or 0), total_steps=steps + 1)
    rise = schedules.LinearLR(optimizer, 0.01, total_iters=warmup) if warmup else None
    if settings.schedule == "constant":
        return rise
    falls = schedules.MultiStepLR(optimizer, [steps // 2, steps * 3 // 4])
    return falls if rise is None else schedules.ChainedScheduler([rise, falls])


def _patience(settings: Settings) -> list[Callback]:
    if settings.patience is None:
        return []
    return [EarlyStopping(patience=settings.patience)]


def _averaging(settings: Settings) -> list[Callback]:
    if settings.average is None:
        return []
    return [WeightAveraging(settings.average)]


def figures_of_mean(run: Prepared) -> dict[str, Any] | None:
    """What the mean of the weights reaches on the validation data; the model has it then. None: no mean is kept."""
    means = [callback.average for callback in run.trainer.callbacks if isinstance(callback, WeightAveraging)]
    if not means or means[0] is None:
        return None
    _to_float32(run)
    run.model.load_state_dict(means[0].module.state_dict())
    return _judged(run)


def _judged(run: Prepared) -> dict[str, Any]:
    """The figures on the validation data. What is drawn for that (a flow's noise, say) is the same each time."""
    state = get_rng_state()
    manual_seed(run.task.settings.seed)
    figures: dict[str, Any] = run.trainer.evaluate(run.validation)
    set_rng_state(state)
    return figures


def _to_float32(run: Prepared) -> None:
    """From now on the network computes in float32."""
    if run.trainer.halves is not None:
        run.trainer.halves.leave()
        run.trainer.halves = None


def _keep_better_mean(run: Prepared, path: Path) -> dict[str, Any] | None:
    """Make the mean of the weights the best ones if its validation loss is below that of the best epoch's weights.

    Both are looked at again, with the same draws: the least of many noisy losses is below what its weights deserve.
    The answer are the mean's figures; None if it is not better, or not kept.
    """
    figures = figures_of_mean(run)
    if figures is None:
        return None
    mean = {name: value.clone() for name, value in run.model.state_dict().items()}
    load_weights(run.model, path / "best.safetensors")
    if not figures["loss"] < _judged(run)["loss"]:
        return None
    run.model.load_state_dict(mean)
    save_weights(run.model, path / "best.safetensors")
    return figures


def _fit(run: Prepared, checkpoints: Checkpoints | None) -> tuple[str, str]:
    """Train; how it ended, and why."""
    epochs = int(run.task.settings.epochs or 1)
    with hold_interrupts():  # while the checkpoint is written too
        try:
            run.trainer.fit(run.train, run.validation, epochs=epochs)
        except LeftAtOnce:
            raise  # in the middle of a step, perhaps: what is there now is not to be saved
        except KeyboardInterrupt:
            if checkpoints is not None:
                checkpoints.save(run.trainer)
            return "interrupted", f"after {run.trainer.epoch} of {epochs} epochs"
        except DivergedError as error:
            return "diverged", str(error)
    return ("stopped", run.trainer.stopped) if run.trainer.stopped else ("finished", "")


def _finish(
    run: Prepared, path: Path, status: str, reason: str, best: int, recorder: Recorder, doctor: Doctor | None
) -> Outcome:  # fmt: skip
    """Test the weights of the best epoch (0: there is none) or their better mean, and write what is left to write."""
    history = run.trainer.history
    validation: dict[str, Any] = {}
    test: dict[str, Any] = {}
    sample, details = "", {}
    mean: dict[str, Any] | None = None
    if best:
        row = next(row for row in history if row["epoch"] == best)
        if status != "interrupted":  # an interrupted run may go on, and its best epoch's weights must still be there
            mean = _keep_better_mean(run, path)
        _to_float32(run)  # the network is tested as `open_run` gives it
        load_weights(run.model, path / "best.safetensors")
        test_batches = DataLoader(run.parts.test, EVALUATION_BATCH)
        of_the_epoch = {k.removeprefix("validation_"): v for k, v in row.items() if k.startswith("validation_")}
        validation = of_the_epoch if mean is None else mean
        test = _plain(run.trainer.evaluate(test_batches))
        details = run.task.report(run.model, batches_for(run.model, test_batches))
        if (path / "samples").is_dir():
            grids = {f"Epoch {int(file.stem[-4:])}": file.read_bytes() for file in sorted((path / "samples").iterdir())}
            details["pictures"] = {**grids, **details["pictures"]}
        sample = run.task.sample(run.model.cpu())
    outcome = Outcome(status, reason, best, _plain(validation), test, sample, mean is not None)
    config = _read_json(path / "config.json")
    write_json(path / "summary.json", {**outcome._asdict(), "epochs": len(history)})
    numbers = {"best epoch": best, **{f"test {k.replace('_', ' ')}": v for k, v in test.items()}}
    report = Report(
        f"{config['settings']['model']} on {config['settings']['data']}", history, numbers if best else {}, config,
        series=recorder.series, findings=doctor.findings if doctor else (), flow=_flow(run.trainer), **details,
    )  # fmt: skip
    marked = {path for finding in report.findings for path in finding.paths[:MOST_PATHS]}
    graph = explain_sample(run.task, run.model.cpu(), run.parts.validation).svg(marked=marked)
    write_report(report._replace(texts={"A sample": sample} if sample else {}, graph=graph), path / "report.html")
    return outcome


def _flow(trainer: Trainer) -> Any:
    """What the report shows of the gradient flow, if it was looked at."""
    flow = next((c for c in trainer.callbacks if isinstance(c, GradientFlow)), None)
    if flow is None or not flow.looks:
        return None
    try:
        return flow.draw(), flow.rows()
    except ImportError as error:  # the rows say it too
        return str(error), flow.rows()


def _write_beginning(path: Path, task: Task) -> None:
    import chainrule

    if (path / "config.json").exists():  # since we looked, another run has been here
        raise FileExistsError(f"{path} holds a run already; choose another folder.")
    versions = {"chainrule": chainrule.__version__, "numpy": np.__version__, "python": platform.python_version()}
    write_json(path / "facts.json", task.facts)
    write_json(path / "config.json", {"task": task.kind, "settings": task.settings.to_json(), "versions": versions})


def _need_run(path: Path) -> Path:
    if not (path / "config.json").is_file():
        raise DataError(f"{path} holds no run: there is no config.json in it.")
    return path


def _plain(figures: dict[str, Any]) -> dict[str, Any]:
    """Single numbers only."""
    return {name: float(value) for name, value in figures.items() if np.ndim(value) == 0}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} holds no object.")
    return found


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, atomically."""
    text = json.dumps(content, indent=2, default=str) + "\n"
    write_text(path, text)
