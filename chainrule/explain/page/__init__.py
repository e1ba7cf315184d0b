"""An explanation as one HTML file that needs nothing else: no server, no network, no other file.

The layout of every group is computed here (`layout.py`, `groups.py`); the page draws it, folds and opens groups,
and, for small graphs, computes everything again when a number is changed, by a small interpreter of the primitives in
JavaScript (`files/`).
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import re

from chainrule.explain.page.compact import compact
from chainrule.explain.page.groups import Data
from chainrule.explain.page.sources import INTERPRETER, VIEW, read, scripts

__all__ = ["page"]

#: Data of more characters than this is compressed, which browsers can undo by themselves.
LARGE = 400_000


def page(data: Data) -> str:
    """The page of an explanation's data, as the text of an HTML file.

    >>> data = {"version": 1, "title": "nothing yet", "framework": "chainrule", "values": [], "nodes": [], "groups": []}
    >>> page(data).startswith("<!doctype html>")
    True
    """
    text = json.dumps(compact(data), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    kind = "application/json"
    if len(text) > LARGE:
        kind, text = "text/plain", base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()
    parts = {
        "title": html.escape(str(data["title"])),
        "style": read("style.css"),
        "data-type": kind,
        "data": text.replace("<", "\\u003c"),  # no text within the data can end the element
        "script": scripts(*INTERPRETER, *VIEW),
    }
    return re.sub("@(title|style|data-type|data|script)@", lambda mark: parts[mark[1]], read("page.html"))
