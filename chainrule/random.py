"""Random numbers: generators, and the draws made from them.

Numbers come from Philox 4×32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3",
SC'11): entry i of a draw is a function of the seed and of its place in the stream, so the same seed gives the same
numbers whatever the number of threads. They are not PyTorch's numbers for the same seed.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.cell import TensorCell
from chainrule.devices import CPU, Device, chosen
from chainrule.dtypes import as_dtype, from_numpy_dtype, get_default_dtype
from chainrule.errors import DeviceError, DTypeError, NumberRangeError, ShapeError
from chainrule.functions.checking import check_numbers
from chainrule.functions.creation import make, read_shape
from chainrule.functions.promotion import as_floating, broadcast, is_tensor, need_tensor, promote
from chainrule.primitives import philox, rejection
from chainrule.primitives import random as primitives
from chainrule.primitives.placed import place_of
from chainrule.primitives.reduction import SearchSorted
from chainrule.primitives.value import Value

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class Generator:
    """A stream of random numbers. Its state is a tensor (a cell like any other), readable and restorable.

    >>> import chainrule
    >>> generator = chainrule.Generator().manual_seed(1)
    >>> state = generator.get_state()
    >>> first = chainrule.rand(3, generator=generator)
    >>> generator.set_state(state)
    >>> chainrule.equal(first, chainrule.rand(3, generator=generator))
    True
    """

    def __init__(self, seed: Any = 0, device: Any = None) -> None:
        """`Generator(3)` starts with that seed; `Generator("cpu")` is PyTorch's form. It draws on its device only.

        Bits depend on the seed alone: the same numbers on every device. The state itself is kept on the CPU.
        """
        if not hasattr(seed, "__index__"):
            seed, device = 0, seed
        self._device = CPU if device is None else chosen(device)
        self._seed: int = seed.__index__()
        self.state: Tensor = make(primitives.write_state(0, self._seed % 2**64), device=CPU)

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of this seed from its beginning. Any integer; it counts modulo 2⁶⁴."""
        if not hasattr(seed, "__index__"):
            raise DTypeError(f"a seed is an integer, got {seed!r}.")
        self._seed = seed.__index__()
        self.state.set_value(Value(primitives.write_state(0, self._seed % 2**64)))
        return self

    def seed(self) -> int:
        """Start a stream that nobody can foresee, and return its seed."""
        self.manual_seed(int.from_bytes(os.urandom(8)) >> 1)
        return self._seed

    @property
    def device(self) -> Device:
        """Where the numbers are made."""
        return self._device

    def initial_seed(self) -> int:
        """The seed given last."""
        return self._seed

    def get_state(self) -> Tensor:
        """A copy of the state: int64 (3,), the key and the two halves of the counter."""
        return self.state.clone()

    def set_state(self, state: Tensor) -> None:
        """Go on from a state that `get_state` gave. Raises TypeError and ShapeError for anything else."""
        if not isinstance(state, TensorCell):
            raise TypeError(f"a generator's state is a tensor that get_rng_state() gave, got {type(state).__name__}.")
        if tuple(state.shape) != (3,) or state.dtype is not as_dtype(int):
            raise ShapeError(f"a generator's state is int64 of shape (3,), got {state.dtype} {tuple(state.shape)}.")
        self.state.set_value(Value(state.moved_to(None).shared_array()))

    def draw(self, primitive: Any, blocks: int, *tensors: Tensor, device: Any = None, **parameters: Any) -> Tensor:
        """Apply a random primitive to the state (and tensors, one draw for each entry), and move the state on.

        device: where the numbers are to be; that of the tensors if there are any, and else the default.

        Raises DeviceError for a generator that was made for another device.
        """
        place = place_of(tensors[0].value.array) if tensors else chosen(device).place
        if self is not default_generator and place is not self._device.place:
            there = "cpu" if place is None else place.device
            raise DeviceError(
                f"a generator of {self._device} cannot draw on {there}; make Generator(device={str(there)!r})."
            )
        result = primitive.apply(
            self.state.moved_to(place) if place is not None else self.state, *tensors, **parameters
        )
        self.state.set_value(primitives.RandomAdvance.apply(self.state, blocks=blocks).value)
        return result

    def __repr__(self) -> str:
        return f"Generator(seed={self._seed})"

    def __getstate__(self) -> dict[str, Any]:
        return {"seed": self._seed, "state": self.state, **({} if self._device is CPU else {"device": self._device})}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self._seed, self.state, self._device = saved["seed"], saved["state"], saved.get("device", CPU)


