"""Averages of weights: of all that training has passed through (SWA), or with fading memory (EMA)."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from chainrule.autodiff.mode import no_grad
from chainrule.errors import EvaluationWarning
from chainrule.functions.creation import tensor
from chainrule.functions.logic import where
from chainrule.nn.module import Module
from chainrule.nn.normalisation.layers import _BatchNorm
from chainrule.optim.lr_scheduler.base import LRScheduler, check_optimizer, for_each_group
from chainrule.optim.lr_scheduler.robbins_monro import Tail
from chainrule.optim.optimizer import Optimizer
from chainrule.state import current_state
from chainrule.tensor import Tensor

#: (averaged, current, how many are in the average) → the new average.
Average = Callable[[Tensor, Tensor, Any], Tensor]
#: The same for lists of tensors, which are changed in place.
ManyAverages = Callable[[list[Tensor], list[Tensor], Any], None]


def get_swa_avg_fn() -> Average:
    """The plain mean: a ← a + (θ − a)/(n + 1).

    >>> import chainrule
    >>> get_swa_avg_fn()(chainrule.tensor(1.0), chainrule.tensor(4.0), 2)
    tensor(2.)
    """

    @no_grad()
    def swa_update(averaged_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return swa_update


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """The mean with fading memory: a ← δ·a + (1 − δ)·θ. Raises ValueError unless δ is in [0, 1].

    >>> import chainrule
    >>> get_ema_avg_fn(0.75)(chainrule.tensor(1.0), chainrule.tensor(5.0), 7)
    tensor(2.)
    """
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"decay is in [0, 1], got {decay}.")

    @no_grad()
    def ema_update(ema_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        return ema_param * decay + current_param * (1 - decay)

    return ema_update


def _for_many(average: Average) -> ManyAverages:
    """The same average for lists of tensors, in place."""

    @no_grad()
    def update(averaged_params: list[Tensor], current_params: list[Tensor], num_averaged: Any) -> None:
        for averaged, current in zip(averaged_params, current_params, strict=True):
            averaged.copy_(average(averaged, current, num_averaged))

    return update


def get_swa_multi_avg_fn() -> ManyAverages:
    """As `get_swa_avg_fn`, for lists of tensors, in place."""
    return _for_many(get_swa_avg_fn())


def get_ema_multi_avg_fn(decay: float = 0.999) -> ManyAverages:
    """As `get_ema_avg_fn`, for lists of tensors, in place; what does not change (a mask, a schedule) stays exactly so.

    >>> import chainrule
    >>> mean, constant = chainrule.tensor([0.1]), chainrule.tensor([0.1])
    >>> for _ in range(1000):
    ...     get_ema_multi_avg_fn(0.3)([mean], [constant], 1)
    >>> chainrule.equal(mean, constant)
    True
    """
    get_ema_avg_fn(decay)  # raises what it raises

    def step(averaged: Tensor, current: Tensor, number: Any) -> Tensor:
        change = current - averaged  # from whichever end is nearer, so that δ = 0 is the new one exactly
        return averaged + change * (1 - decay) if decay > 0.5 else current - change * decay

    return _for_many(step)


class AveragedModel(Module):
    """A copy of a model whose weights are an average over training: call `update_parameters(model)` now and then.

    Averages of weights lie in the middle of a flat region that the steps only circle around, and generalise better
    than the last weights. The first update copies. The plain mean is the default (stochastic weight averaging).

    Args:
        model: the model; it is copied, and goes on training on its own.
        device: "cpu" or None.
        avg_fn: (averaged, current, number) → new average, as from `get_ema_avg_fn(0.999)`.
        multi_avg_fn: the same for lists of tensors, in place; only one of the two may be given.
        use_buffers: average the buffers too (running statistics); otherwise they are copied. See `update_bn`.

    Source: Izmailov et al., "Averaging weights leads to wider optima and better generalization", 2018.

    >>> import chainrule
    >>> model = chainrule.nn.Linear(1, 1, bias=False)
    >>> averaged = AveragedModel(model)
    >>> for weight in (1.0, 2.0, 6.0):
    ...     with chainrule.no_grad(): _ = model.weight.fill_(weight)
    ...     averaged.update_parameters(model)
    >>> averaged.module.weight.item()
    3.0
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: ManyAverages | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("give avg_fn or multi_avg_fn, not both.")
        self.module = copy.deepcopy(model) if device is None else copy.deepcopy(model).to(device)
        self.register_buffer("n_averaged", tensor(0, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the averaged model says."""
        return self.module(*args, **kwargs)

    @no_grad()
    def update_parameters(self, model: Module) -> None:
        """Take the present weights of the model into the average."""
        averaged, current = _floating_tensors(self.module, self.use_buffers), _floating_tensors(model, self.use_buffers)
        if current_state().trace is not None:  # one program for the first time and the others
            self._average(averaged, current)
            _copy_each(averaged, [where(self.n_averaged == 0, b, a) for a, b in zip(averaged, current, strict=True)])
        elif self.n_averaged.item() == 0:
            _copy_each(averaged, current)
        else:
            self._average(averaged, current)
        known = {id(t) for t in averaged}
        rest = [pair for pair in zip(self.module.buffers(), model.buffers(), strict=True) if id(pair[0]) not in known]
        _copy_each([old for old, _ in rest], [new for _, new in rest])
        self.n_averaged += 1

    def _average(self, averaged: list[Tensor], current: list[Tensor]) -> None:
        if self.avg_fn is None:
            (self.multi_avg_fn or get_swa_multi_avg_fn())(averaged, current, self.n_averaged)
            return
        for old, new in zip(averaged, current, strict=True):
            old.copy_(self.avg_fn(old, new, self.n_averaged))


def _floating_tensors(model: Module, buffers: bool) -> list[Tensor]:
    """The parameters, and if asked for the buffers that can be averaged: counts are whole numbers, and are copied."""
    return [*model.parameters(), *(b for b in model.buffers() if buffers and b.dtype.is_floating_point)]


def _copy_each(targets: list[Tensor], sources: list[Tensor]) -> None:
    for target, source in zip(targets, sources, strict=True):
        target.copy_(source)


@no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute the running statistics of a model's batch normalisation anew, by one pass over the data.

    Averaged weights have other statistics than any of the weights they are the average of. While it runs the momentum
    is None: all batches count alike. The model's mode is put back.

    Args:
        loader: batches; of a tuple or list the first entry is the input.
        model: the model.
        device: "cpu" or None.
    """
    momenta = {module: module.momentum for module in model.modules() if isinstance(module, _BatchNorm)}
    if not momenta:
        return
    modes = [(module, module.training) for module in model.modules()]
    model.train()
    try:
        for module in momenta:
            module.reset_running_stats()
            module.momentum = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EvaluationWarning)  # in training mode without gradients, and it is meant
            for batch in loader:
                x = batch[0] if isinstance(batch, (list, tuple)) else batch
                model(x if device is None else x.to(device))
    finally:
        for module, momentum in momenta.items():
            module.momentum = momentum
        for part, training in modes:
            part.training = training


class SWALR(LRScheduler):
    """From whatever the rate is to a constant one, in a few epochs: for the averaging part of training.

        ηₙ = α·swa_lr + (1 − α)·η₀,  α from 0 to 1 along a cosine or a line

    Args:
        optimizer: whose rates are set.
        swa_lr: the constant rate; or a list, one for each group.
        anneal_epochs: how many steps the way takes; 0: at once.
        anneal_strategy: "cos" or "linear".
        last_epoch: the epoch to go on from.

    Raises ValueError for settings out of their range.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f'anneal_strategy is "cos" or "linear", got {anneal_strategy!r}.')
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs is a whole number, not negative, got {anneal_epochs!r}.")
        rates = for_each_group("swa_lr", check_optimizer(optimizer), swa_lr)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["swa_lr"] = rate
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _alpha(self, step: int) -> float:
        """How far the way has come after a number of steps."""
        share = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return (1 - math.cos(math.pi * share)) / 2 if self._anneal_strategy == "cos" else share

    def rates(self) -> list[float]:
        """From the rates in use, whose part of η₀ is known from how far the way had come."""
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._alpha(step - 1), self._alpha(step)
        rates = []
        for group, rate in zip(self.optimizer.param_groups, self.current_rates(), strict=True):
            target = group["swa_lr"]
            start = target if before == 1 else (rate - before * target) / (1 - before)
            rates.append(target * now + start * (1 - now))
        return rates

    def tail(self) -> Tail:
        """Constant."""
        if min(group["swa_lr"] for group in self.optimizer.param_groups) > 0:
            return Tail("level", "the rate reaches swa_lr and stays")
        return Tail("zero", "the rate reaches swa_lr, which is 0, and stays")
