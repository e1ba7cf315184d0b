"""What to fine-tune, by how much data the new task has and how like the old one it is."""

from __future__ import annotations

from typing import NamedTuple

#: Below so many labelled samples a target counts as small. A rule of thumb: what matters is whether they overfit.
SMALL = 5000

#: A similarity below this counts as different.
SIMILAR = 0.5


class Advice(NamedTuple):
    """What to do.

    Attributes:
        train: which part learns: "head", "later layers", "everything" (from the pre-trained weights), "from scratch".
        encoder_rate: the learning rate of the pre-trained layers that learn, as a share of the head's; 0 if none does.
        reason: why, in a sentence or two.
    """

    train: str
    encoder_rate: float
    reason: str


def advise(
    target_size: int | str,
    similarity: float | str,
    source_size: int | None = None,
    same_input: bool = True,
) -> Advice:
    """What to fine-tune, given the size of the target data set (T2) and how like the source task (T1) it is.

    Transfer works where both tasks have the same kind of input, where T1 has much more data than T2, and where the
    low-level features of T1 are of use in T2. The head is always replaced and trained. Beyond it:

    =========  ==================================  ============================================
    target     similar                             different
    =========  ==================================  ============================================
    small      the head alone                      the later layers; the early ones stay frozen
    large      everything, at a lower rate         everything, starting from what was learned
    =========  ==================================  ============================================

    Args:
        target_size: labelled samples of the new task, or "small" or "large". Less than 5000 count as small.
        similarity: from 0 (nothing in common) to 1 (the same), or "different" or "similar". Below 0.5 is different.
        source_size: samples that the pre-trained model has seen, if known.
        same_input: whether both tasks have the same kind of input, for instance both colour images.

    Raises ValueError for anything else.

    >>> advise(500, "similar").train
    'head'
    >>> advise("large", 0.2).train
    'everything'
    """
    small = _is_small(target_size)
    alike = _is_similar(similarity)
    if not same_input:
        return Advice("from scratch", 1.0, "The inputs are of another kind, so not even the low-level features fit.")
    if source_size is not None and isinstance(target_size, int) and target_size >= source_size:
        return Advice("from scratch", 1.0, "The new task has no less data than the old one: there is little to gain.")
    if small and alike:
        reason = "The features fit, and so little data would overfit more parameters: train the new head alone."
        return Advice("head", 0.0, reason)
    if small:
        reason = (
            "Low-level features fit, high-level ones do not: keep the early layers frozen, train the later ones and "
            "the head. Augment, and stop early: there is little data."
        )
        return Advice("later layers", 0.1, reason)
    if alike:
        reason = "There is data enough to adapt all layers; a lower rate keeps what fits already. Train the head first."
        return Advice("everything", 0.1, reason)
    reason = "There is enough data to learn other features; starting from learned ones is still faster than from noise."
    return Advice("everything", 0.5, reason)


def _is_small(size: int | str) -> bool:
    if isinstance(size, str):
        if size not in ("small", "large"):
            raise ValueError(f'the size is "small", "large" or how many samples, got {size!r}.')
        return size == "small"
    if size < 0:
        raise ValueError(f"a data set has no {size} samples.")
    return size < SMALL


def _is_similar(similarity: float | str) -> bool:
    if isinstance(similarity, str):
        if similarity not in ("similar", "different"):
            raise ValueError(f'the similarity is "similar", "different" or from 0 to 1, got {similarity!r}.')
        return similarity == "similar"
    if not 0 <= similarity <= 1:
        raise ValueError(f"the similarity is from 0 to 1, got {similarity}.")
    return similarity >= SIMILAR
