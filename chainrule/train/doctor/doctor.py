"""The doctor: watches training, and says what is wrong."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from chainrule.nn.module import Module
from chainrule.state import current_state
from chainrule.tensor import Tensor
from chainrule.train.callbacks.callback import Callback
from chainrule.train.doctor.acting import Acting
from chainrule.train.doctor.case import Case
from chainrule.train.doctor.conditions import RULES
from chainrule.train.doctor.conditions.generalisation import ValidationEasier
from chainrule.train.doctor.conditions.generator import Adversaries, ModeCollapse
from chainrule.train.doctor.conditions.loop import ForgottenEval
from chainrule.train.doctor.finding import Finding
from chainrule.train.doctor.look import Look, look_at, loss_in_evaluation, sketch
from chainrule.train.doctor.report import print_finding, write_findings
from chainrule.train.doctor.rule import Rule
from chainrule.train.doctor.seen import Array, Seen
from chainrule.train.doctor.untouched import tensor_like

if TYPE_CHECKING:
    from rich.console import Console

    from chainrule.train.trainer import Batch, Trainer

#: So many batches at the beginning are all looked at.
FIRST = 3
#: So many training samples are kept to compare the losses of both splits fairly.
KEPT = 512


class Doctor(Callback):
    """Watches training, and says once of each thing that is wrong what shows it, what causes it, and what to try.

    As a callback of a `Trainer` it needs nothing else: `Trainer(…, callbacks=[Doctor()])`. In a loop of your own use
    `Doctor.watch`. When all is well it is silent. All conditions are listed in docs/doctor.md.

    The first batches and then every so many are looked at closely: a copy of the model is run on the batch once more,
    forward and back. Nothing of training changes by that, bit for bit: weights, buffers, gradients, modes and random
    numbers are what they would be without. (Two things are out of reach: pre-hooks and augmentations that count or
    draw by means of their own; the doctor knows generators that a function refers to by name.)

    Args:
        every: look at every so many batches. A look costs about two steps without compiler: for LeNet-5 on the digits,
            in batches of 32, 8 ms, or six compiled steps.
        console: where findings are printed when found; by default Rich's.
        quiet: print nothing.
        path: a file (such as "run/doctor.json") that is to hold the findings; `diagnose("run")` reads it.

    Attributes:
        findings: all so far.

    Raises ValueError for `every` below 1.

    >>> import chainrule
    >>> from chainrule import nn
    >>> from chainrule.train import Trainer
    >>> model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> for parameter in model.parameters():
    ...     _ = nn.init.constant_(parameter, 0.5)
    >>> doctor = Doctor(quiet=True)
    >>> optimizer = chainrule.optim.SGD(model.parameters(), lr=0.1)
    >>> trainer = Trainer(model, nn.CrossEntropyLoss(), optimizer, callbacks=[doctor])
    >>> _ = trainer.fit([(chainrule.randn(8, 2), chainrule.tensor([0, 1] * 4))])
    >>> [(finding.condition, finding.paths) for finding in doctor.findings]
    [('all-equal initial weights', ('0.weight', '2.weight'))]
    """

    def __init__(
        self, every: int = 100, *, console: Console | None = None, quiet: bool = False, path: str | Path | None = None
    ) -> None:
        if every < 1:
            raise ValueError(f"the doctor looks at every so many batches, at least every 1, got {every}.")
        self.every, self.quiet, self.path = every, quiet, path
        self.findings: list[Finding] = []
        self._console = console
        self._case = Case()
        self._rules: list[Rule] = [rule() for rule in RULES]
        self._transform: Any = None
        self._halves = False
        self._first_weights: list[tuple[Tensor, Array]] = []
        self._kept: list[tuple[Any, Any]] = []
        self._collecting = True
        self._blind = False
        self._held: tuple[dict[str, Array], list[Array]] = {}, []
        self._sums = {"train_loss": [0.0, 0], "validation_loss": [0.0, 0]}

    # ------------------------------------------------------------------------------------- a loop of one's own

    @classmethod
    def watch(cls, model: Module, optimizer: Any = None, loss_function: Any = None, **settings: Any) -> Self:
        """A doctor for a loop of your own. Call it as in the example; `settings` as of the class.

        Without `loss_function(output, targets)` it cannot run a batch again, so what needs gradients is not found.

        >>> import chainrule
        >>> model, loss_function = chainrule.nn.Linear(2, 1), chainrule.nn.MSELoss()
        >>> optimizer = chainrule.optim.SGD(model.parameters(), lr=0.1)
        >>> doctor = Doctor.watch(model, optimizer, loss_function, quiet=True)
        >>> x = chainrule.randn(16, 2, generator=chainrule.Generator(1)); y = x.sum(1, keepdim=True)
        >>> for epoch in range(4):
        ...     loss = loss_function(model(x), y)
        ...     loss.backward()
        ...     doctor.observe(loss, x, y)  # after backward(), before step()
        ...     optimizer.step()            # and zero_grad() is forgotten
        ...     doctor.end_epoch()
        >>> [finding.condition for finding in doctor.findings]
        ['forgotten zero_grad()']
        """
        doctor = cls(**settings)
        doctor._begin(model, loss_function, optimizer, fresh=True)
        doctor._case.epoch, doctor._case.after_step = 1, False
        model.register_forward_pre_hook(doctor._watch_mode)
        return doctor

    def observe(self, loss: Tensor | float, inputs: Any, targets: Any = None) -> None:
        """A batch was learned from: call it between `backward()` and `step()`, outside of compiled functions.

        inputs, targets: what `model(inputs)` and `loss_function(output, targets)` take.
        """
        number = float(loss.item() if isinstance(loss, Tensor) else loss)
        self._add("train_loss", number, inputs)
        if math.isfinite(number):
            self._see(number, inputs, targets)
        else:
            self._diverged(inputs, targets)

    def observe_validation(self, loss: Tensor | float, inputs: Any, targets: Any = None) -> None:
        """A batch of validation data was evaluated."""
        self._add("validation_loss", float(loss.item() if isinstance(loss, Tensor) else loss), inputs)
        self._check_mode()
        self._collect(self._case.validation, inputs, targets)

    def observe_generator(self, samples: Tensor, real: Tensor) -> None:
        """Generated samples beside real ones, (N, …) each; see :func:`mode_collapse`."""
        for rule in self._open(ModeCollapse):
            self._note(rule.compare(self._case, samples.detach().read(), real.detach().read()))

    def observe_agent(self, acting: Acting) -> None:
        """How an agent that learns to act stands, looked at now and then; `Acting` says what can be known.

        >>> from chainrule.train.doctor import Acting
        >>> doctor = Doctor(quiet=True)
        >>> doctor.observe_agent(Acting(step=1000, terminated=3, cut_off=2, masked=5))
        >>> [finding.condition for finding in doctor.findings]
        ['time limits taken for ends']
        """
        self._case.acted = acting.step
        self._ask("at_acting", self._case, acting)
        self.write()

    def observe_adversaries(self, loss: str, discriminator_loss: float, generator_gradient: float) -> None:
        """A round of adversarial training: the discriminator's loss, and how long the generator's gradient was.

        loss: its kind, as `nn.functional.discriminator_loss` takes it.
        """
        for rule in self._open(Adversaries):
            self._note(rule.observe(self._case, loss, discriminator_loss, generator_gradient))

    def end_epoch(self, **figures: float) -> None:
        """An epoch is over. `figures` such as train_accuracy=0.9 are added to the losses that were observed."""
        row: dict[str, Any] = {"epoch": self._case.epoch}
        row |= {name: total / count for name, (total, count) in self._sums.items() if count}
        self._sums = {name: [0.0, 0] for name in self._sums}
        self._case.rows = [*self._case.rows, {**row, **figures}]
        self._end_epoch()
        self._case.epoch += 1

    def finish(self) -> list[Finding]:
        """Training is over; the answer are all findings."""
        self._case.epoch = len(self._case.rows)
        self._ask("at_end", self._case)
        return self.findings

    def _add(self, name: str, loss: float, inputs: Any) -> None:
        size = len(inputs) if hasattr(inputs, "__len__") else 1
        self._sums[name][0] += loss * size
        self._sums[name][1] += size

    def _watch_mode(self, model: Module, _: Any) -> None:
        if not current_state().gradients:
            self._check_mode()

    def _check_mode(self) -> None:
        for rule in self._open(ForgottenEval):
            modules = self._case.model.named_modules()
            self._note(rule.in_evaluation(self._case, [p for p, m in modules if m.training and m.differs_in_training]))

    # ------------------------------------------------------------------------------------- a trainer's moments

    def on_fit_start(self, trainer: Trainer) -> None:
        """Look at the first weights."""
        self._transform = trainer.transform
        self._halves = trainer.halves is not None
        self._case.masters = {} if trainer.halves is None else trainer.halves.masters
        self._case.clipped = trainer.clip_norm is not None or trainer.clip_value is not None
        self._case.rows = trainer.history
        self._case.epoch = trainer.epoch + 1
        self._begin(trainer.model, trainer.loss, trainer.optimizer, fresh=trainer.steps == 0)

    def on_epoch_start(self, trainer: Trainer) -> None:
        """Remember which."""
        self._case.epoch = trainer.epoch + 1

    def on_batch_end(self, trainer: Trainer, batch: Batch) -> None:
        """Look at the loss, and now and then at everything."""
        self._see(batch.loss, batch.inputs, batch.targets)

    def on_validation_batch(self, trainer: Trainer, batch: Batch) -> None:
        """Gather what validation data look like."""
        self._collect(self._case.validation, batch.inputs, batch.targets)

    def on_epoch_end(self, trainer: Trainer, row: dict[str, Any]) -> None:
        """Look at the epoch's figures."""
        self._case.rows = trainer.history
        self._end_epoch()

    def on_divergence(self, trainer: Trainer, batch: Batch) -> None:
        """Find out why: whether the loss was no number, or only what came back from it."""
        if math.isfinite(batch.loss):
            self._case.add_loss(batch.loss)
            self._case.norm = batch.gradient_norm
            look = self._look(batch.inputs, batch.targets)
            if look is not None:
                self._ask("at_look", self._case, look)
        self._diverged(batch.inputs, batch.targets)

    def on_fit_end(self, trainer: Trainer) -> None:
        """Look at the whole."""
        self._case.epoch = trainer.epoch
        self._ask("at_end", self._case)

    def state_dict(self) -> dict[str, Any]:
        """The findings, and what the rules remember; all of it can be written as JSON."""
        return {
            "findings": [finding.to_json() for finding in self.findings],
            "case": self._case.state_dict(),
            "rules": {rule.condition: rule.memory for rule in self._rules},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there; what was found is not said again."""
        self.findings = [Finding.from_json(finding) for finding in state["findings"]]
        self._case.load_state_dict(state["case"])
        for rule in self._rules:
            rule.memory = dict(state["rules"].get(rule.condition, {}))

    # ------------------------------------------------------------------------------------- what happens in them

    def _begin(self, model: Module, loss_function: Any, optimizer: Any, *, fresh: bool) -> None:
        case = self._case
        case.model, case.loss_function, case.optimizer, case.fresh = model, loss_function, optimizer, fresh
        self._collecting, self._kept = True, []
        case.train = Seen()
        case.validation = Seen()
        self._first_weights = [(p, sketch(p)) for p in case.learning()]
        self.write()
        if fresh:
            self._ask("at_start", case)

    def _see(self, loss: float, inputs: Any, targets: Any) -> None:
        case = self._case
        case.add_loss(loss)
        self._collect(case.train, inputs, targets)
        self._ask("at_batch", case)
        if case.step <= FIRST or case.step % self.every == 0:
            look = self._look(inputs, targets)
            if look is not None:
                self._ask("at_look", case, look)
        if case.step < FIRST or (case.step + 1) % self.every == 0:  # the next batch is looked at
            self._held = self._gradients_held(), [sketch(p) for p, _ in self._first_weights]

    def _look(self, inputs: Any, targets: Any) -> Look | None:
        """Look closely; None if that fails: whatever a model may do to be impossible to copy, training goes on."""
        case = self._case
        if self._blind:
            return None
        try:
            look = look_at(case.model, case.loss_function, inputs, targets, self._transform, in_float32=self._halves)
        except Exception as error:
            self._blind = True
            warnings.warn(
                f"The doctor cannot run a copy of {type(case.model).__name__} on a batch ({type(error).__name__}: "
                f"{error}), so what shows in activations and gradients is not found.",
                stacklevel=2,
            )
            return None
        held_before, weights = self._held
        stepped = any((sketch(p) != w).any() for (p, _), w in zip(self._first_weights, weights, strict=False))
        if stepped:
            look.held, look.held_before = self._gradients_held(), held_before
        return look

    def _gradients_held(self) -> dict[str, Array]:
        named = self._case.model.named_parameters()
        return {name: sketch(p.grad) for name, p in named if p.kept_grad is not None}

    def _collect(self, seen: Seen, inputs: Any, targets: Any) -> None:
        """In the first epoch, take a batch into the statistics."""
        if not self._collecting:
            return
        if seen is self._case.validation and seen.moments.centre is None:  # to be compared, both have one centre
            seen = self._case.validation = Seen(like=self._case.train)
        seen.add(inputs, targets)
        if seen is self._case.train and self._case.train.count <= KEPT and isinstance(targets, Tensor):
            self._kept.append((tensor_like(inputs), tensor_like(targets)))

    def _end_epoch(self) -> None:
        case = self._case
        self._collecting = False
        case.moved = self._moved()
        case.in_evaluation = [*case.in_evaluation, *[math.nan] * len(case.rows)][: len(case.rows) - 1]
        case.in_evaluation.append(self._loss_in_evaluation())
        self._ask("at_epoch_end", case)

    def _loss_in_evaluation(self) -> float:
        """The loss of the samples kept, if validation looks so much easier than training that it matters."""
        case, row = self._case, self._case.rows[-1]
        far_lower = ValidationEasier.below(row.get("validation_loss", math.inf), row.get("train_loss", -math.inf))
        if not far_lower or not self._kept or case.loss_function is None:
            return math.nan
        return loss_in_evaluation(case.model, case.loss_function, self._kept, in_float32=self._halves)

    def _moved(self) -> float:
        """How far the weights are from the first ones, relative to these."""
        squares = [(float(np.square(sketch(p) - w).sum()), float(np.square(w).sum())) for p, w in self._first_weights]
        return math.sqrt(sum(d for d, _ in squares) / max(sum(s for _, s in squares), 1e-30))

    def _diverged(self, inputs: Any, targets: Any) -> None:
        if self._case.train.bad is None:
            self._case.train.add(inputs, targets)
        self._ask("at_divergence", self._case)

    def _open(self, kind: type[Any]) -> Iterable[Any]:
        """The rule of a class, if it has not found its condition yet."""
        known = {finding.condition for finding in self.findings}
        return [rule for rule in self._rules if isinstance(rule, kind) and rule.condition not in known]

    def _ask(self, moment: str, *arguments: Any) -> None:
        """Ask the rules that have something to say at this moment, and have not found their condition yet."""
        known = {finding.condition for finding in self.findings}
        for rule in self._rules:
            if getattr(type(rule), moment) is not getattr(Rule, moment) and rule.condition not in known:
                self._note(getattr(rule, moment)(*arguments))

    def _note(self, finding: Finding | None) -> None:
        if finding is None:
            return
        self.findings.append(finding)
        if not self.quiet:
            print_finding(finding, self._console)
        self.write()

    def write(self) -> None:
        """The findings so far, to the doctor's file if it has one."""
        if self.path is not None:
            write_findings(self.findings, self.path)
