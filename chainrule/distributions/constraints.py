"""Where parameters and samples may lie. A constraint answers, entry by entry, whether a tensor satisfies it.

>>> import chainrule
>>> positive.check(chainrule.tensor([1.0, 0.0, -1.0]))
tensor([ True, False, False])
>>> simplex.check(chainrule.tensor([[0.5, 0.5], [0.5, 0.6]]))
tensor([ True, False])

The names are PyTorch's: `positive`, `unit_interval`, `simplex` and so on are constraints, `greater_than(2)` and its
like make them. Where one entry alone says nothing (a simplex, a matrix), the last `event_dim` dimensions count as one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from chainrule import linalg
from chainrule.dtypes import FloatLimits
from chainrule.functions.creation import full
from chainrule.functions.pieces import cat as join
from chainrule.functions.pieces import stack as pile
from chainrule.functions.reduction import all as all_of
from chainrule.tensor import Tensor

__all__ = [
    "Constraint",
    "MixtureSameFamilyConstraint",
    "boolean",
    "cat",
    "corr_cholesky",
    "dependent",
    "dependent_property",
    "greater_than",
    "greater_than_eq",
    "half_open_interval",
    "independent",
    "integer_interval",
    "interval",
    "is_dependent",
    "less_than",
    "lower_cholesky",
    "lower_triangular",
    "multinomial",
    "nonnegative",
    "nonnegative_integer",
    "one_hot",
    "positive",
    "positive_definite",
    "positive_integer",
    "positive_semidefinite",
    "real",
    "real_vector",
    "simplex",
    "square",
    "stack",
    "symmetric",
    "unit_interval",
]


class Constraint:
    """A region, for one entry or for `event_dim` dimensions together.

    Attributes:
        is_discrete: whether the region consists of separate points.
        event_dim: how many last dimensions are one thing.
    """

    is_discrete: bool = False
    event_dim: int = 0

    @property
    def wanted(self) -> str:
        """What a parameter must be, as words for an error; "" where there are none."""
        return ""

    def check(self, value: Tensor) -> Tensor:
        """Booleans of the value's shape without its last `event_dim` dimensions: true where it lies inside."""
        raise NotImplementedError(f"{type(self).__name__} defines check(value).")

    def __repr__(self) -> str:
        return type(self).__name__.lstrip("_") + (f"({self._bounds()})" if self._bounds() else "")

    def _bounds(self) -> str:
        return ", ".join(f"{name}={bound}" for name, bound in vars(self).items() if not name.startswith("_"))


class _Dependent(Constraint):
    """A region that depends on other parameters, so that by itself nothing can be checked."""

    def __init__(self, *, is_discrete: bool = False, event_dim: int = 0) -> None:
        self.is_discrete, self.event_dim = is_discrete, event_dim

    def __call__(self, *, is_discrete: bool | None = None, event_dim: int | None = None) -> _Dependent:
        """The same with other attributes."""
        return _Dependent(
            is_discrete=self.is_discrete if is_discrete is None else is_discrete,
            event_dim=self.event_dim if event_dim is None else event_dim,
        )

    def check(self, value: Tensor) -> Tensor:
        """Refuse: the region is not known."""
        raise ValueError("a dependent constraint cannot be checked without the distribution that it depends on.")


class dependent_property(property, _Dependent):  # noqa: N801 (PyTorch's name)
    """A property that gives a constraint; seen from the class it is a dependent constraint.

    `@dependent_property` or `@dependent_property(is_discrete=True, event_dim=1)`.
    """

    def __init__(self, fn: Any = None, *, is_discrete: bool = False, event_dim: int = 0) -> None:
        super().__init__(fn)
        self.is_discrete, self.event_dim = is_discrete, event_dim

    def __call__(self, fget: Callable[[Any], Constraint]) -> dependent_property:  # type: ignore[override]
        """The property for this function: the second step of the decorator with attributes."""
        return dependent_property(fget, is_discrete=self.is_discrete, event_dim=self.event_dim)


