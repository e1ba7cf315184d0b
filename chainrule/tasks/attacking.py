"""Attacks on the classifier of a run: how much of its accuracy is left, and what the attacked images look like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from chainrule import robust
from chainrule.autodiff.mode import no_grad
from chainrule.compiler.function import compile
from chainrule.functions.creation import tensor
from chainrule.functions.pieces import cat
from chainrule.random import manual_seed
from chainrule.tasks.kinds import load_task
from chainrule.tasks.making import write_grid
from chainrule.tasks.run import OpenRun, open_run
from chainrule.tensor import Tensor

METHODS = ("fgsm", "pgd", "square", "deep_fool")
#: Images at once, and in a picture.
BATCH, SHOWN = 256, 10


class Attacked(NamedTuple):
    """What an attack did with one ε (NaN for DeepFool, which has none).

    Attributes:
        epsilon: the largest change, in units of pixels from 0 to 1.
        accuracy: the share of images that are still read rightly.
        change: the mean Euclidean length of the changes.
    """

    epsilon: float
    accuracy: float
    change: float


def attack_run(
    path: str | Path,
    method: str = "pgd",
    epsilons: Sequence[float] = (0.3,),
    *,
    steps: int | None = None,
    restarts: int = 1,
    norm: float = float("inf"),
    count: int = 1000,
    seed: int = 0,
    picture: str | Path | None = None,
    data_root: str | None = None,
) -> tuple[float, list[Attacked]]:
    """Attack the best weights of a run on its first test images; the answer: clean accuracy, and a row for each ε.

    Args:
        path: the run's folder; it classifies images.
        method: "fgsm", "pgd", "square" or "deep_fool".
        epsilons: the largest changes, in units of pixels from 0 to 1.
        steps: of `robust.pgd` and `robust.deep_fool`, 40 unless given; tries of `robust.square_attack`, 1,000.
        restarts, norm: of `robust.pgd`.
        count: so many images.
        seed: of the random starts and squares.
        picture: a file for originals, attacked images and differences (grey is none), of the last ε.
        data_root: where known data are now.

    Raises ValueError for another method, an ε out of [0, 1], or a run that does not classify images.
    """
    if method not in METHODS:
        raise ValueError(f"the attacks are {', '.join(METHODS)}, got {method!r}.")
    for epsilon in epsilons:
        if not 0 <= epsilon <= 1:
            raise ValueError(f"epsilon is a change of pixels from 0 to 1, so at most 1, got {epsilon}.")
    opened = open_run(path)
    if opened.task.kind != "images":
        raise ValueError(f"{path} classifies no images, so there is nothing to attack.")
    images, labels = _first_images(opened, count, data_root)
    steps = (1000 if method == "square" else 40) if steps is None else steps
    manual_seed(seed)
    model = _on_pixels(opened)
    clean = _accuracy(model, images, labels)
    rows: list[Attacked] = []
    changed = images
    for epsilon in (float("nan"),) if method == "deep_fool" else epsilons:
        changed = _in_batches(_attack(method, model, epsilon, steps, restarts, norm), images, labels)
        right = ((_answers(model, images) == labels) & (_answers(model, changed) == labels)).float().mean().item()
        rows.append(Attacked(float(epsilon), right, (changed - images).flatten(1).norm(dim=1).mean().item()))
    if picture is not None:
        few = images[:SHOWN], changed[:SHOWN], ((changed - images)[:SHOWN] + 1) / 2
        write_grid(cat(list(few)), Path(picture), columns=len(few[0]))
    return clean, rows


def _first_images(opened: OpenRun, count: int, data_root: str | None) -> tuple[Tensor, Tensor]:
    """Test images as pixels in [0, 1]."""
    settings = opened.task.settings
    _, parts = load_task(settings if data_root is None else settings.changed(data_root=data_root))
    images, labels = parts.test[:count]
    mean, std = _scale(opened)
    return (images * std + mean).clamp(0, 1), labels


def _scale(opened: OpenRun) -> tuple[Tensor, Tensor]:
    mean, std = (tensor(opened.task.facts[name]).float().reshape(-1, 1, 1) for name in ("mean", "std"))
    return mean, std


def _on_pixels(opened: OpenRun) -> Callable[[Tensor], Tensor]:
    """The model as a function of pixels in [0, 1]."""
    mean, std = _scale(opened)
    model = opened.model.eval()
    return lambda x: model((x - mean) / std)


def _attack(method: str, model: Any, epsilon: float, steps: int, restarts: int, norm: float) -> Any:
    """From images and labels to attacked images."""
    if method == "fgsm":
        return partial(robust.fgsm, model, epsilon=epsilon)
    if method == "pgd":
        return partial(
            robust.pgd, model, epsilon=epsilon, steps=steps, restarts=restarts, norm=norm, step=compile(robust.pgd_step)
        )
    if method == "square":
        return partial(robust.square_attack, compile(model), epsilon=epsilon, tries=steps)
    return lambda x, labels: robust.deep_fool(model, x, steps=steps)


def _in_batches(attack: Any, images: Tensor, labels: Tensor) -> Tensor:
    return cat([attack(x=images[i : i + BATCH], labels=labels[i : i + BATCH]) for i in range(0, len(images), BATCH)])


def _answers(model: Any, images: Tensor) -> Tensor:
    with no_grad():
        return cat([model(images[i : i + BATCH]).argmax(1) for i in range(0, len(images), BATCH)])


def _accuracy(model: Any, images: Tensor, labels: Tensor) -> float:
    return float((_answers(model, images) == labels).float().mean().item())
