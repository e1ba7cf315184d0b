"""The trainer: one call that trains, validates, logs, saves, and goes on where it was interrupted.

It is a convenience: every part of it (steps, evaluation, metrics, callbacks, checkpoints) is public and can be used in
a loop of one's own.
"""

from __future__ import annotations

import functools
import math
import time
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from chainrule.autodiff.anomaly import AnomalyError, detect_anomaly
from chainrule.autodiff.mode import no_grad
from chainrule.compiler.collector import collector_passes_by
from chainrule.errors import DataError, DivergedError
from chainrule.functions.autocasting import say_slow
from chainrule.functions.pieces import cat
from chainrule.nn.evaluation import evaluation_mode
from chainrule.nn.module import Module
from chainrule.nn.uninitialized import is_uninitialized
from chainrule.nn.utils import clip_grad_norm_, clip_grad_value_, get_total_norm
from chainrule.optim.optimizer import Optimizer, memory_of
from chainrule.tensor import Tensor
from chainrule.train.batches import batches_for
from chainrule.train.bfloat16 import BFloat16
from chainrule.train.callbacks.callback import Callback
from chainrule.train.checks import check_optimizer, why_nothing
from chainrule.train.closure_step import check_closure_settings, closure_step
from chainrule.train.divergence import Retry, are_finite, buffers_of, copies, has_diverged, put_back_unless, said
from chainrule.train.inside import ParameterSteps, as_numbers, layer_outputs
from chainrule.train.interruption import hold_interrupts
from chainrule.train.loss_sums import LossParts, LossSum
from chainrule.train.processes import processes_for
from chainrule.train.saved_state import load_state, state_of

#: What the steps below read counts when they are compiled, as in a user's code (`chainrule/compiler/observe.py`).
__observed__ = True


class Batch(NamedTuple):
    """A training batch after its step, or a batch of validation.

    Attributes:
        inputs, targets: what the loader gave.
        loss: the mean loss, before the step.
        output: what the model gave, detached.
        size: how many samples.
        gradient_norm: the norm of all gradients before clipping, where the trainer measures it and a step was taken;
            else NaN.
        inside: what was measured of layers and parameters by path and name, if a callback asked for it; else None.
    """

    inputs: Any
    targets: Any
    loss: float
    output: Any
    size: int
    gradient_norm: float = math.nan
    inside: dict[str, dict[str, float]] | None = None


