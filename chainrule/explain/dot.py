"""An explanation as a graph for Graphviz: groups as clusters, numbers on the edges."""

from __future__ import annotations

from typing import Any

from chainrule.explain.formulas import plain_formula
from chainrule.explain.text import called, short

Data = dict[str, Any]


def dot_of(data: Data) -> str:
    """The graph in Graphviz's language; see `Explanation.dot`."""
    inner: dict[Any, list[str]] = {None: [], **{group["id"]: [] for group in data["groups"]}}
    for group in data["groups"]:
        inner[group["parent"]].append(group["id"])
    nodes: dict[Any, list[Data]] = {group: [] for group in inner}
    for node in data["nodes"]:
        nodes[node["group"]].append(node)
    groups = {group["id"]: group for group in data["groups"]}

    def cluster(group: Any, depth: int) -> list[str]:
        space = "  " * depth
        lines = [f"{space}{node['id']} [{_about(node)}];" for node in nodes[group]]
        for name in inner[group]:
            label = groups[name]["name"] + (f" ×{groups[name]['count']}" if groups[name]["count"] > 1 else "")
            lines += [f"{space}subgraph cluster_{name} {{", f"{space}  label={_quoted(label)};"]
            lines += [*cluster(name, depth + 1), f"{space}}}"]
        return lines

    used = {x for node in data["nodes"] for x in node["inputs"]}
    makers = {x: node["id"] for node in data["nodes"] for x in node["outputs"]}
    given = [v for v in data["values"] if v["id"] not in makers and (v["id"] in used or v["id"] in data["outputs"])]
    values = {value["id"]: value for value in data["values"]}
    edges = [
        f"  {makers.get(x, x)} -> {node['id']} [label={_quoted(_numbers(values[x]))}];"
        for node in data["nodes"]
        for x in node["inputs"]
    ]
    for number, x in enumerate(data["outputs"]):
        edges.append(f'  result{number} [shape=plaintext, label="result"];')
        edges.append(f"  {makers.get(x, x)} -> result{number} [label={_quoted(_numbers(values[x]))}];")
    return "\n".join(
        [
            f"digraph {_quoted(data['title'])} {{",
            "  rankdir=LR;",
            '  node [shape=box, style=rounded, fontname="sans-serif"];',
            '  edge [fontname="sans-serif", fontsize=10];',
            *[f"  {value['id']} [shape=ellipse, label={_quoted(called(value))}];" for value in given],
            *cluster(None, 1),
            *edges,
            "}",
            "",
        ]
    )


def _about(node: Data) -> str:
    told = node["failed"]["message"] if node["failed"] else plain_formula(node["substituted"] or node["formula"])
    colour = ", color=red" if node["failed"] else ""
    return f"label={_quoted(node['operation'])}, tooltip={_quoted(told)}{colour}"


def _numbers(value: Data) -> str:
    """A value, and below it the gradient that came back."""
    gradient = value["gradient"]
    return short(value) + (f"\n∂ {short(gradient, value['shape'])}" if gradient else "")


def _quoted(text: Any) -> str:
    escaped = str(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
