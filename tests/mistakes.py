"""Usual mistakes: what is written, and what chainrule says. `docs/errors.md` is made from this table, and tested."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import chainrule
from chainrule import nn


@dataclass(frozen=True)
class Mistake:
    """One row: a title, the code as it would be written, the error's class, and the beginning of what it says."""

    title: str
    code: str
    error: type[BaseException]
    says: tuple[str, ...]

    def make(self) -> None:
        """Do it."""
        with warnings.catch_warnings():
            warnings.simplefilter("error", chainrule.EvaluationWarning)
            exec(compile(self.code, self.title, "exec"), {"chainrule": chainrule, "nn": nn})


def _collect() -> list[Mistake]:
    return [
        Mistake(
            "Matrices that do not fit",
            "chainrule.ones(3, 4) @ chainrule.ones(3, 4)",
            chainrule.ShapeError,
            ("(3, 4) @ (3, 4)", "Did you mean x @ y.mT?"),
        ),
        Mistake(
            "Shapes that do not broadcast",
            "chainrule.ones(3, 4) + chainrule.ones(3)",
            chainrule.ShapeError,
            ("(3, 4) and (3,)", "unsqueeze"),
        ),
        Mistake(
            "A reshape that does not come out even",
            "chainrule.arange(10).reshape(3, -1)",
            chainrule.ShapeError,
            ("10 entries cannot take the shape (3, -1)",),
        ),
        Mistake(
            "The flatten before the first linear layer forgotten",
            "nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Linear(256, 10))(chainrule.ones(8, 1, 6, 6))",
            chainrule.ShapeError,
            ("2 (Linear)", "(8, 16, 4, 4)", "flatten(1)"),
        ),
        Mistake(
            "A linear layer of the wrong size",
            "nn.Sequential(nn.Flatten(), nn.Linear(400, 10))(chainrule.ones(8, 16, 4, 4))",
            chainrule.ShapeError,
            ("1 (Linear)", "(8, 256)", "400"),
        ),
        Mistake(
            "Images with the channels last",
            "nn.Conv2d(3, 8, 3)(chainrule.ones(2, 32, 32, 3))",
            chainrule.ShapeError,
            ("Conv2d", "(2, 32, 32, 3)", "3"),
        ),
        Mistake(
            "A NumPy array instead of a tensor",
            "import numpy\nnn.Linear(2, 1)(numpy.ones((4, 2)))",
            chainrule.DTypeError,
            ("ndarray", "chainrule.tensor("),
        ),
        Mistake(
            "float64 data, as NumPy makes them, into a float32 model",
            "import numpy\nnn.Linear(2, 1)(chainrule.tensor(numpy.ones((4, 2))))",
            chainrule.DTypeError,
            ("float64", "float32"),
        ),
        Mistake(
            "Class labels as floating-point numbers",
            "nn.CrossEntropyLoss()(chainrule.randn(4, 3), chainrule.tensor([0.0, 1.0, 2.0, 1.0]))",
            chainrule.DTypeError,
            (".long()",),
        ),
        Mistake(
            "A label that is no class",
            "nn.CrossEntropyLoss()(chainrule.randn(2, 3), chainrule.tensor([1, 3]))",
            chainrule.IndexRangeError,
            ("3",),
        ),
        Mistake(
            "A loss that would broadcast",
            "nn.MSELoss()(chainrule.ones(8, 1), chainrule.ones(8))",
            chainrule.ShapeError,
            ("(8, 1)", "(8,)", "squeeze"),
        ),
        Mistake(
            "backward() on more than one number",
            "(chainrule.ones(3, requires_grad=True) * 2).backward()",
            chainrule.GradientError,
            ("shape (3,)", "loss.mean()"),
        ),
        Mistake(
            "backward() twice",
            "loss = chainrule.ones(3, requires_grad=True).exp().sum()\nloss.backward()\nloss.backward()",
            chainrule.GradientError,
            ("retain_graph=True",),
        ),
        Mistake(
            "backward() on something without gradients",
            "with chainrule.no_grad():\n    loss = nn.Linear(2, 1)(chainrule.ones(1, 2)).sum()\nloss.backward()",
            chainrule.GradientError,
            ("no_grad",),
        ),
        Mistake(
            "A parameter changed in place",
            "weight = chainrule.ones(3, requires_grad=True)\nweight -= 0.1",
            chainrule.GradientError,
            ("in-place", "no_grad()"),
        ),
        Mistake(
            "numpy() of a tensor with gradients",
            "chainrule.ones(3, requires_grad=True).numpy()",
            chainrule.GradientError,
            (".detach().numpy()",),
        ),
        Mistake(
            "A gradient for integers",
            "chainrule.tensor([1, 2, 3]).requires_grad_()",
            chainrule.DTypeError,
            ("int64",),
        ),
        Mistake(
            "A mean of integers",
            "chainrule.tensor([1, 2, 3]).mean()",
            chainrule.DTypeError,
            (".float()",),
        ),
        Mistake(
            "`if` on many numbers",
            "if chainrule.tensor([1.0, -1.0]) > 0:\n    pass",
            chainrule.ShapeError,
            (".any() or .all()",),
        ),
        Mistake(
            "A Python branch inside a traced loop",
            "chainrule.scan(lambda h, x: (h + x if x > 0 else h, None), chainrule.tensor(0.0), chainrule.ones(3))",
            chainrule.TraceError,
            ("where",),
        ),
        Mistake(
            "A label that is no class, in a compiled step",
            "step = chainrule.compile(nn.functional.cross_entropy)\n"
            "step(chainrule.zeros(2, 3), chainrule.tensor([0, 2]))\n"
            "step(chainrule.zeros(2, 3), chainrule.tensor([1, 3]))",
            chainrule.IndexRangeError,
            ("label 3 at [1]", "Do the labels begin at 1?"),
        ),
        Mistake(
            "What a mask selects, in a compiled function",
            "chainrule.compile(lambda x: x[x > 0].max())(chainrule.ones(3))",
            chainrule.TraceError,
            ("how many entries", "where(mask, x, 0)"),
        ),
        Mistake(
            "A result whose size depends on numbers, in a compiled function",
            "chainrule.compile(lambda x: x.nonzero())(chainrule.ones(3))",
            chainrule.TraceError,
            ("nonzero needs the numbers",),
        ),
        Mistake(
            "An index outside of the tensor",
            "chainrule.ones(3, 4)[3]",
            chainrule.IndexRangeError,
            ("(3, 4)",),
        ),
        Mistake(
            "Weights of another model",
            "nn.Linear(2, 3).load_state_dict(nn.Linear(2, 4).state_dict())",
            chainrule.CheckpointError,
            ("weight", "(4, 2)", "(3, 2)"),
        ),
        Mistake(
            "super().__init__() forgotten in a module",
            "class Net(nn.Module):\n    def __init__(self):\n        self.layer = nn.Linear(2, 1)\nNet()",
            chainrule.ChainruleError,
            ("super().__init__()",),
        ),
        Mistake(
            "An optimiser without parameters",
            "chainrule.optim.SGD([], lr=0.1)",
            ValueError,
            ("parameters",),
        ),
        Mistake(
            "eval() forgotten",
            "model = nn.Sequential(nn.Linear(2, 8), nn.Dropout(), nn.Linear(8, 1))\n"
            "with chainrule.no_grad():\n    model(chainrule.ones(1, 2))",
            chainrule.EvaluationWarning,
            ("model.eval()", "1 (Dropout)"),
        ),
        Mistake(
            "A NaN, and the question where it comes from",
            "with chainrule.autograd.detect_anomaly():\n    (chainrule.tensor([0.5, 0.0]).log() * 0).sum()",
            FloatingPointError,
            ("Log made -inf", "[1]"),
        ),
    ]


MISTAKES: list[Mistake] = _collect()


def page() -> str:
    """The table as a Markdown page: code, and what is said."""
    parts = [
        "# Usual mistakes, and what chainrule says\n",
        "Made by `python -m tests.mistakes` from `tests/mistakes.py`; a test checks each row and that this page is up to",
        "date. Every error is a `ChainruleError` (or a plain `ValueError`) and also the built-in that it refines.\n",
        "```python\nimport chainrule\nfrom chainrule import nn\n```\n",
    ]
    for mistake in MISTAKES:
        parts += [f"## {mistake.title}\n", "```python", mistake.code, "```\n"]
        parts += ["```", message(mistake.make), "```\n"]
    return "\n".join(parts)


def message(make: Callable[[], None]) -> str:
    """The error that it raises, as Python prints it."""
    try:
        make()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


if __name__ == "__main__":
    with open("docs/errors.md", "w", encoding="utf-8") as file:
        file.write(page())
