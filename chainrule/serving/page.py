"""The page to try a served model: draw or choose an image, fill in a row, or type a text."""

from __future__ import annotations

import html
import json
from importlib.resources import files
from typing import Any

from chainrule.tasks.run import OpenRun
from chainrule.tasks.tables import TableTask


def page(run: OpenRun) -> str:
    """The whole page for a run: one text, which asks for nothing from elsewhere."""
    task = run.task
    about: dict[str, Any] = {"asks": task.asks, "draws": False}
    if task.asks == "image":
        # Small grey images have light strokes on black, as known figures do.
        about["draws"] = task.facts["shape"][0] == 1
    if isinstance(task, TableTask):
        about["columns"] = task.columns()
    title = f"{task.settings.model} on {str(task.settings.data).rpartition('/')[2]}"
    text = (files("chainrule.serving") / "files" / "page.html").read_text(encoding="utf-8")
    # `</script>` within the data would end the script.
    data = json.dumps(about, ensure_ascii=False).replace("<", "\\u003c")
    return text.replace("{{title}}", html.escape(title)).replace("{{about}}", data)