def is_dependent(constraint: Any) -> bool:
    """Whether the region depends on something else, so that it cannot be checked."""
    return isinstance(constraint, _Dependent)


# One entry -------------------------------------------------------------------------------------------


class _Real(Constraint):
    wanted = "a number, not NaN"

    def check(self, value: Tensor) -> Tensor:
        return value == value


class _Boolean(Constraint):
    is_discrete = True
    wanted = "0 or 1"

    def check(self, value: Tensor) -> Tensor:
        return (value == 0) | (value == 1)


class _IntegerInterval(Constraint):
    is_discrete = True

    def __init__(self, lower_bound: Any, upper_bound: Any) -> None:
        self.lower_bound, self.upper_bound = lower_bound, upper_bound

    @property
    def wanted(self) -> str:
        """The bounds."""
        return f"an integer from {_shown(self.lower_bound)} to {_shown(self.upper_bound)}"

    def check(self, value: Tensor) -> Tensor:
        return (value % 1 == 0) & (value >= self.lower_bound) & (value <= self.upper_bound)


class _IntegerGreaterThan(Constraint):
    is_discrete = True

    def __init__(self, lower_bound: Any) -> None:
        self.lower_bound = lower_bound

    @property
    def wanted(self) -> str:
        """The bound."""
        return f"an integer, {_shown(self.lower_bound)} or more"

    def check(self, value: Tensor) -> Tensor:
        return (value % 1 == 0) & (value >= self.lower_bound)


class _GreaterThan(Constraint):
    relation = "greater than"

    def __init__(self, lower_bound: Any) -> None:
        self.lower_bound = lower_bound

    @property
    def wanted(self) -> str:
        """The bound, which may be a tensor."""
        return f"{self.relation} {_shown(self.lower_bound)}"

    def check(self, value: Tensor) -> Tensor:
        return value > self.lower_bound


class _GreaterThanEq(_GreaterThan):
    relation = "at least"

    def check(self, value: Tensor) -> Tensor:
        return value >= self.lower_bound


class _LessThan(Constraint):
    def __init__(self, upper_bound: Any) -> None:
        self.upper_bound = upper_bound

    @property
    def wanted(self) -> str:
        """The bound, which may be a tensor."""
        return f"less than {_shown(self.upper_bound)}"

    def check(self, value: Tensor) -> Tensor:
        return value < self.upper_bound


class _Interval(Constraint):
    def __init__(self, lower_bound: Any, upper_bound: Any) -> None:
        self.lower_bound, self.upper_bound = lower_bound, upper_bound

    @property
    def wanted(self) -> str:
        """The bounds."""
        if not all(isinstance(bound, int | float) for bound in (self.lower_bound, self.upper_bound)):
            return f"in {self._start}lower bound, upper bound{self._end}"
        return f"in {self._start}{_shown(self.lower_bound)}, {_shown(self.upper_bound)}{self._end}"

    _start, _end = "[", "]"

    def check(self, value: Tensor) -> Tensor:
        return (value >= self.lower_bound) & (value <= self.upper_bound)


class _HalfOpenInterval(_Interval):
    _end = ")"

    def check(self, value: Tensor) -> Tensor:
        return (value >= self.lower_bound) & (value < self.upper_bound)


# Vectors ---------------------------------------------------------------------------------------------


class _Simplex(Constraint):
    event_dim = 1
    wanted = "probabilities that sum to 1 along the last dimension"

    def check(self, value: Tensor) -> Tensor:
        return (value >= 0).all(-1) & ((value.sum(-1) - 1).abs() < 1e-6)


class _OneHot(Constraint):
    is_discrete, event_dim = True, 1
    wanted = "0 everywhere but for a single 1 along the last dimension"

    def check(self, value: Tensor) -> Tensor:
        return ((value == 0) | (value == 1)).all(-1) & (value.sum(-1) == 1)


