"""An explanation for the terminal: a tree of modules and blocks, with every operation and its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainrule.explain.formulas import in_signs, plain_formula
from chainrule.explain.nesting import chains_of

if TYPE_CHECKING:
    from chainrule.explain.explanation import Explanation

#: Computations of more operations than this are shown by their groups; those of one group are opened up to as many.
WHOLE = 80
#: Formulas with numbers put in, and what an operation multiplies by, are written out up to so many characters.
MOST_OF_FORMULA, MOST_OF_FACTOR = 90, 40


def text_of(explanation: Explanation, everything: bool | None = None, width: int = 120, colours: bool = False) -> str:
    """The tree as text; see `Explanation.text`."""
    from rich.console import Console

    # In a notebook rich would show what it captures; the text is only asked for.
    console = Console(width=width, force_terminal=colours, force_jupyter=False, no_color=not colours, highlight=False)
    with console.capture() as captured:
        console.print(_Tree(explanation.data(), everything).tree())
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


class _Tree:
    def __init__(self, data: dict[str, Any], everything: bool | None) -> None:
        self.data = data
        self.values = {value["id"]: value for value in data["values"]}
        self.groups = {group["id"]: group for group in data["groups"]}
        self.chains = chains_of(data["groups"])
        self.kernels = {kernel["id"]: kernel for kernel in data["kernels"]}
        self.open = len(data["nodes"]) <= WHOLE if everything is None else everything
        self.sizes: dict[str, int] = {}
        for node in data["nodes"]:
            for group in self.chains[node["group"]]:
                self.sizes[group] = self.sizes.get(group, 0) + 1

    def tree(self) -> Any:
        """Rich's tree of everything."""
        from rich.text import Text
        from rich.tree import Tree

        data = self.data
        count = len(data["nodes"])
        root = Tree(Text.assemble((data["title"], "bold"), f"  {count} operation{'s' * (count != 1)}"))
        if data["first_nan"] is not None:
            wrong = data["first_nan"]
            root.add(
                Text.assemble(("✗ first NaN or infinity: ", "bold red"), f"{wrong['message']}{self._place(wrong)}")
            )
        given = [value for value in data["values"] if value["kind"] == "input"]
        if given:
            branch = root.add(Text("given", "dim"))
            for value in given:
                branch.add(self._value(value))
        branches: dict[str, Any] = {}
        for node in data["nodes"]:
            place, shown = root, True
            for group in self.chains[node["group"]]:
                if group not in branches:
                    branches[group] = place.add(self._group(group))
                place = branches[group]
                shown = self.open or (self.groups[group]["kind"] != "block" and self.sizes[group] <= WHOLE)
                if not shown:
                    break
            if shown and (self.open or node["group"] is None or node["failed"]):
                self._add_node(place, node)
        if data["kernels"]:
            branch = root.add(Text("kernels, the slowest first", "dim"))
            for kernel in sorted(data["kernels"], key=lambda kernel: -kernel["microseconds"])[:12]:
                speed = f"  {kernel['gflops']:.0f} GFLOP/s" if kernel["gflops"] else ""
                spent = f"{kernel['id']} {kernel['microseconds']:.1f} µs {kernel['share']:.1%}{speed}"
                branch.add(Text.assemble((spent, "yellow"), f"  {kernel['name']}"))
        for value in data["outputs"]:
            root.add(Text.assemble(("result ", "dim"), self._value(self.values[value])))
        return root

    def _group(self, name: str) -> Any:
        from rich.text import Text

        group = self.groups[name]
        times = f" ×{group['count']}" if group["count"] > 1 else ""
        kind = "" if group["class"] in ("", group["name"]) else f" {group['class']}"
        size = self.sizes[name]
        about = "" if self.open else f"  {size} operation{'s' * (size != 1)}"
        return Text.assemble((group["name"] + times, "bold cyan"), kind, (about, "dim"))

    def _add_node(self, place: Any, node: dict[str, Any]) -> None:
        from rich.text import Text

        if node["failed"]:
            failed = node["failed"]
            branch = place.add(
                Text.assemble(("✗ ", "bold red"), (node["operation"], "bold red"), f"({self._inputs(node)})")
            )
            branch.add(Text.assemble(("came      ", "dim"), failed["came"]))
            branch.add(Text.assemble(("message   ", "dim"), failed["message"]))
            return
        outputs = [self.values[x] for x in node["outputs"]]
        shown = plain_formula(node["substituted"] or "")
        with_numbers = 0 < len(shown) <= MOST_OF_FORMULA
        kernel = self.kernels.get(node["kernel"])
        cost = "" if kernel is None else f"  {kernel['id']} {kernel['microseconds']:.1f} µs {kernel['share']:.1%}"
        line = f"  {node['line'][0].rpartition('/')[2]}:{node['line'][1]}" if node["line"] else ""
        names = ", ".join(x["id"] for x in outputs)
        head = Text.assemble(
            (names, "dim"),
            " = ",
            (node["operation"], "bold"),
            f"({self._inputs(node)})  ",
            shown if with_numbers else plain_formula(node["formula"]),
            (line, "dim"),
            (cost, "yellow"),
        )
        branch = place.add(head)
        for value in outputs:
            branch.add(self._value(value, not with_numbers))
        for position, contribution in enumerate(node["contributions"]):
            if contribution is not None:
                branch.add(self._contribution(node, position, contribution))

    def _place(self, wrong: dict[str, Any]) -> str:
        """Where the first NaN was made: the value, the module, the line."""
        node = next(node for node in self.data["nodes"] if node["id"] == wrong["node"])
        path, line = node["path"].partition("/")[0], node["line"]
        parts = [
            *node["outputs"],
            f"in {path}" if path else "",
            f"{line[0].rpartition('/')[2]}:{line[1]}" if line else "",
        ]
        return f"  ({', '.join(filter(None, parts))})"

    def _inputs(self, node: dict[str, Any]) -> str:
        return ", ".join(map(self._called, node["inputs"]))

    def _called(self, name: str) -> str:
        value = self.values[name]
        text = called(value)
        return name if text in ("constant", "result", "parameter", "input") else text

    def _value(self, value: dict[str, Any], numbers: bool = True) -> Any:
        from rich.text import Text

        name = f"{value['name']} " if value["name"] else ""
        parts: list[Any] = [f"{name}{value['type']}{value['shape']}"]
        if numbers:
            parts.append(f"  {described(value)}")
        if value["gradient"] is not None:
            sums = value["gradient"]["paths"]
            parts += ["  ", ("∂ ", "magenta"), (described(value["gradient"]), "magenta")]
            parts.append((f"  from {sums} paths", "dim") if sums > 1 else "")
        return Text.assemble(*parts)

    def _contribution(self, node: dict[str, Any], position: int, contribution: dict[str, Any]) -> Any:
        from rich.text import Text

        name = self._called(node["inputs"][position])
        upstream = described(contribution["upstream"]) if contribution["upstream"] else "upstream"
        local = "" if contribution["local"] is None else _numbers(contribution["local"])
        if not 0 < len(local) <= MOST_OF_FACTOR:
            local = "∂f/∂" + node["arguments"][position]
            if contribution["jacobian"]:
                local += f" ({len(contribution['local'])}×{len(contribution['local'][0])})"
        down = described(contribution["downstream"])
        return Text.assemble(("← ", "magenta"), f"{name}: {upstream} × {local} = ", (down, "magenta"))


