"""What all distributions are: shapes, checks of parameters and samples, and what a new one has to define."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

import numpy as np

from chainrule.autodiff.mode import no_grad
from chainrule.cell import Size
from chainrule.changes import SETTINGS
from chainrule.distributions.constraints import Constraint, is_dependent
from chainrule.distributions.utils import lazy_property
from chainrule.errors import DTypeError, NumberRangeError, ShapeError
from chainrule.functions.checking import check_numbers
from chainrule.functions.promotion import is_tensor
from chainrule.functions.shape import broadcast_shapes
from chainrule.tensor import Tensor

__all__ = ["Distribution"]


class Distribution:
    """The base of all distributions.

    A distribution holds a *batch* of independent ones, shape `batch_shape`, each over things of shape `event_shape`. A
    sample has the shape sample_shape + batch_shape + event_shape, and its log-probability is one number for each event.

    A subclass sets its parameters, calls `super().__init__(batch_shape, event_shape)`, and defines what it can of
    `log_prob`, `sample` or `rsample`, `entropy`, `cdf`, `icdf`, `mean`, `mode`, `variance`.

    Attributes:
        has_rsample: `rsample` gives samples that are differentiable functions of the parameters.
        has_enumerate_support: `enumerate_support` lists all values.
        arg_constraints: the region of each parameter, by name.
        validate_args: whether parameters and samples are checked; None is the default, set for all by
            `set_default_validate_args` (True, and False under `python -O`).

    Raises NumberRangeError (a ValueError) for parameters outside of their regions, in compiled programs too.
    """

    has_rsample: bool = False
    has_enumerate_support: bool = False
    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    _validate_args: bool = __debug__

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether distributions made from now on check parameters and samples, where they are not told."""
        if value not in (True, False):
            raise ValueError(f"set_default_validate_args: True or False, got {value!r}.")
        Distribution._validate_args = value
        SETTINGS["distributions check"] = value
        if value == __debug__:
            del SETTINGS["distributions check"]

    def __init__(
        self,
        batch_shape: Sequence[int] = (),
        event_shape: Sequence[int] = (),
        validate_args: bool | None = None,
    ) -> None:
        self._batch_shape = Size(batch_shape)
        self._event_shape = Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_parameters()

    def _check_parameters(self) -> None:
        for name, constraint in self.arg_constraints.items():
            computed_later = name not in self.__dict__ and isinstance(
                inspect.getattr_static(type(self), name, None), lazy_property
            )
            if is_dependent(constraint) or computed_later:
                continue
            require(constraint, getattr(self, name), who=type(self).__name__, what=name)

    # ------------------------------------------------------------------------------------------ shapes

    @property
    def batch_shape(self) -> Size:
        """The shape of independent distributions."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one thing drawn."""
        return self._event_shape

    def _extended_shape(self, sample_shape: Sequence[int] = ()) -> Size:
        """The shape of samples: sample_shape + batch_shape + event_shape."""
        return Size((*sample_shape, *self._batch_shape, *self._event_shape))

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distributions, repeated to a larger batch without copying; `_instance` is filled if given."""
        new = self._get_checked_instance(Distribution, _instance)
        shape = Size(batch_shape)
        self._expand_into(new, shape)
        Distribution.__init__(new, shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _expand_into(self, new: Any, batch_shape: Size) -> None:
        """Give `new` the expanded parameters: those in `arg_constraints` that are kept."""
        for name, constraint in self.arg_constraints.items():
            value: Any = self.__dict__.get(name)
            if is_tensor(value):
                dims = constraint.event_dim
                own = tuple(value.shape[value.ndim - dims :])
                setattr(new, name, value.expand(*batch_shape, *own))

    def _get_checked_instance(self, cls: type, _instance: Any = None) -> Any:
        return type(self).__new__(type(self)) if _instance is None else _instance

    # ------------------------------------------------------------------------------------- what it offers

    @property
    def support(self) -> Any:
        """The region in which samples lie, a constraint; None if it is not known."""
        self._missing("support")

    @property
    def mean(self) -> Tensor:
        """The expectation."""
        self._missing("mean")

    @property
    def mode(self) -> Tensor:
        """The value with the highest probability or density."""
        self._missing("mode")

    @property
    def variance(self) -> Tensor:
        """The variance of each entry."""
        self._missing("variance")

    @property
    def stddev(self) -> Tensor:
        """The standard deviation, √variance."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Numbers drawn with the default generator, of shape sample_shape + batch_shape + event_shape; no gradient."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """As `sample`, as a differentiable function of the parameters; not all distributions have one."""
        self._missing("rsample", "no differentiable samples (has_rsample is False): use sample and log_prob")

    def sample_n(self, n: int) -> Tensor:
        """PyTorch's old name of `sample((n,))`."""
        return self.sample((n,))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability (or density) of a value; one number for each event."""
        self._missing("log_prob")

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of numbers up to a value."""
        self._missing("cdf")

    def icdf(self, value: Tensor) -> Tensor:
        """The number that is not exceeded with a probability: the inverse of `cdf`."""
        self._missing("icdf")

    def entropy(self) -> Tensor:
        """−E[ln p(x)], in nats; one number for each distribution of the batch."""
        self._missing("entropy")

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values of a discrete distribution along a new first dimension; with `expand` for the whole batch."""
        self._missing("enumerate_support")

    def perplexity(self) -> Tensor:
        """e to the entropy: the number of equally likely values that would be as uncertain."""
        return self.entropy().exp()

    def _missing(self, what: str, why: str = "") -> NoReturn:
        raise NotImplementedError(f"{type(self).__name__} has {why or f'no {what} in closed form'}.")

    # ------------------------------------------------------------------------------------------ checks

    def _validate_sample(self, value: Any) -> None:
        """Raise unless the value has a fitting shape and lies in the support."""
        who = type(self).__name__
        if not is_tensor(value):
            raise DTypeError(f"{who}: a value is a Tensor, got {type(value).__name__}; make one with tensor(…).")
        events = len(self._event_shape)
        if tuple(value.shape[value.ndim - events :]) != tuple(self._event_shape):
            raise ShapeError(
                f"{who}: a value ends with the event's shape {tuple(self._event_shape)}, got {tuple(value.shape)}."
            )
        try:
            broadcast_shapes(tuple(value.shape[: value.ndim - events]), tuple(self._batch_shape))
        except ShapeError:
            raise ShapeError(
                f"{who}: a value of shape {tuple(value.shape)} does not fit the batch {tuple(self._batch_shape)} with "
                f"events {tuple(self._event_shape)}."
            ) from None
        try:
            support = self.support
        except NotImplementedError:
            return
        if support is not None:
            require(support, value, who=who, what="a value")

    def __repr__(self) -> str:
        names = [name for name in self.arg_constraints if name in self.__dict__]
        shown = ", ".join(
            f"{name}: {value if value.numel() == 1 else tuple(value.shape)}"
            for name, value in ((name, self.__dict__[name]) for name in names)
        )
        return f"{type(self).__name__}({shown})"


def require(constraint: Constraint, value: Tensor, who: str, what: str) -> None:
    """Raise a NumberRangeError unless the value satisfies the constraint: now, or in each run of what is traced."""
    check_numbers(
        _all_hold, constraint.check(value), value, wrong=_does_not_hold,
        who=who, what=what, wanted=constraint.wanted or repr(constraint),
    )  # fmt: skip


def _all_hold(holds: Any, values: Any, who: str, what: str, wanted: str) -> None:
    if not holds.all():
        first = tuple(int(i[0]) for i in np.nonzero(np.atleast_1d(~holds)))[: np.ndim(holds)]
        found = np.broadcast_to(values, np.broadcast_shapes(values.shape, holds.shape))[first]
        place = f" at {first}" if first else ""
        text = np.array2string(np.asarray(found, np.float64), precision=4, threshold=8, separator=", ")
        raise NumberRangeError(f"{who}: {what} must be {wanted}, got {text}{place}.")


def _does_not_hold(holds: Tensor, values: Tensor, who: str, what: str, wanted: str) -> Tensor:
    return ~holds