class _Multinomial(Constraint):
    is_discrete, event_dim = True, 1

    def __init__(self, upper_bound: Any) -> None:
        self.upper_bound = upper_bound

    @property
    def wanted(self) -> str:
        """The number of draws."""
        return f"counts that sum to {_shown(self.upper_bound)} or less along the last dimension"

    def check(self, x: Tensor) -> Tensor:
        return (x >= 0).all(-1) & (x.sum(-1) <= self.upper_bound)


# Matrices --------------------------------------------------------------------------------------------


class _LowerTriangular(Constraint):
    event_dim = 2
    wanted = "matrices with zeros above the diagonal"

    def check(self, value: Tensor) -> Tensor:
        return _all_entries(value.tril() == value)


class _LowerCholesky(_LowerTriangular):
    wanted = "lower triangular with a positive diagonal; linalg.cholesky makes such matrices"

    def check(self, value: Tensor) -> Tensor:
        return super().check(value) & (value.diagonal(dim1=-2, dim2=-1) > 0).all(-1)


class _CorrCholesky(_LowerCholesky):
    wanted = "Cholesky factors of correlation matrices: lower triangular, rows of length 1"

    def check(self, value: Tensor) -> Tensor:
        tolerance = FloatLimits(value.dtype).eps * value.shape[-1] * 10
        rows = ((value * value).sum(-1) - 1).abs() <= tolerance
        return rows.all(-1) & super().check(value)


class _Square(Constraint):
    event_dim = 2
    wanted = "square matrices"

    def check(self, value: Tensor) -> Tensor:
        fits = value.shape[-2] == value.shape[-1]
        return full(tuple(value.shape[:-2]), fits, dtype="bool", device=value.device)


class _Symmetric(_Square):
    wanted = "symmetric matrices"

    def check(self, value: Tensor) -> Tensor:
        if value.shape[-2] != value.shape[-1]:
            return super().check(value)
        return _all_entries((value - value.mT).abs() <= 1e-6 + 1e-5 * value.mT.abs())


class _PositiveSemidefinite(_Symmetric):
    wanted = "symmetric matrices without a negative eigenvalue"

    def check(self, value: Tensor) -> Tensor:
        symmetric = super().check(value)
        if value.shape[-2] != value.shape[-1]:
            return symmetric
        return symmetric & (linalg.eigvalsh(value.detach()) >= 0).all(-1)


class _PositiveDefinite(_Symmetric):
    wanted = "symmetric matrices with positive eigenvalues"

    def check(self, value: Tensor) -> Tensor:
        symmetric = super().check(value)
        if value.shape[-2] != value.shape[-1]:
            return symmetric
        return symmetric & (linalg.eigvalsh(value.detach()) > 0).all(-1)


def _all_entries(matrix: Tensor) -> Tensor:
    return all_of(all_of(matrix, -1), -1)


# Of constraints --------------------------------------------------------------------------------------


class _Independent(Constraint):
    """A constraint whose last batch dimensions count as one event."""

    def __init__(self, base_constraint: Constraint, reinterpreted_batch_ndims: int) -> None:
        self.base_constraint = base_constraint
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims

    @property
    def is_discrete(self) -> bool:  # type: ignore[override]
        """As the base."""
        return self.base_constraint.is_discrete

    @property
    def event_dim(self) -> int:  # type: ignore[override]
        """The base's, and those added."""
        return self.base_constraint.event_dim + self.reinterpreted_batch_ndims

    @property
    def wanted(self) -> str:
        """As the base."""
        return self.base_constraint.wanted

    def check(self, value: Tensor) -> Tensor:
        result = self.base_constraint.check(value)
        if result.ndim < self.reinterpreted_batch_ndims:
            raise ValueError(
                f"an independent constraint over {self.event_dim} dimensions was asked about {value.ndim}."
            )
        return reduce(lambda r, _: r.all(-1), range(self.reinterpreted_batch_ndims), result)