#: The generator of all draws that name none. Its state is a tensor: this file is loaded when there are tensors.
default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Start the default generator's stream of this seed: the same seed, the same numbers.

    >>> import chainrule
    >>> _ = chainrule.manual_seed(0); first = chainrule.rand(2)
    >>> _ = chainrule.manual_seed(0); chainrule.equal(first, chainrule.rand(2))
    True
    """
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Give the default generator a seed that nobody can foresee, and return it."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed given last to the default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The state of the default generator."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Put the default generator into a state that `get_rng_state` gave."""
    default_generator.set_state(new_state)


@contextmanager
def fork_rng(
    devices: Any = None,
    enabled: bool = True,
    _caller: str = "fork_rng",
    _devices_kw: str = "devices",
    device_type: str = "cuda",
) -> Iterator[None]:
    """A block after which the default generator is where it was before. All devices draw from it, so none is named.

    >>> import chainrule
    >>> with chainrule.random.fork_rng():
    ...     first = chainrule.rand(2)
    >>> chainrule.equal(first, chainrule.rand(2))
    True
    """
    state = get_rng_state()
    try:
        yield
    finally:
        if enabled:
            set_rng_state(state)


def _floating_draw(
    kind: Any, size: Sequence[Any], generator: Generator | None, dtype: Any, device: Any, requires_grad: bool
) -> Tensor:
    name = "rand" if kind == "uniform" else "randn"
    shape = read_shape(tuple(size), name)
    wanted = get_default_dtype() if dtype is None else as_dtype(dtype)
    if not wanted.is_floating_point:
        raise DTypeError(f"{name} gives floating-point numbers, not {wanted}; see randint.")
    exact = np.float64 if wanted.itemsize == 8 else np.float32
    blocks = philox.blocks_used(kind, math.prod(shape), exact)
    primitive = primitives.RandomUniform if kind == "uniform" else primitives.RandomNormal
    result = (generator or default_generator).draw(primitive, blocks, device=device, to=shape, dtype=wanted.numpy)
    return result.requires_grad_() if requires_grad else result


