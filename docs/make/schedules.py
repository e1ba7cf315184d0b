"""The figure of docs/optimisers.md: the curve of every learning-rate schedule.

`python -m docs.make.schedules` draws docs/figures/schedules.png.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import chainrule
from chainrule.optim import SGD, Optimizer
from chainrule.optim import lr_scheduler as s
from chainrule.optim.swa_utils import SWALR

FIGURES = Path(__file__).parents[1] / "figures"
STEPS = 100

#: For each panel its curves: what makes the schedule of an optimiser whose rate is 1.
PANELS: dict[str, dict[str, Callable[[Optimizer], s.LRScheduler]]] = {
    "StepLR, MultiStepLR": {
        "step_size=20, gamma=0.5": lambda o: s.StepLR(o, 20, 0.5),
        "milestones=[30, 70], gamma=0.3": lambda o: s.MultiStepLR(o, [30, 70], 0.3),
    },
    "ExponentialLR, LambdaLR, MultiplicativeLR": {
        "ExponentialLR, gamma=0.95": lambda o: s.ExponentialLR(o, 0.95),
        "LambdaLR, 1/(1 + n/20)": lambda o: s.LambdaLR(o, lambda n: 1 / (1 + n / 20)),
        "MultiplicativeLR, 0.98": lambda o: s.MultiplicativeLR(o, lambda n: 0.98),
    },
    "ConstantLR, LinearLR": {
        "ConstantLR, factor=0.3, total_iters=40": lambda o: s.ConstantLR(o, 0.3, 40),
        "LinearLR, start_factor=0.1, total_iters=60": lambda o: s.LinearLR(o, 0.1, total_iters=60),
    },
    "PolynomialLR": {f"power={p}": lambda o, p=p: s.PolynomialLR(o, STEPS, p) for p in (0.5, 1.0, 2.0)},
    "RobbinsMonro, b=10": {
        f"power={p}{', too slow' * (p == 0.5)}": lambda o, p=p: s.RobbinsMonro(o, 10.0, p) for p in (0.5, 0.75, 1.0)
    },
    "CosineAnnealingLR": {
        "T_max=100": lambda o: s.CosineAnnealingLR(o, STEPS),
        "T_max=25, eta_min=0.2": lambda o: s.CosineAnnealingLR(o, 25, 0.2),
    },
    "CosineAnnealingWarmRestarts": {
        "T_0=14, T_mult=2": lambda o: s.CosineAnnealingWarmRestarts(o, 14, 2),
        "T_0=25": lambda o: s.CosineAnnealingWarmRestarts(o, 25),
    },
    "CyclicLR": {
        mode: lambda o, mode=mode: s.CyclicLR(o, 0.1, 1.0, 10, 15, mode, gamma=0.98)
        for mode in ("triangular", "triangular2", "exp_range")
    },
    "OneCycleLR": {
        "cosine": lambda o: s.OneCycleLR(o, 1.0, STEPS),
        "linear, three_phase": lambda o: s.OneCycleLR(o, 1.0, STEPS, anneal_strategy="linear", three_phase=True),
    },
    "ReduceLROnPlateau": {
        "factor=0.3, patience=10, loss stands still": lambda o: s.ReduceLROnPlateau(o, factor=0.3, patience=10),
        "the same, loss falls until 60": lambda o: s.ReduceLROnPlateau(o, factor=0.3, patience=10),
    },
    "SequentialLR": {
        "warmup_cosine(o, 20, 100)": lambda o: s.warmup_cosine(o, 20, STEPS),
        "ConstantLR, then ExponentialLR": lambda o: s.SequentialLR(
            o, [s.ConstantLR(o, 0.5, STEPS), s.ExponentialLR(o, 0.95)], [40]
        ),
    },
    "ChainedScheduler, SWALR": {
        "LinearLR and StepLR": lambda o: s.ChainedScheduler([s.LinearLR(o, 0.1, total_iters=20), s.StepLR(o, 30, 0.5)]),
        "SWALR, swa_lr=0.3, anneal_epochs=30": lambda o: SWALR(o, 0.3, 30),
    },
}


def rates(make: Callable[[Optimizer], s.LRScheduler], falls_until: int = 0) -> list[float]:
    """The rate of each step; a plateau is shown a loss that falls for a while and then stands still."""
    optimizer = SGD([chainrule.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    schedule = make(optimizer)
    found = []
    for n in range(STEPS):
        found += schedule.get_last_lr()
        optimizer.step()
        if isinstance(schedule, s.ReduceLROnPlateau):
            schedule.step(1.0 - min(n, falls_until) / STEPS)
        else:
            schedule.step()
    return found


def main() -> None:
    """Draw the figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 11), dpi=110, layout="constrained")
    for axes, (title, curves) in zip(figure.subplots(4, 3, sharex=True).flat, PANELS.items(), strict=True):
        for label, make in curves.items():
            axes.plot(rates(make, falls_until=60 if "until" in label else 0), label=label)
        axes.set(title=title, ylim=(0, 1.5))
        axes.legend(fontsize=8, loc="upper right", frameon=False)
    figure.supxlabel("step")
    figure.supylabel("learning rate")
    FIGURES.mkdir(exist_ok=True)
    figure.savefig(FIGURES / "schedules.png")


if __name__ == "__main__":
    main()
