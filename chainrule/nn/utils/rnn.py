"""Sequences of different lengths in one batch: padded to the longest, or packed without the padding.

A packed sequence lists the entries step by step: first the first of every sequence, then the second of every one
that has a second, and so on; sequences stand longest first, so those that go on are always the first ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.devices import CPU
from chainrule.errors import ShapeError
from chainrule.functions.creation import tensor
from chainrule.functions.pieces import stack
from chainrule.functions.promotion import need_tensor
from chainrule.functions.shape import pad
from chainrule.tensor import Tensor


class PackedSequence(NamedTuple):
    """Sequences of different lengths without padding; made by `pack_padded_sequence` and `pack_sequence`.

    Attributes:
        data: (Σ lengths, …), all entries, step by step.
        batch_sizes: for each step how many sequences are that long.
        sorted_indices: which sequence of the batch stands where, longest first; None if they stood so.
        unsorted_indices: the way back.

    >>> import chainrule
    >>> packed = pack_sequence([chainrule.tensor([1.0, 2.0, 3.0]), chainrule.tensor([4.0])])
    >>> packed.data, packed.batch_sizes
    (tensor([1., 4., 2., 3.]), tensor([2, 1, 1]))
    """

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The same with the data converted, as `Tensor.to`."""
        return self._replace(data=self.data.to(*args, **kwargs))

    def double(self) -> PackedSequence:
        """To float64."""
        return self.to("float64")

    def float(self) -> PackedSequence:
        """To float32."""
        return self.to("float32")

    def half(self) -> PackedSequence:
        """To float16."""
        return self.to("float16")

    def cpu(self) -> PackedSequence:
        """Itself: everything is on the CPU."""
        return self

    def lengths(self) -> Any:
        """The length of each sequence as a NumPy array, longest first."""
        sizes = np.asarray(self.batch_sizes)
        return (np.arange(sizes[0])[:, None] < sizes[None]).sum(1)

    def places(self) -> tuple[Tensor, Tensor]:
        """For each row of the data its step and its sequence (longest first)."""
        steps, rows = np.nonzero(np.arange(len(self.lengths()))[None] < np.asarray(self.batch_sizes)[:, None])
        return tensor(steps, device=CPU), tensor(rows, device=CPU)

    def padded(self) -> Tensor:
        """(T, N, …) with zeros behind the ends, longest first."""
        shape = (len(self.batch_sizes), len(self.lengths()), *self.data.shape[1:])
        return self.data.new_zeros(shape).index_put(self.places(), self.data)


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes another.

    >>> import chainrule
    >>> invert_permutation(chainrule.tensor([2, 0, 1]))
    tensor([1, 2, 0])
    """
    return None if permutation is None else permutation.argsort()


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack padded sequences: (T, N, …), or (N, T, …) with `batch_first`, and the length of each.

    Raises ShapeError for lengths that are not one for each sequence, in 1 … T; ValueError if they do not fall
    although `enforce_sorted` says so (False sorts them, and unpacking restores the order).

    >>> import chainrule
    >>> x = chainrule.tensor([[1, 2], [3, 0]])
    >>> pack_padded_sequence(x, [1, 2], batch_first=True, enforce_sorted=False).data
    tensor([3, 1, 0])
    """
    x = need_tensor(input, "pack_padded_sequence")
    x = x.transpose(0, 1) if batch_first else x
    counts = np.asarray(lengths).reshape(-1)
    steps, batch = x.shape[:2]
    if counts.shape != (batch,) or batch == 0 or counts.min() < 1 or counts.max() > steps:
        raise ShapeError(
            f"lengths are {batch} numbers in 1 … {steps} for sequences {tuple(input.shape)}, got {counts.tolist()}."
        )
    order = None
    if enforce_sorted:
        if (np.diff(counts) > 0).any():
            raise ValueError(f"the lengths {counts.tolist()} do not fall; enforce_sorted=False sorts them.")
    else:
        order = tensor(np.argsort(-counts, kind="stable"), device=CPU)
        x, counts = x.index_select(1, order), counts[np.asarray(order)]
    sizes = (counts[None] > np.arange(counts[0])[:, None]).sum(1)
    packed = PackedSequence(x, tensor(sizes, device=CPU), order, invert_permutation(order))
    return packed._replace(data=x[packed.places()])


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """The padded sequences and their lengths, in the order in which they were packed.

    Padding is `padding_value`, up to the longest or to `total_length`. Raises ValueError if that is too short.

    >>> import chainrule
    >>> packed = pack_sequence([chainrule.tensor([1.0, 2.0]), chainrule.tensor([3.0])])
    >>> pad_packed_sequence(packed, batch_first=True)
    (tensor([[1., 2.], [3., 0.]]), tensor([2, 1]))
    """
    steps = len(sequence.batch_sizes)
    if total_length is not None and total_length < steps:
        raise ValueError(f"total_length is {total_length}, but the longest sequence has {steps} entries.")
    lengths = tensor(sequence.lengths(), device=CPU)
    shape = (steps if total_length is None else total_length, len(lengths), *sequence.data.shape[1:])
    x = sequence.data.new_full(shape, padding_value).index_put(sequence.places(), sequence.data)
    if sequence.unsorted_indices is not None:
        x, lengths = x.index_select(1, sequence.unsorted_indices), lengths[sequence.unsorted_indices]
    return (x.transpose(0, 1) if batch_first else x), lengths


