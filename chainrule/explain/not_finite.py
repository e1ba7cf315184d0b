"""Where an explanation's first NaN or infinity was made: read off its data, forward and then on the way back."""

from __future__ import annotations

from typing import Any

from chainrule.explain.formulas import in_signs
from chainrule.explain.nesting import chains_of

Data = dict[str, Any]


def first_not_finite(data: Data) -> Data | None:
    """The first operation that made a NaN or an infinity from finite numbers; None if none did.

    The answer has the `node` (its id), the `pass` ("forward" or "backward") and a `message`. A block with a gradient of
    its own can be to blame on the way back: then `group` is its id, and `node` that of its last operation.

    >>> import chainrule
    >>> found = chainrule.explain(lambda x: x.sqrt(), 0.0).data()["first_nan"]
    >>> found["node"], found["pass"], found["message"]
    ('n0', 'backward', 'The gradient of Sqrt made ∞ from finite numbers: upstream = 1, x = 0.')
    """
    values = {value["id"]: value for value in data["values"]}
    for node in data["nodes"]:
        came = [values[x] for x in node["inputs"]]
        asked = {"Infinity", "-Infinity", "NaN"} & {str(setting) for setting in node["settings"].values()}
        if _bad(values[x] for x in node["outputs"]) and not _bad(came) and not asked:
            made = _seen(values[x] for x in node["outputs"])
            said = f"{node['operation']} made {made} from finite numbers{_told(node, values)}."
            return {"node": node["id"], "pass": "forward", "message": said}
    return _on_the_way_back(data, values)


def _on_the_way_back(data: Data, values: dict[str, Data]) -> Data | None:
    chains, last = chains_of(data["groups"]), dict[str, int]()
    for number, node in enumerate(data["nodes"]):
        last.update(dict.fromkeys(chains[node["group"]], number))
    steps = [(number, node["operation"], node) for number, node in enumerate(data["nodes"])]
    steps += [(last.get(g["id"], -1), g["name"], g) for g in data["groups"] if "contributions" in g]
    for number, name, step in sorted(steps, key=lambda step: -step[0]):
        known = [values[x] for x in (*step["inputs"], *step["outputs"])]
        upstream = [values[x]["gradient"] for x in step["outputs"] if values[x]["gradient"]]
        gone = [c["downstream"] for c in step.get("contributions") or () if c]
        if _bad(gone) and not _bad([*known, *upstream]):
            came = f"upstream {_range(upstream[0])}{_told(step, values, ', ')}" if upstream else ""
            said = f"The gradient of {name} made {_seen(gone)} from finite numbers: {came}."
            group = {} if "operation" in step else {"group": step["id"]}
            return {"node": f"n{number}", "pass": "backward", "message": said, **group}
    return None


def _told(step: Data, values: dict[str, Data], before: str = ": ") -> str:
    """What came in, by the names that the formula has for it."""
    names = step.get("arguments") or []
    known = [(name, values[x]) for name, x in zip(names, step["inputs"], strict=False) if values[x]["statistics"]]
    return before + ", ".join(f"{name} {_range(value)}" for name, value in known) if known else ""


def _bad(values: Any) -> bool:
    """Whether a NaN or an infinity is among these; what was not kept is taken to be finite."""
    return any(_seen([value]) for value in values)


def _seen(values: Any) -> str:
    """Which of NaN, ∞ and -∞ are among these, in words."""
    found: dict[str, None] = {}
    for known in (value["statistics"] for value in values if value["statistics"]):
        found.update(dict.fromkeys(in_signs(known[end]) for end in ("least", "largest") if isinstance(known[end], str)))
        if known["nan"]:
            found["NaN"] = None
    return " and ".join(found)


def _range(value: Data) -> str:
    least, largest = value["statistics"]["least"], value["statistics"]["largest"]
    if least is None:
        return "empty"
    return f"= {least:.4g}" if least == largest else f"from {least:.4g} to {largest:.4g}"