def described(value: dict[str, Any]) -> str:
    """A value or a gradient of the data in words: its numbers, or what they are like."""
    if value["numbers"] is not None:
        text = _numbers(value["numbers"])
        if len(text) <= 60:
            return text
    known = value["statistics"]
    if known is None:
        return "not kept"
    if known["least"] is None:
        return f"nothing finite, {known['nan']} NaN" if known["nan"] else "empty"
    text = f"{_number(known['least'])} … {_number(known['largest'])}"
    if known["mean"] is not None:
        text += f", mean {_number(known['mean'])}"
    if known["zeros"] > 0.005:
        text += f", {known['zeros']:.0%} zeros"
    return text + (f", {known['nan']} NaN" if known["nan"] else "")


def _numbers(numbers: Any) -> str:
    return f"[{', '.join(map(_numbers, numbers))}]" if isinstance(numbers, list) else _number(numbers)


def _number(x: Any) -> str:
    return f"{x:.4g}" if isinstance(x, float) else in_signs(x) if isinstance(x, str) else str(x)


def short(value: dict[str, Any], shape: Any = None, most: int = 24) -> str:
    """A value in a few characters: its numbers, or its shape (of a gradient: how large it is)."""
    if value["numbers"] is not None and len(text := _numbers(value["numbers"])) <= most:
        return text
    known = value["statistics"]
    if shape is None:
        return "×".join(map(str, value["shape"])) or "not kept"
    if known is None or known["least"] is None:
        return "not finite"
    return f"{known['least']:.2g} … {known['largest']:.2g}" if isinstance(known["least"], float) else "not finite"


def called(value: dict[str, Any]) -> str:
    """What a value is called: by its name; a number that a formula brings by that number; else by its kind."""
    known = value["statistics"]
    if value["name"] is None and value["kind"] == "constant" and known and known["least"] is not None:
        return _number(known["least"]) if known["least"] == known["largest"] else "constant"
    return value["name"] or str(value["kind"])
