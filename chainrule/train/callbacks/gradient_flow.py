"""How signal and gradient flow through a network while it trains: too small, too large, off, or well."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

from chainrule.figures import new_figure
from chainrule.functions.creation import tensor
from chainrule.train.callbacks.callback import Callback

if TYPE_CHECKING:
    from rich.table import Table

    from chainrule.train.trainer import Batch, Trainer

#: When more looks than this are kept, every second one is dropped.
MOST = 400


class GradientFlow(Callback):
    """Measures layers and parameters every `every` steps, within the step of the optimiser.

    Of each parameter: the norms of gradient, weight and update, and update/weight, which is about 10⁻³ where learning
    goes well. Of each layer: the variance of its output and of the gradient that comes back to it. Of ReLU: the
    share of units that are above zero for no sample of the batch (dead); of sigmoid and tanh: the share of entries
    beyond ±3.5 and ±2 at the input, where the slope is nearly gone (saturated). What a module's forward calls as a
    function (`functional.relu`) stands in the row of that module.

    It is shown live by `ProgressBar(beside=[flow])`, as pictures by `draw`, and in a run's report with `chainrule train
    --gradient-flow 20`. Training computes the same with it and without; a compiled step that is looked at is another
    program, so results may differ in the last bit. Nothing is measured of optimisers that
    compute the loss themselves.

    Args:
        every: how many steps lie between two looks; the first step is looked at.

    Attributes:
        steps: the steps that were looked at.
        looks: for each of these {path: {"gradient": …, "weight": …, "update": …}} and {path: {"variance": …, …}}.

    >>> import chainrule
    >>> from chainrule.train import Trainer
    >>> model, flow = chainrule.nn.Sequential(chainrule.nn.Linear(2, 3), chainrule.nn.ReLU()), GradientFlow(every=2)
    >>> optimizer = chainrule.optim.SGD(model.parameters(), lr=0.1)
    >>> trainer = Trainer(model, chainrule.nn.MSELoss(), optimizer, callbacks=[flow], compile=False)
    >>> _ = trainer.fit([(chainrule.ones(4, 2), chainrule.zeros(4, 3))] * 5)
    >>> flow.steps, sorted(flow.looks[0])
    ([1, 3, 5], ['0', '0.bias', '0.weight', '1'])
    """

    def __init__(self, every: int = 20) -> None:
        if every < 1:
            raise ValueError(f"GradientFlow: a look every so many steps, at least 1, got {every}.")
        self.every = every
        self.steps: list[int] = []
        self.looks: list[dict[str, dict[str, float]]] = []
        self._kept = 1  # of so many looks one is kept

    def looks_inside(self, trainer: Trainer) -> bool:
        """In the first step and then every so many."""
        return trainer.steps % (self.every * self._kept) < trainer.accumulate

    def on_batch_end(self, trainer: Trainer, batch: Batch) -> None:
        """Keep what was measured."""
        self._keep(trainer.steps, batch)

    def on_divergence(self, trainer: Trainer, batch: Batch) -> None:
        """The step that diverged has not been counted yet."""
        self._keep(trainer.steps + 1, batch)

    def _keep(self, step: int, batch: Batch) -> None:
        if batch.inside is None:
            return
        self.steps, self.looks = [*self.steps, step], [*self.looks, batch.inside]
        if len(self.steps) > MOST:
            self._kept *= 2
            self.steps, self.looks = self.steps[::2], self.looks[::2]

    def series(self, path: str, name: str) -> list[float]:
        """One number over the steps; "update ratio" is update/weight. NaN where it was not measured."""
        return [_number(look.get(path, {}), name) for look in self.looks]

    def paths(self, name: str) -> list[str]:
        """The layers or parameters of which a number was measured, in the order of the network."""
        found = dict.fromkeys(path for look in self.looks for path in look)
        return [path for path in found if any(not math.isnan(x) for x in self.series(path, name))]

    def rows(self) -> list[dict[str, Any]]:
        """The latest look as a table: a row for each layer or parameter."""
        if not self.looks:
            return []
        names = ("gradient", "update ratio", "variance", "gradient variance", "dead", "saturated")
        return [
            {"": path, **{name: x for name in names if not math.isnan(x := _number(numbers, name))}}
            for path, numbers in self.looks[-1].items()
        ]

    def __rich__(self) -> Table:
        """The latest look, for the terminal."""
        from rich import box
        from rich.table import Table

        rows = self.rows()
        names = list(dict.fromkeys(name for row in rows for name in row if name))
        table = Table(box=box.SIMPLE, title=f"step {self.steps[-1]}" if self.steps else "", title_justify="left")
        table.add_column("")
        for name in names:
            table.add_column(name, justify="right")
        for row in rows:
            table.add_row(row[""], *(_marked(name, row.get(name)) for name in names))
        return table

    def draw(self) -> bytes:
        """Gradients, updates, variances and units that are off, by layer and step, as a PNG."""
        weights = [path for path in self.paths("gradient") if not path.endswith("bias")]
        layers = self.paths("variance")
        panels = [
            ("gradient", "norm of the gradient", weights), ("update ratio", "update / weight", weights),
            ("variance", "variance of the output", layers),
            ("gradient variance", "variance of the gradient", self.paths("gradient variance")),
            ("dead", "share of dead units", self.paths("dead")),
            ("saturated", "share of saturated entries", self.paths("saturated")),
        ]  # fmt: skip
        panels = [panel for panel in panels if panel[2]]
        height = 1.1 + 0.16 * max([len(paths) for _, _, paths in panels], default=1)
        rows = -(-len(panels) // 2)
        figure = new_figure(11, rows * min(max(height, 2.4), 9), 100)
        grid = list(figure.subplots(max(rows, 1), 2, squeeze=False).flat)
        for axes, (name, title, paths) in zip(grid, panels, strict=False):
            self._map(figure, axes, name, title, paths)
        for axes in grid[len(panels) :]:
            axes.axis("off")
        memory = io.BytesIO()
        figure.savefig(memory, format="png")
        return memory.getvalue()

    def _map(self, figure: Any, axes: Any, name: str, title: str, paths: list[str]) -> None:
        """A row for each path, a column for each look; logarithmic but for shares."""
        import numpy as np
        from matplotlib.colors import LogNorm

        values = np.array([self.series(path, name) for path in paths], float)
        if name in ("dead", "saturated"):
            shown = axes.imshow(values, aspect="auto", cmap="Reds", vmin=0, vmax=1, interpolation="nearest")
        else:
            positive = values[np.isfinite(values) & (values > 0)]
            low, high = (positive.min(), positive.max()) if positive.size else (0.1, 1.0)
            norm = LogNorm(low, max(high, low * 1.01))
            masked = np.ma.masked_invalid(np.where(values > 0, values, np.nan))
            shown = axes.imshow(masked, aspect="auto", cmap="viridis", norm=norm, interpolation="nearest")
            axes.set_facecolor("#bbbbbb")  # zero, or not finite
        ticks = sorted({0, len(self.steps) // 2, len(self.steps) - 1})
        every = -(-len(paths) // 48)
        axes.set_title(title, fontsize=10)
        axes.set_xticks(ticks, [str(self.steps[i]) for i in ticks], fontsize=7)
        axes.set_yticks(range(0, len(paths), every), [path or "model" for path in paths[::every]], fontsize=7)
        axes.set_xlabel("step", fontsize=8)
        figure.colorbar(shown, ax=axes)

    def state_dict(self) -> dict[str, Any]:
        """The looks so far, as one table with a column for each number; NaN where it was not measured."""
        columns = list(dict.fromkeys((path, name) for look in self.looks for path, row in look.items() for name in row))
        table = [[look.get(path, {}).get(name, math.nan) for path, name in columns] for look in self.looks]
        numbers = tensor(table, dtype="float64").reshape(len(self.looks), len(columns))
        return {
            "steps": list(self.steps),
            "columns": [list(c) for c in columns],
            "numbers": numbers,
            "kept": self._kept,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.steps, self.looks, self._kept = list(state["steps"]), [], state["kept"]
        for numbers in state["numbers"].tolist():
            look: dict[str, dict[str, float]] = {}
            for (path, name), number in zip(state["columns"], numbers, strict=True):
                if not math.isnan(number):
                    look.setdefault(path, {})[name] = number
            self.looks.append(look)


def _number(numbers: dict[str, float], name: str) -> float:
    if name == "update ratio":
        weight = numbers.get("weight", math.nan)
        return numbers.get("update", math.nan) / weight if weight else math.nan
    return numbers.get(name, math.nan)


def _marked(name: str, value: float | None) -> str:
    """The number; red where it is one to worry about."""
    if value is None:
        return ""
    if name in ("dead", "saturated"):
        return f"[red]{value:.0%}[/]" if value > 0.5 else f"{value:.0%}"
    worrying = not math.isfinite(value) or (name == "update ratio" and value > 0.1) or value == 0
    return f"[red]{value:.2e}[/]" if worrying else f"{value:.2e}"
