"""The page docs/optimisers.md: every rule with the formula of its docstring, every schedule with its first line.

`python -m docs.make.optimisers` writes it; a test fails while it is old.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from pathlib import Path
from typing import Any

import chainrule
from chainrule import optim
from chainrule.optim import lr_scheduler
from chainrule.optim.swa_utils import SWALR

PAGE = Path(__file__).parents[1] / "optimisers.md"

HEAD = """# Optimisers and learning-rate schedules

Made from the docstrings by `python -m docs.make.optimisers`. What PyTorch has too is compared with it, fifty steps of
every option, in `tests/test_optim.py`, `tests/test_optim_rules.py` and `tests/test_schedules.py`; `AMSGrad` and `Lion`,
which it has not, are compared with their formulas. The second-order methods, `LBFGS` and `Newton`, and
`PerturbedGradientDescent` are explained in [Convergence](convergence.md).

Every first-order optimiser is two things: a rule, a pure function of parameter, gradient, what is remembered and the
settings, which reads as its formula (`optim.sgd.sgd`, `optim.adam.adam`, …); and a thin class that keeps what is
remembered and applies the rule to every parameter. θ is the parameter, g its gradient, η the learning rate `lr`,
λ `weight_decay`, β₁ and β₂ `betas`, ε `eps`, t the count of steps from 1. With `maximize=True` g is −∇L. Names and
shapes of the state are PyTorch's, so a saved `state_dict` of either loads in the other.

The step count and all that follows from it are tensors, and nothing branches on a tensor's value: every step is the
same program. `lr` may be a tensor of one number, which a schedule fills. With `differentiable=True` a step is recorded
and can be differentiated: by where it started, by the learning rate.

How notes and papers differ: the learning rate may stand inside of the momentum's velocity or outside (here, as in
PyTorch, outside); ε inside of the root or outside (outside, but for Adadelta); AMSGrad with bias correction
(`Adam(amsgrad=True)`) or without (`AMSGrad`).

"""

SCHEDULES_HEAD = """## Schedules

`schedule.step()` goes on by one: after each epoch, or after each batch. Call it after `optimizer.step()`. All have
`get_last_lr()`, `last_epoch`, `state_dict()` and `load_state_dict()`; and `satisfies_robbins_monro()`, which answers
whether Σ αₙ = ∞ (any distance can be travelled) and Σ αₙ² < ∞ (the noise dies out), with a reason.

![The curve of every schedule](figures/schedules.png)

`python -m docs.make.schedules` draws the figure.

| schedule | what it is | Robbins and Monro |
| --- | --- | --- |
"""

#: The order of the page.
ORDER = [
    "SGD", "ASGD", "Rprop", "Adagrad", "RMSprop", "Adadelta", "Adam", "AdamW", "AMSGrad", "Adamax", "NAdam", "RAdam",
    "Adafactor", "Lion", "Muon",
]  # fmt: skip

#: One of each for the table.
EXAMPLES = [
    "LambdaLR(o, lambda n: 1.0)", "MultiplicativeLR(o, lambda n: 1.0)", "StepLR(o, 30)", "MultiStepLR(o, [30, 60])",
    "ConstantLR(o)", "LinearLR(o)", "ExponentialLR(o, 0.9)", "PolynomialLR(o)", "RobbinsMonro(o)",
    "CosineAnnealingLR(o, 50)", "CosineAnnealingWarmRestarts(o, 10)", "CyclicLR(o, 0.01, 0.1)",
    "OneCycleLR(o, 0.1, 100)", "ReduceLROnPlateau(o)", "SequentialLR(o, [LinearLR(o), RobbinsMonro(o)], [5])",
    "ChainedScheduler([RobbinsMonro(o), StepLR(o, 30)])", "warmup_cosine(o, 5, 50)", "SWALR(o, 0.05)",
]  # fmt: skip

TAIL = """
In a composition the last part decides, or the product of all. The range test, which finds a rate to start from:

```python
from chainrule import models, nn, optim
from chainrule.data import DataLoader, digits

model, loss_function = models.MLP([64, 32, 10]), nn.CrossEntropyLoss()
optimizer, batches = optim.Adam(model.parameters()), DataLoader(digits(size=8).train, 32, shuffle=True)
found = optim.learning_rate_range_test(model, loss_function, batches, optimizer)
found.suggestion, found.draw("range.png")
```

Averages of weights (SWA, EMA) are in `optim.swa_utils`: `AveragedModel`, `update_bn`, `SWALR`.
"""


def formula(rule: Any) -> str:
    """The indented block of a docstring."""
    lines = (inspect.getdoc(rule) or "").split("\n")
    start = next(i for i, line in enumerate(lines) if line.startswith("    "))
    end = next(i for i, line in enumerate(lines) if i > start and line and not line.startswith("    "))
    return textwrap.dedent("\n".join(lines[start:end])).strip()


def remarks(rule: Any) -> str:
    """What a docstring says behind its formula: what the letters are, where it comes from; without its example."""
    text = (inspect.getdoc(rule) or "").split(">>>")[0].split("Args:")[0]
    behind = text.split("\n\n    ", 1)[1].partition("\n\n")[2]
    return " ".join(behind.split())


def rules() -> list[tuple[type, Any]]:
    """The classes that have a rule, and the rule: the function that has the name of the file."""
    found = []
    for name in sorted(optim.__all__, key=lambda name: ORDER.index(name) if name in ORDER else -1):
        kind = getattr(optim, name)
        if isinstance(kind, type) and issubclass(kind, optim.Optimizer) and kind.update is not optim.Optimizer.update:
            module = sys.modules[kind.__module__]
            found.append((kind, getattr(module, kind.__module__.split(".")[-1])))
    return found


def page() -> str:
    """The page, in Markdown."""
    parts = [HEAD]
    written: set[Any] = set()
    for kind, rule in rules():
        first_line = (inspect.getdoc(kind) or "").split("\n")[0].split(" The rule is")[0].split(" :func:")[0]
        first_line = first_line.split("; the rule is")[0].rstrip(".") + "."
        parts.append(f"## {kind.__name__}\n\n{first_line}\n\n")
        if rule in written and "\n    " not in (inspect.getdoc(kind) or "").split("Args:")[0]:
            parts.append(f"The rule is that of {next(k.__name__ for k, r in rules() if r is rule)}.\n\n")
            continue
        told = kind if rule in written else rule
        parts.append(f"```\n{formula(told)}\n```\n\n{textwrap.fill(remarks(told), 120)}\n\n")
        written.add(rule)
    parts.append(SCHEDULES_HEAD)
    for example in EXAMPLES:
        optimizer = optim.SGD([chainrule.zeros(1, requires_grad=True)], lr=0.1, momentum=0.9)
        names = {**vars(lr_scheduler), "SWALR": SWALR, "o": optimizer}
        verdict = eval(example, names).satisfies_robbins_monro()
        what = (inspect.getdoc(names[example.split("(")[0]]) or "").split("\n")[0]
        parts.append(f"| `{example}` | {what} | {'yes' if verdict else 'no'}: {verdict.reason} |\n")
    return "".join([*parts, TAIL])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
