"""Connectionist temporal classification: the likelihood of a label sequence, summed over all its alignments.

At each time step a network says a label or a blank. Said labels are read by joining repetitions and dropping blanks:
"a a – a b" reads "aab". The likelihood of a target is the sum over everything that reads so, by a recursion over time
on the target with a blank around every label, in logarithms.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.errors import DTypeError, IndexRangeError, ShapeError
from chainrule.functions.autocasting import in_single
from chainrule.functions.checking import check_numbers
from chainrule.functions.control import scan_again
from chainrule.functions.creation import arange, tensor
from chainrule.functions.gathering import gather
from chainrule.functions.logic import where
from chainrule.functions.pieces import cat, stack
from chainrule.functions.promotion import need_tensor
from chainrule.functions.shape import pad
from chainrule.nn.losses.classes import Loss, reduce
from chainrule.primitives.control import Memory
from chainrule.state import current_state
from chainrule.tensor import Tensor

#: ln 0, as a number that can be subtracted from itself: no path.
NEVER = -1e30


@in_single
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """−ln P(target) of each sequence, over all alignments.

    log_probs: (T, N, C) log-probabilities of each step, or (T, C); targets: (N, S) padded, or all of them one after the
    other, without the label `blank`; lengths: (N,) each. "mean" divides each loss by its target's length first.
    A target that no alignment fits (too long for its input) costs infinity, or 0 with `zero_infinity`.

    The gradient is that of this formula in `log_probs`: for each class −(the share of it in the target's alignments).

    Raises ShapeError where lengths and shapes do not fit, IndexRangeError for labels that are no classes or the blank.
    Source: Graves et al., "Connectionist temporal classification", 2006.

    >>> import chainrule
    >>> steps = chainrule.full((2, 1, 3), 1 / 3).log()      # "a a", "a –" and "– a" read "a": 3/9
    >>> ctc_loss(steps, chainrule.tensor([[1]]), [2], [1])
    tensor(1.0986)
    """
    x = need_tensor(log_probs, "ctc_loss")
    if x.ndim not in (2, 3):
        raise ShapeError(f"ctc_loss takes (T, N, C) or (T, C), got {tuple(x.shape)}.")
    if not x.dtype.is_floating_point:
        raise DTypeError(f"ctc_loss takes log-probabilities, got {x.dtype}.")
    alone, dtype = x.ndim == 2, x.dtype
    x = x.unsqueeze(1) if alone else x
    x = x.float() if dtype.itemsize == 2 else x  # halves cannot hold the sums of many steps
    steps, batch, classes = x.shape
    in_lengths, out_lengths = (_lengths(n, batch, "ctc_loss", x.device) for n in (input_lengths, target_lengths))
    check_numbers(_lengths_fit, in_lengths, out_lengths, wrong=_lengths_do_not_fit, steps=steps)
    if not 0 <= blank < classes:
        raise IndexRangeError(f"blank is one of the {classes} classes 0 … {classes - 1}, got {blank}.")
    labels = _padded(need_tensor(targets, "ctc_loss").detach().to(x.device), out_lengths, classes, blank)
    losses = -_log_likelihood(x, labels, in_lengths, out_lengths, blank)
    impossible = losses > -NEVER / 2
    bound = losses.new_full((), 0.0 if zero_infinity else float("inf"))
    losses = where(impossible, bound, losses)
    if reduction == "mean":
        counts = out_lengths.clamp(min=1).to(losses.dtype)
        return (losses / counts).mean().to(dtype)
    return reduce(losses.squeeze(0) if alone else losses, reduction).to(dtype)


def _lengths(lengths: Any, batch: int, name: str, device: Any) -> Tensor:
    """The lengths as a vector of integers."""
    found = lengths.detach() if isinstance(lengths, Tensor) else tensor(np.asarray(lengths, np.int64))
    found = found.to(device)
    if found.numel() != batch:
        raise ShapeError(f"{name}: one length for each of {batch} sequences, got {found.numel()}.")
    return found.reshape(-1).long()


def _lengths_fit(inputs: Any, targets: Any, steps: int) -> None:
    if inputs.max(initial=0) > steps or inputs.min(initial=0) < 0 or targets.min(initial=0) < 0:
        raise ShapeError(f"input_lengths lie in 0 … {steps}, target_lengths are not negative.")


def _lengths_do_not_fit(inputs: Tensor, targets: Tensor, steps: int) -> Tensor:
    return (inputs < 0) | (inputs > steps) | (targets < 0)


def _padded(targets: Tensor, lengths: Tensor, classes: int, blank: int) -> Tensor:
    """(N, S): every target, with the blank behind its end. S is the largest length, or what it can be while tracing."""
    batch = lengths.shape[0]
    if targets.ndim == 1:
        check_numbers(_all_are_there, lengths, wrong=_some_are_missing, count=targets.shape[0])
        longest = _longest(lengths, targets.shape[0])
        starts = (lengths.cumsum(0) - lengths).unsqueeze(1)
        places = (starts + arange(longest, device=starts.device)).clamp(0, max(targets.shape[0] - 1, 0))
        table = targets[places] if longest else targets.new_zeros((batch, 0))
    else:
        shape = tuple(targets.shape)
        check_numbers(_rows_suffice, lengths, wrong=_rows_are_short, shape=shape)
        longest = _longest(lengths, shape[1])
        table = targets[:, :longest]
    inside = arange(longest, device=lengths.device) < lengths.unsqueeze(1)
    check_numbers(_are_labels, table, inside, wrong=_are_no_labels, classes=classes, blank=blank)
    return where(inside, table.long(), blank)


def _longest(lengths: Tensor, most: int) -> int:
    return most if current_state().trace is not None else int(lengths.read().max(initial=0))


def _all_are_there(lengths: Any, count: int) -> None:
    if lengths.sum() != count:
        raise ShapeError(f"the targets have {count} labels, target_lengths add up to {lengths.sum()}.")


def _some_are_missing(lengths: Tensor, count: int) -> Tensor:
    return lengths.sum() != count


def _rows_suffice(lengths: Any, shape: tuple[int, ...]) -> None:
    longest = int(lengths.max(initial=0))
    if shape[0] != len(lengths) or shape[1] < longest:
        raise ShapeError(f"targets {shape} do not hold {len(lengths)} sequences of up to {longest} labels.")


def _rows_are_short(lengths: Tensor, shape: tuple[int, ...]) -> Tensor:
    return lengths > (shape[1] if shape[0] == lengths.shape[0] else -1)


def _are_labels(table: Any, inside: Any, classes: int, blank: int) -> None:
    if ((table < 0) | (table >= classes))[inside].any():
        raise IndexRangeError(f"labels are classes 0 … {classes - 1}, got {table[inside].tolist()}.")
    if (table == blank)[inside].any():
        raise IndexRangeError(
            f"a target has the label {blank}, which is the blank: it is what is between labels, never one of them. "
            "Number the classes from 1, or choose another `blank`."
        )


def _are_no_labels(table: Tensor, inside: Tensor, classes: int, blank: int) -> Tensor:
    wide = table.long()
    return inside & ((wide < 0) | (wide >= classes) | (wide == blank))


#: What a step does, for each form of a batch.
_noted_steps: Memory = {}


def _log_likelihood(x: Tensor, labels: Tensor, in_lengths: Tensor, out_lengths: Tensor, blank: int) -> Tensor:
    """ln P of each target: the forward recursion αₜ(s) = (αₜ₋₁(s) + αₜ₋₁(s−1) [+ αₜ₋₁(s−2)])·yₜ(s) in logarithms."""
    batch, count = labels.shape
    blanks = labels * 0 + blank
    states = stack([blanks, labels], 2).flatten(1)  # blank, a, blank, b, …
    states = cat([states, labels.new_full((batch, 1), blank)], 1)
    width = 2 * count + 1
    place = arange(width, device=x.device)
    # A label may be reached without the blank before it, unless it repeats the label before that.
    before = pad(states, [2, 0])[:, :width]
    may_skip = (states != blank) & (states != before) & (place >= 2)
    start = where(place < 1, x.new_zeros(()), x.new_full((), NEVER)).expand(batch, width)
    emitted = gather(x, 2, states.unsqueeze(0).expand(x.shape[0], batch, width))
    time = arange(x.shape[0], device=x.device)
    never = x.new_full((), NEVER)
    # At the first step the states are entered: the blank and the first label.
    entered = where(place < 2, x.new_zeros(()), never).expand(batch, width).clone()

    def step(state: tuple[Tensor, ...], row: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], None]:
        (alpha,), (said, is_first, is_inside) = state, row
        one = pad(alpha, [1, 0], value=NEVER)[:, :width]
        two = pad(alpha, [2, 0], value=NEVER)[:, :width].masked_fill(~may_skip, NEVER)
        reached = where(is_first, entered, _log_sum(alpha, one, two))
        new = (reached + said).clamp(min=NEVER)
        return (where(is_inside, new, alpha),), None

    rows = emitted, time == 0, (time.unsqueeze(1) < in_lengths).unsqueeze(2)
    (final,), _ = scan_again(step, (start.clone(),), rows, False, _noted_steps, (may_skip, entered))
    last = (2 * out_lengths).unsqueeze(1)
    ends = gather(final, 1, last).squeeze(1), gather(final, 1, (last - 1).clamp(min=0)).squeeze(1)
    second = where(out_lengths > 0, ends[1], never)
    return _log_sum(ends[0], second, never.expand(batch))


def _log_sum(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """ln(eᵃ + eᵇ + eᶜ)."""
    most = a.maximum(b).maximum(c).detach()
    return ((a - most).exp() + (b - most).exp() + (c - most).exp()).log() + most


class CTCLoss(Loss):
    """The likelihood of label sequences over all alignments; arguments as `functional.ctc_loss`.

    >>> import chainrule
    >>> CTCLoss()(chainrule.full((2, 1, 3), 1 / 3).log(), chainrule.tensor([[1]]), [2], [1])
    tensor(1.0986)
    """

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(self, log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any) -> Tensor:
        """Log-probabilities (T, N, C), targets (N, S), and the length of each."""
        return ctc_loss(
            log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity
        )
