"""PyTorch's functions at the top level whose arguments stand in another order than those of `nn.functional`.

`torch.batch_norm`, `torch.embedding` and their like are the operators below `nn.functional`: the weight may come first,
nothing has a default that depends on a mode, and a reduction is a number: 0 none, 1 mean, 2 sum, and none by default,
as PyTorch computes there (its schemas say mean). A program that calls them means their order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainrule.nn import dropout as dropouts
from chainrule.nn.embedding import embedding as _embedding
from chainrule.nn.losses import binary, ctc, distribution
from chainrule.nn.losses import margin as margins
from chainrule.nn.normalisation import functions as norms
from chainrule.nn.pooling.adaptive import adaptive_max_pool1d_with_indices

if TYPE_CHECKING:
    from chainrule.tensor import Tensor

_REDUCTIONS = ("none", "mean", "sum")

#: At the top level it always answers with the places too.
adaptive_max_pool1d = adaptive_max_pool1d_with_indices


def _reduction(number: int) -> str:
    if number not in (0, 1, 2):
        raise ValueError(
            f"at the top level reduction is a number, 0 (none), 1 (mean) or 2 (sum), got {number!r}; the functions of "
            "nn.functional take the words."
        )
    return _REDUCTIONS[number]


def batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Tensor:
    """`nn.functional.batch_norm` with the weight before the running statistics; `cudnn_enabled` changes nothing.

    >>> import chainrule
    >>> chainrule.batch_norm(chainrule.tensor([[1.0], [3.0]]), None, None, None, None, True, 0.1, 1e-5, False)
    tensor([[-1.0000],
            [ 1.0000]])
    """
    return norms.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def instance_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Tensor:
    """`nn.functional.instance_norm` with the weight before the running statistics; `cudnn_enabled` changes nothing."""
    return norms.instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


def layer_norm(
    input: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    """`nn.functional.layer_norm`; `cudnn_enable` changes nothing."""
    return norms.layer_norm(input, normalized_shape, weight, bias, eps)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:
    """`nn.functional.group_norm`; `cudnn_enabled` changes nothing."""
    return norms.group_norm(input, num_groups, weight, bias, eps)


def embedding(
    weight: Tensor, indices: Tensor, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Tensor:
    """`nn.functional.embedding` with the table first: weight[indices]. A padding_idx of −1 is none.

    >>> import chainrule
    >>> chainrule.embedding(chainrule.eye(3), chainrule.tensor([2]))
    tensor([[0., 0., 1.]])
    """
    padding = None if padding_idx == -1 else padding_idx
    return _embedding(indices, weight, padding, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)


def dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """`nn.functional.dropout`, whose probability and mode must be said.

    >>> import chainrule
    >>> chainrule.dropout(chainrule.ones(2), 0.5, False)
    tensor([1., 1.])
    """
    return dropouts.dropout(input, p, train)


def dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """`dropout` in place."""
    return dropouts.dropout(input, p, train, inplace=True)


def alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """`nn.functional.alpha_dropout`, whose probability and mode must be said."""
    return dropouts.alpha_dropout(input, p, train)


def alpha_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """`alpha_dropout` in place."""
    return dropouts.alpha_dropout(input, p, train, inplace=True)


def feature_alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """`nn.functional.feature_alpha_dropout`, whose probability and mode must be said."""
    return dropouts.feature_alpha_dropout(input, p, train)


def feature_alpha_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """`feature_alpha_dropout` in place."""
    return dropouts.feature_alpha_dropout(input, p, train, inplace=True)


def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, weight: Tensor | None = None, pos_weight: Tensor | None = None, reduction: int = 0
) -> Tensor:
    """`nn.functional.binary_cross_entropy_with_logits`; reduction: 0, 1 or 2 for none, mean or sum."""
    return binary.binary_cross_entropy_with_logits(
        input, target, weight, reduction=_reduction(reduction), pos_weight=pos_weight
    )


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 0
) -> Tensor:
    """`nn.functional.cosine_embedding_loss`; reduction: 0, 1 or 2 for none, mean or sum."""
    return margins.cosine_embedding_loss(input1, input2, target, margin, reduction=_reduction(reduction))


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 0
) -> Tensor:
    """`nn.functional.margin_ranking_loss`; reduction: 0, 1 or 2 for none, mean or sum."""
    return margins.margin_ranking_loss(input1, input2, target, margin, reduction=_reduction(reduction))


def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, reduction: int = 0) -> Tensor:
    """`nn.functional.hinge_embedding_loss`; reduction: 0, 1 or 2 for none, mean or sum."""
    return margins.hinge_embedding_loss(input, target, margin, reduction=_reduction(reduction))


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: int = 0,
) -> Tensor:
    """`nn.functional.triplet_margin_loss`; reduction: 0, 1 or 2 for none, mean or sum."""
    return margins.triplet_margin_loss(
        anchor, positive, negative, margin, p, eps, swap, reduction=_reduction(reduction)
    )


def kl_div(input: Tensor, target: Tensor, reduction: int = 0, *, log_target: bool = False) -> Tensor:
    """`nn.functional.kl_div`; reduction: 0, 1 or 2 for none, mean or sum.

    >>> import chainrule
    >>> chainrule.kl_div(chainrule.tensor([0.5, 0.5]).log(), chainrule.tensor([1.0, 0.0]), 2)
    tensor(0.6931)
    """
    return distribution.kl_div(input, target, reduction=_reduction(reduction), log_target=log_target)


def poisson_nll_loss(input: Tensor, target: Tensor, log_input: bool, full: bool, eps: float, reduction: int) -> Tensor:
    """`nn.functional.poisson_nll_loss`; reduction: 0, 1 or 2 for none, mean or sum."""
    return distribution.poisson_nll_loss(input, target, log_input, full, eps=eps, reduction=_reduction(reduction))


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: int = 0,
    zero_infinity: bool = False,
) -> Tensor:
    """`nn.functional.ctc_loss`; reduction: 0, 1 or 2 for none, mean or sum."""
    return ctc.ctc_loss(log_probs, targets, input_lengths, target_lengths, blank, _reduction(reduction), zero_infinity)