class Trainer:
    """Trains a model: `Trainer(model, loss, optimizer).fit(train, validation, epochs=10)`.

    A loader is anything that gives pairs (inputs, targets) each time it is walked through, such as a `DataLoader`. The
    loss takes (output, targets) and gives the mean over the batch.

    Args:
        model: gives outputs for inputs.
        loss: `loss(output, targets)`, a module or function.
        optimizer: holds the model's parameters. With one that computes the loss itself (`LBFGS`, `Newton`,
            `PerturbedGradientDescent`) training steps are not compiled.
        metrics: names or objects of `chainrule.metrics`, measured exactly over whole epochs.
        schedule: a learning-rate schedule; stepped after every batch, or as `schedule_every` says.
        schedule_every: "batch" or "epoch". `ReduceLROnPlateau` is given the validation loss after each epoch.
        callbacks: called at the moments of :class:`Callback`, in order; those that save come last.
        transform: applied to the inputs of each training batch (augmentation), within the step.
        clip_norm: the gradients' norm is at most so much.
        clip_value: each entry of the gradients is at most so large.
        accumulate: take a step after so many batches, with the mean of their gradients.
        precision: "float32", or "bfloat16": parameters, activations and gradients are stored in bfloat16 and updates
            summed in float32, see :class:`chainrule.train.bfloat16.BFloat16`. It saves memory; and time too where
            steps are compiled and the processor multiplies bfloat16 (AVX512-BF16). Not compiled, it takes longer.
        gradient_norm: measure the gradients' norm in each step: callbacks find it in their `Batch`, and a gradient that
            is NaN or infinite raises before it reaches the weights. False saves one look at each gradient.
        compile: make programs of the training and the evaluation step.
        backend: what runs these programs: "native" or "xla" (the extra `xla`), or "numpy".
        device: where the model is taken, a loss that is a module, and every batch, as by `.to`; None: batches go where
            the model is. `state_dict` and checkpoints know nothing of devices.
        devices: on "xla", over how many devices each batch is split; parameters are whole on each.
        processes: train together with the other processes of the group (`distributed.init_process_group`): each gets
            its part of the data, and gradients become means over all (`chainrule.train.processes`).
        debug: where a step makes a NaN or an infinity, `fit` raises a DivergedError that names the first operation
            that made one, with its module, its line and its inputs; parameters are then as they were before the step.
            Steps take about twice the time. Of an optimiser that computes the loss itself, only the forward and
            backward passes that it asks for are watched.

    Attributes:
        loader: the training data of `fit`.
        epochs: how many epochs `fit` was asked for.
        epoch: epochs finished.
        step: batches seen within the epoch that is running.
        steps: batches seen in all.
        history: a dictionary of figures for each finished epoch: the losses, with the parts of a `WeightedSum`, and the
            metrics, over training and validation data; the rate; times.
        stopped: why training ended early; "" if it did not.

    Raises ValueError for settings out of range and an optimiser that has nothing of the model, DataError from `fit` and
    `evaluate` where there are no batches, DivergedError from `fit` if the loss becomes NaN or infinite.

    >>> import chainrule
    >>> from chainrule.data import DataLoader, TensorDataset
    >>> x = chainrule.randn(64, 2); data = TensorDataset(x, (x.sum(1) > 0).long())
    >>> model = chainrule.nn.Linear(2, 2)
    >>> optimizer = chainrule.optim.Adam(model.parameters(), lr=0.1)
    >>> trainer = Trainer(model, chainrule.nn.CrossEntropyLoss(), optimizer, metrics=["accuracy"])
    >>> history = trainer.fit(DataLoader(data, 16, shuffle=True), DataLoader(data, 64), epochs=5)
    >>> history[-1]["validation_accuracy"] > 0.9
    True
    """

    def __init__(
        self,
        model: Module,
        loss: Callable[[Any, Any], Tensor],
        optimizer: Optimizer,
        *,
        metrics: Sequence[Any] = (),
        schedule: Any = None,
        schedule_every: str = "batch",
        callbacks: Sequence[Callback] = (),
        transform: Callable[[Any], Any] | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        accumulate: int = 1,
        precision: str = "float32",
        gradient_norm: bool = True,
        compile: bool = True,
        backend: str = "native",
        device: Any = None,
        devices: int = 1,
        processes: bool = False,
        debug: bool = False,
    ) -> None:
        check_optimizer(model, loss, optimizer)
        if schedule_every not in ("batch", "epoch"):
            raise ValueError(f'schedule_every is "batch" or "epoch", got {schedule_every!r}.')
        if accumulate < 1:
            raise ValueError(f"gradients are accumulated over at least 1 batch, got {accumulate}.")
        if not compile and (devices != 1 or backend != "native"):
            raise ValueError(f"backend={backend!r} with {devices} devices needs compiled steps, got compile=False.")
        if devices != 1 and backend != "xla":
            raise ValueError(f'{devices} devices need compiled steps and backend="xla", got {backend!r}.')
        if device is not None:
            model.to(device)
            loss = loss.to(device) if isinstance(loss, Module) else loss
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.metrics = [_metric(m) for m in metrics]
        self.schedule, self.schedule_every = schedule, schedule_every
        self.callbacks = list(callbacks)
        self.transform = transform
        self.clip_norm, self.clip_value, self.accumulate = clip_norm, clip_value, accumulate
        self.processes = processes_for(self, devices) if processes else None
        self.gradient_norm = gradient_norm or processes  # a NaN in one process is seen by all
        if precision not in ("float32", "bfloat16"):
            raise ValueError(f'precision is "float32" or "bfloat16", got {precision!r}.')
        self.halves = BFloat16(model, optimizer) if precision == "bfloat16" else None
        if self.halves is not None and not compile:
            say_slow('precision="bfloat16"')
        self.debug = debug
        self._training: Any = self._training_step
        self._evaluation: Any = self._evaluation_step
        if optimizer.closure:
            check_closure_settings(self)
            self._training = functools.partial(closure_step, self)
        if compile:
            from chainrule.compiler.function import compile as compiled

            chosen: Any = {"backend": backend, "options": {"devices": devices} if devices != 1 else None}
            self._evaluation = compiled(self._evaluation, **chosen)
            if not optimizer.closure:
                self._training = compiled(self._training, debug=debug, **chosen)
        self.epochs = self.epoch = self.step = self.steps = 0
        self.history: list[dict[str, Any]] = []
        self.stopped = ""
        self._sums = LossSum()
        self._parts = LossParts(loss)
        self.loader: Any = None
        self._position: Any = None
        self._skip = 0
        self._validating = False
        self._retry = Retry()
        self._has_sizes = False

    # ------------------------------------------------------------------------------------- training

    def fit(
        self, train: Iterable[Any], validation: Iterable[Any] | None = None, *, epochs: int = 1
    ) -> list[dict[str, Any]]:
        """Train until `epochs` epochs are done in all, and answer with the history.

        Ctrl-C and SIGTERM stop after the current batch, when nothing is half done, by KeyboardInterrupt. Asked a second
        time it still waits for that; the third time leaves at once (`LeftAtOnce`, see `hold_interrupts`). Callbacks'
        `on_fit_end` is called in any case.
        """
        self.stopped, self._validating = "", False
        self.loader, self.epochs = train, epochs
        if self._position is not None:
            self._loader_call("load_state_dict", self._position)
            self._position = None
        self._call("on_fit_start")
        try:
            with hold_interrupts() as stop_if_asked, collector_passes_by() as after_step:
                if self.processes is not None:
                    self.processes.begin(self)
                    stop_if_asked = self.processes.stopping(self, stop_if_asked)
                while self.epoch < epochs and not self.stopped:
                    stop_if_asked()
                    self._run_epoch(train, validation, after_step, stop_if_asked)
        finally:
            self._call("on_fit_end")
        return self.history

    def _run_epoch(
        self, train: Any, validation: Any, after_step: Callable[[], None], stop_if_asked: Callable[[], None]
    ) -> None:
        start = time.perf_counter()
        before = self._sums.count
        if self.step == 0:
            self._sums = LossSum()
            self._parts.reset()
            before = 0
            for metric in self.metrics:
                metric.reset()
        self.model.train()
        if self.processes is not None:
            self.processes.begin_epoch()
        self._call("on_epoch_start")
        for inputs, targets, last in self._with_ends(train):
            batch = self._train_batch(inputs, targets, last)
            after_step()
            self._call("on_batch_end", batch)
            stop_if_asked()
            if self.stopped:
                break
        seconds = time.perf_counter() - start
        if self.processes is not None:
            self.processes.sum_up(self)
        if not self.step and not self._sums.count:
            raise DataError(f"epoch {self.epoch + 1} has no batches: {why_nothing(train)}")
        row: dict[str, Any] = {"epoch": self.epoch + 1, "learning_rate": float(self.optimizer.param_groups[0]["lr"])}
        row |= self._figures("train")
        row["samples_per_second"] = (self._sums.count - before) / max(seconds, 1e-9)
        if validation is not None:
            self._validating = True
            row |= {f"validation_{name}": value for name, value in self.evaluate(validation).items()}
            self._validating = False
        row["seconds"] = time.perf_counter() - start
        row = row if self.processes is None else self.processes.first(row)
        self.epoch, self.step = self.epoch + 1, 0
        self._step_schedule_after_epoch(row)
        self.history.append(row)
        self._call("on_epoch_end", row)

    def _with_ends(self, loader: Any) -> Iterator[tuple[Any, Any, bool]]:
        """The batches that are left of the epoch, each with whether a step of the optimiser follows it."""
        total = len(loader) if hasattr(loader, "__len__") else None
        batches = iter(loader)
        if self._skip:  # resumed, and the loader cannot go to a place by itself
            for _ in range(self._skip):
                next(batches, None)
            self._skip = 0
        count = self.step
        for inputs, targets in batches_for(self.model, batches):
            count += 1
            yield inputs, targets, count % self.accumulate == 0 or count == total
        if count % self.accumulate and total is None:  # the end came unforeseen: a step with what there is
            norm = self._take_step()
            if has_diverged(None, norm):
                raise DivergedError(
                    f"the gradients' norm is {norm} in the last step of epoch {self.epoch + 1}: a batch made "
                    "it so; `Trainer(…, debug=True)` names the operation."
                )

    def _train_batch(self, inputs: Any, targets: Any, last: bool) -> Batch:
        inside = last and any([callback.looks_inside(self) for callback in self.callbacks])
        if not self._has_sizes:
            self._give_sizes(inputs)
        self._retry.remember(self)
        loss, output, norm, measured = self._step(inputs, targets, last, inside)
        number = loss.item()
        measured_norm = norm is not None
        norm = math.nan if norm is None else norm.item()
        batch = Batch(inputs, targets, number, output, len(targets), norm, as_numbers(measured))
        if not math.isfinite(number) or (measured_norm and not math.isfinite(norm)):
            self._retry.take_back()
            self._call("on_divergence", batch)
            raise self._retry.error(self, batch)
        if self.processes is None or self.processes.counts(self):
            self._sums.add(number, batch.size)
            self._parts.add(batch.size)
            for metric in self.metrics:
                metric.update(output, targets)
        self.step += 1
        self.steps += 1
        if last and self.schedule is not None and self.schedule_every == "batch" and not _is_plateau(self.schedule):
            self.schedule.step()
        return batch

    def _give_sizes(self, inputs: Any) -> None:
        """Lazy layers with buffers get their sizes before the first step, so what that writes can be taken back."""
        if any(is_uninitialized(buffer) for buffer in self.model.buffers()):
            with evaluation_mode(self.model), no_grad():
                self._forward(inputs if self.transform is None else self.transform(inputs))
        self._has_sizes = True

    def _step(self, inputs: Any, targets: Any, last: bool, inside: bool) -> Any:
        """The training step; with `debug` an error names the first operation that made a NaN."""
        try:
            with detect_anomaly(self.debug and self._is_eager()):
                return self._training(inputs, targets, last, inside)
        except AnomalyError as error:
            self._retry.take_back()
            raise DivergedError(f"batch {self.step + 1} of epoch {self.epoch + 1}: {said(error)}") from error

    def _is_eager(self) -> bool:
        """Whether steps are not compiled."""
        return isinstance(self._training, types.MethodType | functools.partial)

    def _training_step(self, inputs: Any, targets: Any, last: bool, inside: bool) -> Any:
        """Forward and backward; with the last batch of several, clip and take the step.

        The answer is the loss, the output, the gradients' norm, and with `inside` what layers and parameters did.
        """
        buffers = [] if self._is_eager() else buffers_of(self)
        before, numbers = copies(buffers), None
        with layer_outputs(self.model, inside) as layers:
            output = self._forward(inputs if self.transform is None else self.transform(inputs))
        loss = self.loss(output, targets)
        if inside:
            layers.note_functions(loss)
        (loss if self.accumulate == 1 else loss / self.accumulate).backward()
        if inside:
            parameters = ParameterSteps(self.model, None if self.halves is None else self.halves.masters)
        norm = self._take_step(loss) if last else None
        if inside:
            numbers = layers.numbers() | parameters.numbers()
        if not self._is_eager():
            put_back_unless(are_finite(loss, norm), buffers, before)
        return loss, output, norm, numbers

    def _evaluation_step(self, inputs: Any, targets: Any) -> tuple[Tensor, Any]:
        output = self._forward(inputs)
        return self.loss(output, targets), output

    def _forward(self, inputs: Any) -> Any:
        """The model's outputs, in float32 whatever the precision within."""
        if self.halves is None:
            return self.model(inputs)
        return self.halves.outputs(self.model(self.halves.inputs(inputs)))

    def _take_step(self, loss: Tensor | None = None) -> Tensor | None:
        """Clip, step, and forget the gradients; the answer is their norm before, if it was measured.

        With a loss or a norm that is not finite the weights, and what the optimiser remembers, stay what they are.
        Without a loss the step is eager.
        """
        norm = None
        if self.halves is not None:
            self.halves.gather()
        parameters = [p for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
        if self.processes is not None:
            self.processes.average(parameters)
        if self.clip_norm is not None:
            norm = clip_grad_norm_(parameters, self.clip_norm)
        elif self.gradient_norm:
            norm = get_total_norm([p.grad for p in parameters if p.grad is not None])
        if self.clip_value is not None:
            clip_grad_value_(parameters, self.clip_value)
        if loss is not None and not self._is_eager():
            kept = [*parameters, *memory_of(self.optimizer)]
            before = copies(kept)
            self.optimizer.step()
            put_back_unless(are_finite(loss, norm), kept, before)
        elif not has_diverged(loss, norm):
            self.optimizer.step()
        self.optimizer.zero_grad()
        if self.halves is not None:
            self.halves.spread()
        return norm

    def _step_schedule_after_epoch(self, row: dict[str, Any]) -> None:
        if self.schedule is None:
            return
        if _is_plateau(self.schedule):
            self.schedule.step(row.get("validation_loss", row["train_loss"]))
        elif self.schedule_every == "epoch":
            self.schedule.step()

    def stop(self, reason: str) -> None:
        """End training after the current moment; callbacks call it."""
        self.stopped = reason

    # ------------------------------------------------------------------------------------- measuring

    def evaluate(self, loader: Iterable[Any]) -> dict[str, Any]:
        """Loss and metrics over a whole loader, in evaluation mode: {"loss": …, "accuracy": …}."""
        states = [metric.state() for metric in self.metrics]
        for metric in self.metrics:
            metric.reset()
        sums, parts = LossSum(), LossParts(self.loss)
        with evaluation_mode(self.model), no_grad():
            for inputs, targets in batches_for(self.model, loader):
                loss, output = self._evaluation(inputs, targets)
                batch = Batch(inputs, targets, loss.item(), output, len(targets))
                sums.add(batch.loss, batch.size)
                parts.add(batch.size)
                for metric in self.metrics:
                    metric.update(output, targets)
                if self._validating:
                    self._call("on_validation_batch", batch)
        if not sums.count:
            raise DataError(f"evaluate: there is nothing to measure on: {why_nothing(loader)}")
        answer = {"loss": sums.mean(), **parts.means(), **{metric.name: metric.compute() for metric in self.metrics}}
        for metric, state in zip(self.metrics, states, strict=True):
            metric.load_state(state)
        return answer

    def predict(self, loader: Iterable[Any]) -> Tensor:
        """The model's outputs for all inputs, in order, in evaluation mode.

        The loader gives inputs, or tuples that begin with them.
        """
        outputs = []
        with evaluation_mode(self.model), no_grad():
            for batch in batches_for(self.model, loader):
                outputs.append(self._forward(batch[0] if isinstance(batch, tuple | list) else batch))
        return cat(outputs)

    def _figures(self, split: str) -> dict[str, Any]:
        figures = {"loss": self._sums.mean(), **self._parts.means(), **{m.name: m.compute() for m in self.metrics}}
        return {f"{split}_{name}": value for name, value in figures.items()}

    # ------------------------------------------------------------------------------------- saving, resuming

    def state_dict(self) -> dict[str, Any]:
        """All that decides how training goes on: a run resumed from it continues bit for bit.

        The loader's position is in it if the loader has a `state_dict`, as `DataLoader` has.
        """
        return state_of(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave, with the same model, optimiser and metrics as then.

        Callbacks are found by their class; one that was not there begins anew, one that is no longer there is left out.
        Everything is looked at first, and if something fails after all, the trainer is as it was before.
        Raises CheckpointError if the state does not fit, or is none.
        """
        load_state(self, state)

    def resume(self, file: str | Path) -> None:
        """Go on from a checkpoint file; see :class:`chainrule.train.Checkpoints`."""
        from chainrule.serialization import load

        self.load_state_dict(load(file))

    def _loader_call(self, name: str, *arguments: Any) -> Any:
        method = getattr(self.loader, name, None)
        return None if method is None else method(*arguments)

    def _call(self, moment: str, *arguments: Any) -> None:
        for callback in sorted(self.callbacks, key=lambda c: c.last):
            getattr(callback, moment)(self, *arguments)


def _metric(metric: Any) -> Any:
    if not isinstance(metric, str):
        return metric
    import chainrule.metrics

    return chainrule.metrics.get(metric)


def _is_plateau(schedule: Any) -> bool:
    from chainrule.optim.lr_scheduler import ReduceLROnPlateau

    return isinstance(schedule, ReduceLROnPlateau)
