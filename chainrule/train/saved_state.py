"""A trainer's saved state: what is in it, and how a trainer goes on from it.

It is looked at before it is used, and the trainer is put back if something in it fails after all.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from chainrule.errors import CheckpointError
from chainrule.keys import brief
from chainrule.random import default_generator
from chainrule.tensor import Tensor
from chainrule.train.loss_sums import LossParts, LossSum

if TYPE_CHECKING:
    from chainrule.train.callbacks.callback import Callback
    from chainrule.train.trainer import Trainer


def state_of(trainer: Trainer) -> dict[str, Any]:
    """All that decides how training goes on; see `Trainer.state_dict`."""
    named = trainer.model.named_parameters()
    return {
        "model": dict(trainer.model.state_dict()),
        "masters": {} if trainer.halves is None else trainer.halves.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        # They wait for the step they belong to, while several batches are accumulated.
        "gradients": {name: p.grad.detach() for name, p in named if p.kept_grad is not None},
        "schedule": None if trainer.schedule is None else trainer.schedule.state_dict(),
        "loader": trainer._loader_call("state_dict") if trainer.step else None,
        "generator": default_generator.get_state(),
        "epoch": trainer.epoch,
        "step": trainer.step,
        "steps": trainer.steps,
        "history": trainer.history,
        "loss": [trainer._sums.total, trainer._sums.count],
        "loss_parts": trainer._parts.sums,
        "metrics": [metric.state() for metric in trainer.metrics],
        "callbacks": {name: callback.state_dict() for name, callback in _named_callbacks(trainer)},
    }


def load_state(trainer: Trainer, state: Any) -> None:
    """Let a trainer go on from what `state_of` gave; see `Trainer.load_state_dict`. All or nothing."""
    check_state(trainer, state)
    put_back = remember(trainer)
    try:
        _take_over(trainer, state)
    except Exception as error:
        put_back()
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"the checkpoint does not fit: {type(error).__name__}: {error}") from error


def _take_over(trainer: Trainer, state: Mapping[str, Any]) -> None:
    trainer.model.load_state_dict(state["model"])
    if trainer.halves is not None:
        trainer.halves.load_state_dict(state["masters"])
    trainer.optimizer.load_state_dict(state["optimizer"])
    for name, parameter in trainer.model.named_parameters():
        gradient = state["gradients"].get(name)
        parameter.grad = None if gradient is None else gradient.to(parameter.device)
    if trainer.schedule is not None:
        trainer.schedule.load_state_dict(state["schedule"])
    default_generator.set_state(state["generator"])
    trainer.epoch, trainer.step, trainer.steps = state["epoch"], state["step"], state["steps"]
    trainer.history = list(state["history"])
    trainer._sums = LossSum(*state["loss"])
    trainer._parts = LossParts(trainer.loss, state.get("loss_parts"))
    for metric, saved in zip(trainer.metrics, state["metrics"], strict=True):
        metric.load_state(saved)
    for name, callback in _named_callbacks(trainer):
        if name in state["callbacks"]:
            callback.load_state_dict(state["callbacks"][name])
    trainer._position = state["loader"]
    trainer._skip = trainer.step if state["loader"] is None else 0


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


#: What each entry is, and whether a value is such.
_ENTRIES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "model": ("weights by name", _mapping),
    "masters": ("weights by name", _mapping),
    "optimizer": ("an optimiser's state", _mapping),
    "gradients": ("gradients by name", lambda v: _mapping(v) and all(isinstance(g, Tensor) for g in v.values())),
    "schedule": ("a schedule's state, or None", lambda v: v is None or _mapping(v)),
    "loader": ("a loader's state, or None", lambda v: v is None or _mapping(v)),
    "generator": ("a generator's state", lambda v: isinstance(v, Tensor)),
    "epoch": ("a whole number", _whole),
    "step": ("a whole number", _whole),
    "steps": ("a whole number", _whole),
    "history": ("a list of figures by name", lambda v: isinstance(v, list) and all(map(_mapping, v))),
    "loss": ("two numbers", lambda v: isinstance(v, list | tuple) and len(v) == 2 and all(map(_number, v))),
    "metrics": ("a list of metrics' states", lambda v: isinstance(v, list)),
    "callbacks": ("callbacks' states by name", lambda v: _mapping(v) and all(map(_mapping, v.values()))),
}


def check_state(trainer: Trainer, state: Any) -> None:
    """Raise CheckpointError unless a state has all that a trainer needs, each of its kind, for such a trainer."""
    if not isinstance(state, Mapping):
        raise CheckpointError(f"a trainer's state is a dictionary, got {brief(state)}.")
    if not isinstance(state.get("loss_parts", {}), Mapping) or not all(
        _ENTRIES["loss"][1](pair) for pair in state.get("loss_parts", {}).values()
    ):
        raise CheckpointError("the checkpoint's entry 'loss_parts' has not two numbers for each part.")
    for name, (kind, holds) in _ENTRIES.items():
        if name not in state:
            raise CheckpointError(f"the checkpoint has no entry {name!r}; is it a trainer's?")
        if not holds(state[name]):
            raise CheckpointError(f"the checkpoint's entry {name!r} is {kind}, got {brief(state[name])}.")
    if len(state["history"]) != state["epoch"] or state["steps"] < state["step"]:
        raise CheckpointError(
            f"the checkpoint contradicts itself: {state['epoch']} epochs with {len(state['history'])} rows of history, "
            f"{state['steps']} batches of which {state['step']} in the last epoch."
        )
    if len(state["metrics"]) != len(trainer.metrics):
        raise CheckpointError(
            f"the checkpoint has {len(state['metrics'])} metrics, the trainer {len(trainer.metrics)}."
        )
    if (state["schedule"] is None) != (trainer.schedule is None):
        raise CheckpointError("one of the checkpoint and the trainer has a schedule, the other has none.")
    if bool(state["masters"]) != (trainer.halves is not None):
        raise CheckpointError("one of the checkpoint and the trainer is in bfloat16, the other is not.")
    if trainer.schedule is not None:
        _check_like(type(trainer.schedule).__name__, trainer.schedule.state_dict(), state["schedule"])
    for name, callback in _named_callbacks(trainer):
        if name in state["callbacks"]:
            _check_like(name, callback.state_dict(), state["callbacks"][name])
    shapes = {name: tuple(p.shape) for name, p in trainer.model.named_parameters()}
    for name, gradient in state["gradients"].items():
        if shapes.get(name) != tuple(gradient.shape):
            raise CheckpointError(
                f"the checkpoint has a gradient of shape {tuple(gradient.shape)} for {name!r}, which has "
                f"{shapes.get(name, 'no place in the model')}."
            )


def _check_like(what: str, own: Mapping[str, Any], saved: Mapping[str, Any]) -> None:
    """Raise CheckpointError unless a saved state has the entries of a present one, each of its kind; None is any."""
    if set(own) != set(saved):
        raise CheckpointError(
            f"the state of {what} has {', '.join(own) or 'nothing'}; in the checkpoint it has "
            f"{', '.join(map(str, saved)) or 'nothing'}."
        )
    for name, value in own.items():
        kinds = [kind for kind in (bool, _REAL, str, list | tuple, Mapping, Tensor) if isinstance(value, kind)]
        if kinds and saved[name] is not None and not isinstance(saved[name], kinds[0]):
            raise CheckpointError(
                f"{name} in the state of {what} is {brief(value)} here, in the checkpoint {brief(saved[name])}."
            )
        if kinds and kinds[0] is _REAL and isinstance(saved[name], bool):
            raise CheckpointError(f"{name} in the state of {what} is a number, in the checkpoint {saved[name]}.")


_REAL = int | float


def remember(trainer: Trainer) -> Callable[[], None]:
    """A function that puts the trainer back into the state of now. Values never change, so they need no copies."""
    model, optimizer = trainer.model, trainer.optimizer
    cells = [
        *model.parameters(),
        *model.buffers(),
        *(pair[1] for pair in (trainer.halves.pairs.values() if trainer.halves else ())),
    ]
    values = [(cell, cell.value) for cell in cells]
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    memory, groups = optimizer.state, [dict(group) for group in optimizer.param_groups]
    schedule = None if trainer.schedule is None else copy.deepcopy(trainer.schedule.state_dict())
    generator = default_generator.get_state()
    metrics = [metric.state() for metric in trainer.metrics]
    callbacks = [(callback, callback.state_dict()) for _, callback in _named_callbacks(trainer)]
    plain = {name: value for name, value in vars(trainer).items() if name in _PLAIN}

    def put_back() -> None:
        for cell, value in values:
            cell.set_value(value)
        for parameter, gradient in gradients:
            parameter.grad = gradient
        optimizer.state = memory
        for group, settings in zip(optimizer.param_groups, groups, strict=True):
            group.clear()
            group.update(settings)
        if trainer.schedule is not None:
            trainer.schedule.load_state_dict(schedule)
        default_generator.set_state(generator)
        for metric, state in zip(trainer.metrics, metrics, strict=True):
            metric.load_state(state)
        for callback, state in callbacks:
            callback.load_state_dict(state)
        vars(trainer).update(plain)

    return put_back


_PLAIN = ("epoch", "step", "steps", "history", "_sums", "_parts", "_position", "_skip")


def _named_callbacks(trainer: Trainer) -> list[tuple[str, Callback]]:
    """Each callback with its class's name, and a number behind it if there are several of a class."""
    named: dict[str, Callback] = {}
    for callback in trainer.callbacks:
        kind, count = type(callback).__name__, 1
        name = kind
        while name in named:
            count += 1
            name = f"{kind} {count}"
        named[name] = callback
    return list(named.items())
