"""docs/doctor.md, made from the doctor's rules and a run that it watches: `python -m docs.make.doctor`."""

from __future__ import annotations

import importlib
import inspect
import io
import itertools
import re
from pathlib import Path
from typing import Any

from rich.console import Console

from chainrule.train.doctor.conditions import RULES
from chainrule.train.doctor.rule import Rule

PAGE = Path(__file__).parents[1] / "doctor.md"

EXAMPLE = """\
import chainrule
from chainrule import nn, optim
from chainrule.data import ConcatDataset, DataLoader, Subset, digits
from chainrule.train import Doctor, Trainer

chainrule.manual_seed(0)
data = digits(size=8)
model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
with chainrule.no_grad():
    model[1].bias[:20] = -100.0  # as if a large step had thrown them there
leaking = ConcatDataset([data.validation, Subset(data.train, range(30))])

optimizer = optim.Adam(model.parameters(), lr=1e-3)
trainer = Trainer(model, nn.CrossEntropyLoss(), optimizer, callbacks=[Doctor()])
trainer.fit(DataLoader(data.train, batch_size=64, shuffle=True), DataLoader(leaking, batch_size=64), epochs=2)
"""

#: What is set as code in the rules' texts: calls (but not −ln(1/C)), settings, and names with underscores.
CODE = re.compile(r"\b(?!ln\b)[A-Za-z][\w.]*\([^() ]*\)|\w+=\"\w+\"|\b[a-z][\w.]*_\w*")

#: When a rule is asked, by the method that asks it.
MOMENTS = {
    "at_start": "before the first step",
    "at_batch": "after each batch",
    "at_look": "when a batch is looked at closely",
    "at_epoch_end": "after each epoch",
    "at_divergence": "when the loss is no finite number any more",
    "at_end": "after the last epoch",
    "at_acting": "when an agent is looked at",
    "in_evaluation": "when the model is evaluated",
    "compare": "when generated samples are shown",
    "observe": "after each round of adversarial training",
}

PAGE_TEXT = """\
# The doctor: what goes wrong in training

Made by `python -m docs.make.doctor` from the rules in `chainrule/train/doctor/conditions/`; a test checks that it is up
to date, and another that every condition is found where its fault is built in. References are to the course's notes.

The doctor watches training and says once of each thing that is wrong what shows it (numbers, epoch, layers), what it
likely comes from, and what to try. When all is well it is silent. It changes nothing: weights are the same bit for bit
with and without it.

- **With a `Trainer`**: `Trainer(…, callbacks=[Doctor()])`. `Doctor(path="runs/mine/doctor.json")` keeps the findings.
- **In a loop of one's own**: `doctor = Doctor.watch(model, optimizer, loss_function)`, then
  `doctor.observe(loss, x, y)` between `backward()` and `step()`, `doctor.observe_validation(…)` and
  `doctor.end_epoch()`. Only there can what is forgotten in loops be found; the trainer forgets nothing.
- **Agents**: `train_agent` and `chainrule train ppo` watch at each evaluation. In a loop of one's own show counts and
  figures: `doctor.observe_agent(Acting(step=…, terminated=…, cut_off=…, masked=…))`.
- **Afterwards**: `diagnose("runs/mine")` reads what the folder holds, and `format_findings(…)` shows it;
  `chainrule doctor runs/mine` does both. If a doctor watched (doctor.json, or its state in a checkpoint), its findings
  are the answer; otherwise the epochs' figures (metrics.csv, history.json or the latest checkpoint) are looked at. They
  are enough for the conditions that have a ✓ below.
- **When nothing is learned**: `overfit_one_batch(model, loss_function, x, y)` finds out whether the model can learn a
  few samples by heart.

The first {first} batches and every {every}th (`every`) are looked at closely: a copy of the model is run forward and
back once more. "Twice in a row" and the like mean such looks.

## An example

```python
{example}```

```
{output}
```

## All conditions

| condition | severity | from figures alone |
| --- | --- | --- |
{table}

{families}
"""


def page() -> str:
    """The whole page."""
    from chainrule.train.doctor.doctor import FIRST, Doctor

    every = inspect.signature(Doctor).parameters["every"].default
    rows = [f"| [{rule.condition}](#{_anchor(rule.condition)}) | {rule.severity} | {_tick(rule)} |" for rule in RULES]
    families = [_family(name, list(rules)) for name, rules in itertools.groupby(RULES, lambda rule: rule.__module__)]
    return PAGE_TEXT.format(
        first=FIRST,
        every=every,
        example=EXAMPLE,
        output=printed(),
        table="\n".join(rows),
        families="\n\n".join(families),
    )


def printed() -> str:
    """What the example prints."""
    from chainrule.train import Doctor

    output = io.StringIO()
    console = Console(file=output, width=100)

    class ToPage(Doctor):
        """Prints here."""

        def __init__(self) -> None:
            super().__init__(console=console)

    names: dict[str, Any] = {}
    exec(compile(EXAMPLE.replace("Doctor()", "ToPage()"), "docs/doctor.md", "exec"), {"ToPage": ToPage}, names)
    return "\n".join(line.rstrip() for line in output.getvalue().splitlines())


def _family(module: str, rules: list[type[Rule]]) -> str:
    """The rules of one file, under its first sentence."""
    title = (inspect.getdoc(importlib.import_module(module)) or "").splitlines()[0]
    return f"## {title.rstrip('.')}\n\n" + "\n\n".join(_condition(rule) for rule in rules)


def _condition(rule: type[Rule]) -> str:
    moments = [said for name, said in MOMENTS.items() if getattr(rule, name, None) is not getattr(Rule, name, None)]
    tries = "\n".join(f"- {_code(remedy)}" for remedy in rule.remedies)
    return (
        f"### {rule.condition}\n\n{inspect.getdoc(rule)} ({rule.severity})\n\n"
        f"**How it is found.** {_code(rule.shows)} Asked {_listed(moments)}.\n\n"
        f"**Likely cause.** {_code(rule.cause)}\n\n**What to try**\n\n{tries}\n\n*Source: {rule.source}*"
    )


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def _tick(rule: type[Rule]) -> str:
    return "✓" if rule.from_figures else ""


def _anchor(title: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def _code(text: str) -> str:
    """Names and calls as code, where they are not marked already."""
    parts = text.split("`")
    parts[::2] = [CODE.sub(r"`\g<0>`", part) for part in parts[::2]]
    return "`".join(parts)


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
