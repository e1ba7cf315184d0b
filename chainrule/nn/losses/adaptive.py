"""Adaptive softmax: for very many classes of which few are frequent. Rare ones cost less, and only when they occur."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import DTypeError, IndexRangeError, ShapeError
from chainrule.functions import activation
from chainrule.functions.checking import check_range
from chainrule.functions.counting import nonzero
from chainrule.functions.gathering import gather
from chainrule.functions.logic import where
from chainrule.functions.pieces import cat
from chainrule.functions.promotion import need_tensor
from chainrule.nn.container import ModuleList, Sequential
from chainrule.nn.linear import Linear
from chainrule.nn.module import Module
from chainrule.tensor import Tensor


class AdaptiveResult(NamedTuple):
    """The log-probability of each label, and the mean loss."""

    output: Tensor
    loss: Tensor


def _are_classes(labels: Any, low: int, high: int) -> None:
    if labels.size and not low <= labels.min() <= labels.max() <= high:
        raise IndexRangeError(f"labels are classes {low} … {high}, got {labels.min()} … {labels.max()}.")


class AdaptiveLogSoftmaxWithLoss(Module):
    """A softmax in two levels, with its negative log-likelihood.

    Classes are sorted by frequency and cut at `cutoffs`: the head decides between the first ones and the clusters of
    the others; each cluster has a smaller layer of its own, of in_features/div_valueⁱ hidden features.

    Input (N, in_features) with labels (N,), or (in_features,) with one; answers (output, loss). Raises ValueError for
    cutoffs that do not rise below `n_classes`, IndexRangeError for a label that is no class, DTypeError for labels
    that are no integers.

    Source: Grave et al., "Efficient softmax approximation for GPUs", 2017.

    >>> import chainrule
    >>> layer = AdaptiveLogSoftmaxWithLoss(16, 100, cutoffs=[10, 50])
    >>> layer(chainrule.ones(2, 16), chainrule.tensor([3, 70])).output.shape
    Size([2])
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        ends = list(cutoffs)
        rising = all(a < b for a, b in zip([0, *ends], [*ends, n_classes], strict=True))
        if not ends or not rising or not all(isinstance(c, int) for c in ends):
            raise ValueError(f"cutoffs are rising integers in 1 … {n_classes - 1}, got {ends}.")
        self.in_features, self.n_classes, self.cutoffs = in_features, n_classes, [*ends, n_classes]
        self.div_value, self.head_bias = div_value, head_bias
        self.shortlist_size, self.n_clusters = ends[0], len(ends)
        self.head_size = self.shortlist_size + self.n_clusters
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **kind)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            hidden = int(in_features // (div_value ** (i + 1)))
            size = self.cutoffs[i + 1] - self.cutoffs[i]
            layers = Linear(in_features, hidden, bias=False, **kind), Linear(hidden, size, bias=False, **kind)
            self.tail.append(Sequential(*layers))

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        self.head.reset_parameters()
        for projection, out in self.tail:
            projection.reset_parameters()
            out.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> AdaptiveResult:
        """Features and labels."""
        x, y = need_tensor(input_, "AdaptiveLogSoftmaxWithLoss"), need_tensor(target_, "AdaptiveLogSoftmaxWithLoss")
        if x.ndim not in (1, 2) or tuple(y.shape) != tuple(x.shape[:-1]):
            raise ShapeError(f"takes (N, features) and labels (N,), got {tuple(x.shape)} and {tuple(y.shape)}.")
        if y.dtype.is_floating_point:
            raise DTypeError(f"labels are integers, got {y.dtype}; convert them with .long().")
        check_range(_are_classes, y, 0, self.n_classes - 1)
        rows, labels = (x, y.long()) if x.ndim == 2 else (x.unsqueeze(0), y.long().reshape(1))
        head = activation.log_softmax(self.head(rows), 1)
        place = labels.clamp(max=self.shortlist_size - 1)
        output = gather(head, 1, place.unsqueeze(1)).squeeze(1)
        for i in range(self.n_clusters):
            output = self._with_cluster(i, rows, labels, head, output)
        return AdaptiveResult(output if x.ndim == 2 else output.squeeze(0), -output.mean())

    def _with_cluster(self, i: int, rows: Tensor, labels: Tensor, head: Tensor, output: Tensor) -> Tensor:
        """The output with the samples whose label is in cluster i put in; only they pass through its layers."""
        low, high = self.cutoffs[i], self.cutoffs[i + 1]
        inside = (labels >= low) & (labels < high)
        if not isinstance(inside.value.array, np.ndarray):
            # While tracing nobody knows which samples these are: all pass, and the others' results are not used.
            within = self._within(i, rows, (labels - low).clamp(0, high - low - 1))
            return where(inside, head[:, self.shortlist_size + i] + within, output)
        chosen = nonzero(inside).squeeze(1)
        if not chosen.numel():
            return output
        within = self._within(i, rows[chosen], labels[chosen] - low)
        return output.index_copy(0, chosen, head[chosen, self.shortlist_size + i] + within)

    def _within(self, i: int, rows: Tensor, labels: Tensor) -> Tensor:
        """The log-probabilities of labels among the classes of cluster i."""
        return gather(activation.log_softmax(self.tail[i](rows), 1), 1, labels.unsqueeze(1)).squeeze(1)

    def log_prob(self, input: Tensor) -> Tensor:
        """The log-probabilities of all classes: (N, in_features) to (N, n_classes)."""
        head = activation.log_softmax(self.head(input), 1)
        parts = [head[:, : self.shortlist_size]]
        for i, layers in enumerate(self.tail):
            parts.append(activation.log_softmax(layers(input), 1) + head[:, self.shortlist_size + i].unsqueeze(1))
        return cat(parts, 1)

    def predict(self, input: Tensor) -> Tensor:
        """The most probable class of each sample: (N, in_features) to (N,)."""
        return self.log_prob(input).argmax(1)