def rand(
    *shape: Any,
    size: Any = None,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers uniform in [0, 1).

    >>> import chainrule
    >>> chainrule.rand(2, 3).shape
    Size([2, 3])
    """
    return _floating_draw("uniform", shape if size is None else (size,), generator, dtype, device, requires_grad)


def randn(
    *shape: Any,
    size: Any = None,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers from the standard normal distribution: mean 0, variance 1.

    >>> import chainrule
    >>> chainrule.randn(2, 3).shape
    Size([2, 3])
    """
    return _floating_draw("normal", shape if size is None else (size,), generator, dtype, device, requires_grad)


def randint(
    low: Any = None,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Integers uniform in [low, high); `randint(high, size)` and `randint(high=…, size=…)` start at 0.

    >>> import chainrule
    >>> bool((chainrule.randint(3, 5, (100,)) >= 3).all())
    True
    """
    if size is None or high is None:
        low, high, size = 0, low, high if size is None else size
    low = 0 if low is None else low
    if high is None or size is None:
        raise TypeError("randint takes the end of the range and a size: randint(10, (2, 3)).")
    shape = read_shape((size,) if isinstance(size, int) else tuple(size), "randint")
    if high <= low:
        raise ShapeError(f"randint: nothing lies in [{low}, {high}).")
    blocks = philox.blocks_used("integers", math.prod(shape))
    result = (generator or default_generator).draw(
        primitives.RandomIntegers, blocks, device=device, to=shape, low=low, high=high
    )
    return _finished(result, dtype, requires_grad)


def _finished(result: Tensor, dtype: Any, requires_grad: bool) -> Tensor:
    result = result if dtype is None else result.to(as_dtype(dtype))
    return result.requires_grad_() if requires_grad else result


def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The numbers 0 … n − 1 in random order.

    >>> import chainrule
    >>> chainrule.randperm(4).sort().values
    tensor([0, 1, 2, 3])
    """
    blocks = philox.blocks_used("permutation", n)
    result = (generator or default_generator).draw(primitives.RandomPermutation, blocks, device=device, n=n)
    return _finished(result, dtype, requires_grad)


def _like(input: Tensor, dtype: Any, device: Any) -> tuple[Any, Any, Any]:
    """The shape of a tensor, and its type and device unless others are given."""
    array = input.value.array
    kind = from_numpy_dtype(array.dtype) if dtype is None else dtype
    return tuple(array.shape), kind, input.device if device is None else device


def rand_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """As `rand`, in the shape and type of another tensor."""
    shape, dtype, device = _like(input, dtype, device)
    return rand(shape, dtype=dtype, device=device, requires_grad=requires_grad, generator=generator)


def randn_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """As `randn`, in the shape and type of another tensor."""
    shape, dtype, device = _like(input, dtype, device)
    return randn(shape, dtype=dtype, device=device, requires_grad=requires_grad, generator=generator)


def randint_like(
    input: Tensor,
    low: Any = None,
    high: Any = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """As `randint`, in the shape and type of another tensor."""
    low, high = (0, low) if high is None else (low or 0, high)
    shape, dtype, device = _like(input, dtype, device)
    return randint(low, high, shape, dtype=dtype, device=device, requires_grad=requires_grad, generator=generator)


def bernoulli(input: Tensor, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that stands in each entry (or `p` for all), else 0; in the type of the input.

    >>> import chainrule
    >>> chainrule.bernoulli(chainrule.tensor([0.0, 1.0]))
    tensor([0., 1.])
    """
    chance = input.detach() if p is None else p
    if isinstance(p, (int, float)) and not 0 <= p <= 1:
        raise NumberRangeError(f"bernoulli: a probability lies in [0, 1], got {p}.")
    if p is None:
        check_numbers(_are_probabilities, input, wrong=_no_probabilities, operation="bernoulli")
    wanted = input.dtype if input.dtype.is_floating_point else None
    draws = rand(tuple(input.shape), dtype=wanted, device=input.device, generator=generator)
    return (draws < chance).to(input.dtype)


def _are_probabilities(p: Any, operation: str) -> None:
    good = (p >= 0) & (p <= 1)
    if not good.all():
        raise NumberRangeError(f"{operation}: probabilities lie in [0, 1], got {p[~good][0]:.4g}.")


def _no_probabilities(p: Tensor, operation: str) -> Tensor:
    return ~((p >= 0) & (p <= 1))


def normal(
    mean: Any,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers from normal distributions with these means and standard deviations, numbers or tensors.

    Raises NumberRangeError for negative standard deviations.

    >>> import chainrule
    >>> chainrule.normal(0.0, 1.0, (2,)).shape
    Size([2])
    """
    need_deviation(std, "normal")
    if size is None:
        parts = [x for x in (mean, std) if isinstance(x, TensorCell)]
        if not parts:
            raise ShapeError("normal: give a size, or tensors for mean or std.")
        both: Any = parts[0] + parts[-1]  # type: ignore[operator]
        size, device = tuple(both.shape), both.device
        dtype = parts[0].dtype if dtype is None else dtype
    result = randn(tuple(size), generator=generator, dtype=dtype, device=device) * std + mean
    return result.requires_grad_() if requires_grad else result


def need_deviation(std: Any, operation: str) -> None:
    """Raise a NumberRangeError for a standard deviation, a number or a tensor, that is negative or NaN."""
    if is_tensor(std):
        check_numbers(_are_deviations, std, wrong=_are_no_deviations, operation=operation)
    else:
        _are_deviations(np.asarray(std), operation)


def _are_deviations(std: Any, operation: str) -> None:
    if not (std >= 0).all():
        raise NumberRangeError(f"{operation}: a standard deviation is not negative, got {std.min():.4g}.")


def _are_no_deviations(std: Tensor, operation: str) -> Tensor:
    return ~(std >= 0)


def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """A count from the Poisson distribution for each rate, in the type of the rates.

    Raises NumberRangeError for negative rates.

    >>> import chainrule
    >>> chainrule.poisson(chainrule.zeros(3))
    tensor([0., 0., 0.])
    """
    rate = _floating_parameter(input, "poisson")
    check_numbers(_are_rates, rate, wrong=_are_no_rates)
    blocks = rejection.blocks_reserved(rate.numel())
    return (generator or default_generator).draw(primitives.RandomPoisson, blocks, rate)


def _are_rates(rate: Any) -> None:
    if not (rate >= 0).all():
        raise NumberRangeError(f"poisson: a rate is not negative, got {rate[~(rate >= 0)][0]:.4g}.")


def _are_no_rates(rate: Tensor) -> Tensor:
    return ~(rate >= 0)


def binomial(count: Tensor, prob: Tensor, generator: Generator | None = None) -> Tensor:
    """How many of `count` trials succeed, each with the probability `prob`; tensors of one shape or broadcast.

    Raises NumberRangeError for negative counts and for what is no probability.

    >>> import chainrule
    >>> chainrule.binomial(chainrule.tensor([3.0, 5.0]), chainrule.tensor([0.0, 1.0]))
    tensor([0., 5.])
    """
    trials, chance = broadcast(*promote(_floating_parameter(count, "binomial"), _floating_parameter(prob, "binomial")))
    check_numbers(_are_probabilities, chance, wrong=_no_probabilities, operation="binomial")
    check_numbers(_are_counts, trials, wrong=_are_no_counts)
    blocks = rejection.blocks_reserved(trials.numel())
    return (generator or default_generator).draw(primitives.RandomBinomial, blocks, trials, chance)


def _are_counts(trials: Any) -> None:
    good = (trials >= 0) & (trials == np.floor(trials))
    if not good.all():
        raise NumberRangeError(f"binomial: the number of trials is 0, 1, 2 …, got {trials[~good][0]:.4g}.")


def _are_no_counts(trials: Tensor) -> Tensor:
    return ~((trials >= 0) & (trials == trials.floor()))


def _floating_parameter(x: Tensor, operation: str) -> Tensor:
    return as_floating(need_tensor(x, operation)).detach()


def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Indices drawn with probability proportional to the entries, for a vector or each row of a matrix.

    >>> import chainrule
    >>> chainrule.multinomial(chainrule.tensor([0.0, 3.0]), 2, replacement=True)
    tensor([1, 1])
    """
    weights = input.detach().to("float64")
    needed = 1 if replacement else num_samples
    check_numbers(_are_weights, weights, wrong=_are_no_weights, needed=needed, draws=num_samples)
    if replacement:
        edges = (weights / weights.sum(-1, keepdim=True)).cumsum(-1)
        shape = (*tuple(input.shape)[:-1], num_samples)
        draws = rand(shape, dtype="float64", device=input.device, generator=generator) * edges[..., -1:]
        return SearchSorted.apply(edges, draws, right=True)
    # The smallest of exponential waiting times with rates w are draws without replacement.
    waits = -(-rand_like(weights, generator=generator)).log1p() / weights
    return waits.masked_fill(weights == 0, math.inf).argsort(-1)[..., :num_samples]


def _are_weights(weights: Any, needed: int, draws: int) -> None:
    good = (weights >= 0) & (weights < math.inf)
    if not good.all():
        raise NumberRangeError(f"multinomial: weights are finite and not negative, got {weights[~good][0]:.4g}.")
    possible = (weights > 0).sum(-1).min()
    if possible < needed:
        raise NumberRangeError(
            f"multinomial: {draws} draws from rows with only {possible} positive weights; there must be {needed} or "
            "more."
        )


def _are_no_weights(weights: Tensor, needed: int, draws: int) -> Tensor:
    return (~((weights >= 0) & (weights < math.inf))).any(-1) | ((weights > 0).sum(-1) < needed)