class MixtureSameFamilyConstraint(Constraint):
    """The region of a mixture's components, asked about samples of the mixture."""

    def __init__(self, base_constraint: Constraint) -> None:
        self.base_constraint = base_constraint

    @property
    def is_discrete(self) -> bool:  # type: ignore[override]
        """As the components'."""
        return self.base_constraint.is_discrete

    @property
    def event_dim(self) -> int:  # type: ignore[override]
        """As the components'."""
        return self.base_constraint.event_dim

    @property
    def wanted(self) -> str:
        """As the components'."""
        return self.base_constraint.wanted

    def check(self, value: Tensor) -> Tensor:
        """Whether the value lies in the region of every component."""
        return self.base_constraint.check(value.unsqueeze(-1 - self.event_dim)).all(-1)


class _Cat(Constraint):
    """One constraint for each part along a dimension."""

    def __init__(self, cseq: Sequence[Constraint], dim: int = 0, lengths: Sequence[int] | None = None) -> None:
        self.cseq = list(cseq)
        self.lengths = [1] * len(self.cseq) if lengths is None else list(lengths)
        if len(self.lengths) != len(self.cseq):
            raise ValueError(f"cat: {len(self.cseq)} constraints and {len(self.lengths)} lengths.")
        self.dim = dim

    @property
    def is_discrete(self) -> bool:  # type: ignore[override]
        """Whether one of them is."""
        return any(c.is_discrete for c in self.cseq)

    @property
    def event_dim(self) -> int:  # type: ignore[override]
        """The largest."""
        return max(c.event_dim for c in self.cseq)

    def check(self, value: Tensor) -> Tensor:
        start, results = 0, []
        for constraint, length in zip(self.cseq, self.lengths, strict=True):
            results.append(constraint.check(value.narrow(self.dim, start, length)))
            start += length
        return join(results, self.dim)


class _Stack(_Cat):
    """One constraint for each place along a dimension."""

    def __init__(self, cseq: Sequence[Constraint], dim: int = 0) -> None:
        super().__init__(cseq, dim)

    @property
    def event_dim(self) -> int:  # type: ignore[override]
        """The largest, and one more if the places lie inside of the events."""
        dims = max(c.event_dim for c in self.cseq)
        return dims + 1 if self.dim + dims < 0 else dims

    def check(self, value: Tensor) -> Tensor:
        parts = [value.select(self.dim, i) for i in range(value.shape[self.dim])]
        return pile([c.check(part) for part, c in zip(parts, self.cseq, strict=True)], self.dim)


def widened(region: Constraint, event_dim: int) -> Constraint:
    """The region with this many dimensions to an event."""
    more = event_dim - region.event_dim
    return _Independent(region, more) if more else region


def _shown(bound: Any) -> str:
    return f"{bound:g}" if isinstance(bound, int | float) else "its bound"


dependent = _Dependent()
independent = _Independent
boolean = _Boolean()
one_hot = _OneHot()
nonnegative_integer = _IntegerGreaterThan(0)
positive_integer = _IntegerGreaterThan(1)
integer_interval = _IntegerInterval
real = _Real()
real_vector = independent(real, 1)
positive = _GreaterThan(0.0)
nonnegative = _GreaterThanEq(0.0)
greater_than = _GreaterThan
greater_than_eq = _GreaterThanEq
less_than = _LessThan
multinomial = _Multinomial
unit_interval = _Interval(0.0, 1.0)
interval = _Interval
half_open_interval = _HalfOpenInterval
simplex = _Simplex()
lower_triangular = _LowerTriangular()
lower_cholesky = _LowerCholesky()
corr_cholesky = _CorrCholesky()
square = _Square()
symmetric = _Symmetric()
positive_semidefinite = _PositiveSemidefinite()
positive_definite = _PositiveDefinite()
cat = _Cat
stack = _Stack