def pad_sequence(
    sequences: Any, batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Sequences (Lᵢ, …) as one tensor (T, N, …), or (N, T, …) with `batch_first`, padded to the longest.

    Raises ValueError for a padding side that is neither "right" nor "left", ShapeError for entries of different shapes.

    >>> import chainrule
    >>> pad_sequence([chainrule.tensor([1, 2]), chainrule.tensor([3])], batch_first=True)
    tensor([[1, 2], [3, 0]])
    """
    if padding_side not in ("right", "left"):
        raise ValueError(f"padding_side is 'right' or 'left', got {padding_side!r}.")
    rows = list(sequences)
    if not rows:
        raise ValueError("pad_sequence got no sequences.")
    if any(x.shape[1:] != rows[0].shape[1:] for x in rows):
        raise ShapeError(f"the entries must have one shape, got {sorted({tuple(x.shape[1:]) for x in rows})}.")
    steps = max(x.shape[0] for x in rows)
    longer = []
    for x in rows:
        missing = steps - x.shape[0]
        around = (0, missing) if padding_side == "right" else (missing, 0)
        longer.append(pad(x, [*[0, 0] * (x.ndim - 1), *around], value=padding_value) if missing else x)
    return stack(longer, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """The sequences without their padding, as a list.

    >>> import chainrule
    >>> unpad_sequence(chainrule.tensor([[1, 2], [3, 0]]), [2, 1], batch_first=True)
    [tensor([1, 2]), tensor([3])]
    """
    x = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [row[: int(length)] for row, length in zip(x, np.asarray(lengths), strict=True)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack a list of sequences (Lᵢ, …); see `pack_padded_sequence`.

    >>> import chainrule
    >>> pack_sequence([chainrule.tensor([1, 2]), chainrule.tensor([3])]).data
    tensor([1, 3, 2])
    """
    lengths = [x.shape[0] for x in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences of a packed one, as a list.

    >>> import chainrule
    >>> unpack_sequence(pack_sequence([chainrule.tensor([1, 2]), chainrule.tensor([3])]))
    [tensor([1, 2]), tensor([3])]
    """
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)


__all__ = [
    "PackedSequence", "invert_permutation", "pack_padded_sequence", "pack_sequence", "pad_packed_sequence",
    "pad_sequence", "unpack_sequence", "unpad_sequence",
]  # fmt: skip
