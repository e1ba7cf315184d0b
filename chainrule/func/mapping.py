"""`vmap`: a function of one sample applied to a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from chainrule.cell import TensorCell
from chainrule.functions.control import flatten, rebuild
from chainrule.functions.pieces import stack
from chainrule.random import get_rng_state, set_rng_state
from chainrule.state import current_state


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """A function that applies `func` to every sample of a batch, and stacks what it gives.

    in_dims: for each argument the dimension that counts the samples, None for one that is the same for all; an integer
    for all arguments, or a nest for an argument that is one. out_dims: where the samples are counted in the outputs.
    randomness: "same" draws the same numbers for every sample; otherwise each sample has its own.

    The samples are computed one after the other, so the function may do anything, and choose by values; it is no
    faster than a loop. Where speed counts give the batch to layers and operations: they take one. `chunk_size` is taken
    and changes nothing.

    Of a batch without samples the function is run once, with a sample of zeros, to see what it gives: the answer has
    the shapes and types of that.

    Raises ValueError for batches of different sizes, and where no argument is a batch.

    >>> import chainrule
    >>> gradients = chainrule.vmap(chainrule.func.grad(lambda w, x: (w * x).sum() ** 2), in_dims=(None, 0))
    >>> gradients(chainrule.ones(2), chainrule.tensor([[1.0, 2.0], [0.0, 1.0]]))  # of each sample
    tensor([[ 6., 12.],
            [ 0.,  2.]])
    """
    if randomness not in ("error", "different", "same"):
        raise ValueError(f"vmap: randomness is 'error', 'different' or 'same', got {randomness!r}.")

    def mapped(*args: Any, **kwargs: Any) -> Any:
        dims = tuple(in_dims) if isinstance(in_dims, (tuple, list)) else (in_dims,) * len(args)
        if len(dims) != len(args):
            raise ValueError(f"vmap: in_dims is for {len(dims)} arguments, {len(args)} came.")
        sizes = {*_sizes(args, dims), *_sizes(kwargs, 0)}
        if len(sizes) != 1:
            found = " and ".join(map(str, sorted(sizes)))
            raise ValueError(f"vmap: the batches have {found} samples." if sizes else "vmap: no argument is a batch.")
        draws = _State(randomness == "same")
        results: list[Any] = []
        state, count = current_state(), sizes.pop()
        if not count:
            return _of_none(func, _with_one(args, dims), _with_one(kwargs, 0), dims, out_dims)
        kept = state.keeping
        try:
            for i in range(count):
                state.keeping = kept or i < count - 1  # a graph made outside serves every sample
                draws.restore()
                results.append(func(*_sample(args, dims, i), **_sample(kwargs, 0, i)))
        finally:
            state.keeping = kept
        return _stacked(results, out_dims)

    return mapped


def _with_one(nest: Any, dims: Any) -> Any:
    """Batches of a single sample, of zeros, in the place of batches of none."""
    if dims is None:
        return nest
    if isinstance(nest, TensorCell):
        shape = list(nest.shape)
        shape[dims] = 1
        return nest.new_zeros(shape)  # type: ignore[attr-defined]
    found = [(place, _with_one(part, dim)) for place, part, dim in _parts(nest, dims)]
    return dict(found) if isinstance(nest, dict) else type(nest)(part for _, part in found)


def _of_none(func: Callable[..., Any], args: Any, kwargs: Any, dims: Any, out_dims: Any) -> Any:
    """What a function of samples gives for none of them: stacks without entries. Random numbers stay undrawn."""
    state = get_rng_state()
    try:
        shown = _stacked([func(*_sample(args, dims, 0), **_sample(kwargs, 0, 0))], out_dims)
    finally:
        set_rng_state(state)
    return rebuild(shown, iter([x.narrow(dim, 0, 0) for x, dim in zip(flatten(shown), _spread(out_dims, shown))]))


class _State:
    """Where the random numbers stand, to be drawn again for every sample."""

    def __init__(self, repeated: bool) -> None:
        self.kept = get_rng_state() if repeated else None

    def restore(self) -> None:
        if self.kept is not None:
            set_rng_state(self.kept)


def _parts(nest: Any, dims: Any) -> Iterator[tuple[Any, Any, Any]]:
    """(name or place, part, its dimensions) of a dictionary, list or tuple."""
    places = nest if isinstance(nest, dict) else range(len(nest))
    for place in places:
        yield place, nest[place], dims if dims is None or isinstance(dims, int) else dims[place]


def _sizes(nest: Any, dims: Any) -> list[int]:
    if dims is None:
        return []
    if isinstance(nest, TensorCell):
        return [nest.shape[dims]]
    if not isinstance(nest, (dict, list, tuple)):
        raise ValueError(f"vmap: in_dims says that {nest!r} is a batch; say None for what is no tensor.")
    return [size for _, part, dim in _parts(nest, dims) for size in _sizes(part, dim)]


def _sample(nest: Any, dims: Any, i: int) -> Any:
    if dims is None:
        return nest
    if isinstance(nest, TensorCell):
        return nest.select(dims, i)  # type: ignore[attr-defined]
    found = [(place, _sample(part, dim, i)) for place, part, dim in _parts(nest, dims)]
    return dict(found) if isinstance(nest, dict) else type(nest)(part for _, part in found)


def _stacked(results: list[Any], dims: Any) -> Any:
    first = results[0]
    rows = [flatten(result) for result in results]
    places = _spread(dims, first)
    return rebuild(first, iter([stack(list(column), dim) for column, dim in zip(zip(*rows), places, strict=True)]))


def _spread(dims: Any, nest: Any) -> list[int]:
    """A dimension for each tensor in the nest."""
    if isinstance(dims, int):
        return [dims] * len(flatten(nest))
    return [place for _, part, dim in _parts(nest, dims) for place in _spread(dim, part)]
