"""A run on one page: `report.html`, self-contained, readable on a phone and in the dark."""

from __future__ import annotations

import base64
import html
import io
import json
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.files import write_text
from chainrule.train.charts import STYLE as CHARTS
from chainrule.train.charts import Curve, chart, confusion

if TYPE_CHECKING:
    from chainrule.train.doctor.finding import Finding

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --soft: #f4f5f7; --line: #d8dce2; --mark: #0b62b8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7eb; --paper: #14171b; --soft: #1e2329; --line: #363d47; --mark: #6db3f2; }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  max-width: 70rem; padding: 1rem; }
h1 { font-size: 1.6rem; margin: 0.5rem 0; } h2 { font-size: 1.2rem; margin: 2rem 0 0.5rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); gap: 1rem; }
figure { margin: 0; max-width: 42rem; background: var(--paper); border: 1px solid var(--line); border-radius: 6px;
  padding: 0.5rem; }
figure img { width: 100%; height: auto; display: block; } figcaption { font-size: 0.85rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
td, th { border-bottom: 1px solid var(--line); padding: 0.25rem 0.7rem; text-align: right; }
td:first-child, th:first-child { text-align: left; }
.numbers { display: flex; flex-wrap: wrap; gap: 1rem; }
.numbers div { background: var(--soft); border-radius: 6px; padding: 0.6rem 1rem; }
.numbers b { display: block; font-size: 1.3rem; color: var(--mark); }
.finding { border-left: 4px solid var(--mark); background: var(--soft); padding: 0.5rem 1rem; margin: 0.5rem 0; }
.examples { display: flex; flex-wrap: wrap; gap: 0.6rem; } .examples figure { width: 6.5rem; }
.examples img { image-rendering: pixelated; } pre { background: var(--soft); padding: 0.7rem; overflow-x: auto; }
"""


class Example(NamedTuple):
    """A sample to be shown: an image (H, W) or (H, W, 3) with entries in [0, 1], or a text; and what was said of it."""

    content: Any
    caption: str


class Report(NamedTuple):
    """What a report tells; what is empty is left out.

    Attributes:
        title: the run's name.
        history: the trainer's figures, a dictionary for each epoch.
        numbers: the results that matter, by name.
        config: what was asked for, resolved.
        confusion: counts (classes, classes), rows are the truth; with the classes' names.
        points: for regression the truth (N,) and what was predicted (N,).
        tables: rows of figures by title, each a dictionary.
        worst, best: examples with the largest and the smallest loss.
        texts: texts by title, such as one that the model wrote.
        series: other curves by name: (x, y) over batches, such as the learning rate or gradient norms.
        unit: what the x of `series` count.
        films: animated GIFs by title, as bytes.
        pictures: PNG files by title, as bytes.
        findings: of the doctor. They link to the box of their layer in `graph` and to its row in `flow`.
        graph: the network on one sample as a drawing (SVG).
        flow: how signal and gradient flowed: a picture (PNG) or why there is none, and a row for each layer or
            parameter, its path under "".
    """

    title: str
    history: Sequence[Mapping[str, Any]] = ()
    numbers: Mapping[str, Any] = {}
    config: Mapping[str, Any] = {}
    confusion: tuple[Any, Sequence[str]] | None = None
    points: tuple[Any, Any] | None = None
    tables: Mapping[str, Sequence[Mapping[str, Any]]] = {}
    worst: Sequence[Example] = ()
    best: Sequence[Example] = ()
    texts: Mapping[str, str] = {}
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]] = {}
    findings: Sequence[Finding] = ()
    unit: str = "batch"
    films: Mapping[str, bytes] = {}
    flow: tuple[bytes | str, Sequence[Mapping[str, Any]]] | None = None
    graph: str = ""
    pictures: Mapping[str, bytes] = {}


def write_report(report: Report, path: str | Path) -> None:
    """Write the page, atomically. It refers to nothing outside of itself.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "report.html"
    >>> write_report(Report("digits", numbers={"test accuracy": 0.989}), path)
    >>> "0.989" in path.read_text(encoding="utf-8")
    True
    """
    text = render(report)
    write_text(path, text)


def render(report: Report) -> str:
    """The page as text."""
    parts = [f"<h1>{_escape(report.title)}</h1>", _numbers(report.numbers)]
    parts += [_findings(report.findings, _places(report))]
    parts += [_section("Curves", _figures(_curves(report)))]
    parts += [_section(title, _film(title, gif)) for title, gif in report.films.items()]
    if report.graph:
        parts += [_section("The network on one sample", f'<div style="overflow-x: auto">{_inline(report.graph)}</div>')]
    if report.flow is not None:
        parts += [_section("Gradient flow", _flow(*report.flow))]
    parts += [_section("Pictures", _figures([(title, _image(title, png)) for title, png in report.pictures.items()]))]
    if report.confusion is not None:
        caption = "rows are the truth, columns what was said; the colour is the share of the row"
        parts += [_section("Confusion", _figures([(caption, confusion(*report.confusion))]))]
    if report.points is not None:
        parts += [_section("Predictions", _figures([_points(*report.points)]))]
    parts += [_section(title, _table(rows)) for title, rows in report.tables.items()]
    parts += [_section(title, f"<pre>{_escape(text)}</pre>") for title, text in report.texts.items()]
    parts += [_section("Worst examples", _examples(report.worst)), _section("Best examples", _examples(report.best))]
    parts += [_section("Epochs", _table(report.history))]
    parts += [
        _section("Configuration", f"<pre>{_escape(json.dumps(dict(report.config), indent=2, default=str))}</pre>")
    ]
    parts += [_section("Environment", _table([environment()]))]
    body = "\n".join(part for part in parts if part)
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_escape(report.title)}</title><style>{STYLE}{CHARTS}</style>"
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def environment() -> dict[str, str]:
    """What the run ran on."""
    import chainrule

    return {
        "chainrule": chainrule.__version__, "NumPy": np.__version__, "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}", "threads": str(chainrule.get_num_threads()),
    }  # fmt: skip


# ------------------------------------------------------------------------------------- parts of the page


def _inline(svg: str) -> str:
    """A drawing within a page, which needs no name of the language."""
    return svg.replace(' xmlns="http://www.w3.org/2000/svg"', "")


def _escape(thing: Any) -> str:
    return html.escape(str(thing))


def _section(title: str, content: str) -> str:
    return f"<h2>{title}</h2>\n{content}" if content else ""


def _shown(value: Any) -> str:
    if isinstance(value, float) or getattr(value, "shape", None) == ():
        return f"{float(value):.4g}"
    return _escape(value)


def _numbers(numbers: Mapping[str, Any]) -> str:
    boxes = "".join(f"<div><b>{_shown(value)}</b>{_escape(name)}</div>" for name, value in numbers.items())
    return f'<div class="numbers">{boxes}</div>' if boxes else ""


def _places(report: Report) -> dict[str, list[str]]:
    """Where on the page a layer or parameter is seen: its box in the graph, its row in the table."""
    boxes = set(re.findall(r'id="node-([^"]*)"', report.graph))
    rows = {row[""] for row in report.flow[1]} if report.flow else set()
    places: dict[str, list[str]] = {}
    for path in {path for finding in report.findings for path in finding.paths}:
        box = next((p for p in (path, path.rpartition(".")[0]) if _escape(p) in boxes), None)
        places[path] = [f"node-{box}"] if box is not None else []
        places[path] += [f"flow-{path}"] if path in rows else []
    return places


def _findings(findings: Sequence[Finding], places: Mapping[str, Sequence[str]]) -> str:
    boxes = []
    for finding in findings:
        where = f", in {_linked(finding, places)}" if finding.paths else ""
        tries = "".join(f"<li>{_escape(remedy)}</li>" for remedy in finding.remedies)
        boxes.append(
            f'<div class="finding"><b>{_escape(finding.condition)}</b> ({_escape(finding.severity)}, '
            f"{finding.when()}{where})<br>{_escape(finding.evidence)}<br>Likely cause: "
            f"{_escape(finding.cause)}<br>Try:<ul>{tries}</ul></div>"
        )
    return _section("Findings of the doctor", "".join(boxes))


def _linked(finding: Finding, places: Mapping[str, Sequence[str]]) -> str:
    """The paths of a finding, each a link to its box in the graph, or else to its row; with both, the row follows."""
    shown = _escape(finding.where())
    for path in sorted((path for path in finding.paths if places.get(path)), key=len, reverse=True):
        name = re.escape(_escape(path))
        first, *others = places[path]
        link = f'<a href="#{_escape(first)}">{_escape(path)}</a>'
        link += "".join(f' (<a href="#{_escape(other)}">numbers</a>)' for other in others)
        shown = re.sub(rf"(?<![^\s]){name}(?=$|,| and )", link.replace("\\", r"\\"), shown, count=1)
    return shown


def _flow(picture: bytes | str, rows: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row if name))
    head = "".join(f"<th>{_escape(name)}</th>" for name in ("at the last look", *names))
    body = "".join(
        f'<tr id="flow-{_escape(row[""])}"><td>{_escape(row[""] or "the model")}</td>'
        + "".join(f"<td>{_shown(row[n]) if n in row else ''}</td>" for n in names)
        + "</tr>"
        for row in rows
    )
    title = "Gradients, updates, variances and units that are off, by layer and step"
    seen = f"<p>{_escape(picture)}</p>"
    if isinstance(picture, bytes):
        seen = f'<figure style="max-width:none">{_image(title, picture)}</figure>'
    return f'{seen}<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    names = list(dict.fromkeys(name for row in rows for name in row if np.ndim(row[name]) == 0))
    head = "".join(f"<th>{_escape(name.replace('_', ' '))}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{_shown(row.get(n, ''))}</td>" for n in names) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _image(title: str, png: bytes) -> str:
    return f'<img alt="{_escape(title)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def _figures(pictures: Sequence[tuple[str, str]]) -> str:
    """Each picture, a drawing or an image, with what it shows."""
    figures = "".join(
        f"<figure>{picture}<figcaption>{_escape(caption)}</figcaption></figure>" for caption, picture in pictures
    )
    return f'<div class="figures">{figures}</div>' if figures else ""


def _film(title: str, gif: bytes) -> str:
    source = base64.b64encode(gif).decode()
    return (
        f'<div class="figures"><figure><img alt="{_escape(title)}" src="data:image/gif;base64,{source}"></figure></div>'
    )


def _examples(examples: Sequence[Example]) -> str:
    shown = []
    for example in examples:
        if isinstance(example.content, str):
            shown.append(
                f"<figure><figcaption>{_escape(example.content)}<br>{_escape(example.caption)}</figcaption></figure>"
            )
            continue
        png = base64.b64encode(_image_png(np.asarray(example.content))).decode()
        shown.append(
            f'<figure><img alt="{_escape(example.caption)}" src="data:image/png;base64,{png}">'
            f"<figcaption>{_escape(example.caption)}</figcaption></figure>"
        )
    return f'<div class="examples">{"".join(shown)}</div>' if shown else ""


# ------------------------------------------------------------------------------------- pictures


def _curves(report: Report) -> list[tuple[str, str]]:
    """A chart for each figure that was measured on training and validation, and for each series."""
    names = dict.fromkeys(
        name.removeprefix("train_").removeprefix("validation_")
        for row in report.history for name in row
        if name.startswith(("train_", "validation_")) and np.ndim(row[name]) == 0
    )  # fmt: skip
    charts = []
    for name in names:
        splits = {split: [r for r in report.history if f"{split}_{name}" in r] for split in ("train", "validation")}
        curves = [
            Curve([row["epoch"] for row in rows], [float(row[f"{split}_{name}"]) for row in rows], split)
            for split, rows in splits.items()
        ]
        title = name.replace("_", " ")
        charts.append((f"{title} by epoch", chart(curves, "epoch", title, whole=True)))
    for name, (xs, ys) in report.series.items():
        positive = [y for y in ys if y > 0]
        wide = len(positive) == len(ys) > 0 and max(ys) > 30 * min(ys)
        charts.append((f"{name} by {report.unit}", chart([Curve(xs, ys)], report.unit, name, logarithmic=wide)))
    return charts


def _points(truth: Any, predicted: Any) -> tuple[str, str]:
    truth, predicted = np.asarray(truth, float).reshape(-1), np.asarray(predicted, float).reshape(-1)
    ends = [min(truth.min(), predicted.min()), max(truth.max(), predicted.max())]
    drawn = chart([Curve(truth, predicted, dots=True), Curve(ends, ends)], "truth", "predicted")
    return "each dot is a row of the test data; on the line the prediction is right", drawn


def _image_png(image: Any) -> bytes:
    from PIL import Image

    pixels = (np.clip(image, 0, 1) * 255).round().astype(np.uint8)
    memory = io.BytesIO()
    Image.fromarray(pixels).save(memory, format="PNG")
    return memory.getvalue()
