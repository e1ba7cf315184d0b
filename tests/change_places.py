"""Where a value lies that a step reads, how it is replaced there, and from how far away it is read.

In all texts `{a}` stands for the value's expression, `{body}` for the lines that read it and assign `r`, and `{step}` for
what the step's parameters and calls have besides `x`.
"""

from __future__ import annotations

import textwrap
from typing import NamedTuple


class Place(NamedTuple):
    """A place for a value.

    Attributes:
        made: source that puts the first value there.
        read: the expression that the step reads.
        replaced: statements that put another value there.
        found: the expression by which the value is found from outside; "" if it is `read`.
        removed: a statement that takes it away; "" if that cannot be.
        other: statements that change something beside it, which the step does not read.
        parameter: what the step has as parameter for it, and what the helpers have.
        given: what calls give for it.
        reader: source of a step of its own; "" if any reader will do.
    """

    made: str
    read: str
    replaced: str
    found: str = ""
    removed: str = ""
    other: str = "other = 5"
    parameter: str = ""
    inner: str = ""
    given: str = ""
    reader: str = ""


HOLDER = "class Holder:\n    pass\n\n\nh = Holder()\nh.v = {a}\nh.other = 1.0"
AN_ATTRIBUTE = {"found": "h.v", "removed": "del h.v", "other": "h.other = 6.0"}
A_MODULE = "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.v = {a}\n        self.weight = nn.Parameter(chainrule.ones(3))\n\n    def forward(self, x):\n{body2}\n        return r\n\n\nnet = Net()\n"

PLACES: dict[str, Place] = {
    "variable": Place("v = {a}", "v", "v = {a}", removed="del v"),
    "attribute": Place(HOLDER, "h.v", "h.v = {a}", **AN_ATTRIBUTE),
    "getattr": Place(HOLDER, "getattr(h, 'v')", "h.v = {a}", **AN_ATTRIBUTE),
    "vars": Place(HOLDER, "vars(h)['v']", "h.v = {a}", **AN_ATTRIBUTE),
    "attrgetter": Place(HOLDER + "\nget = operator.attrgetter('v')", "get(h)", "h.v = {a}", **AN_ATTRIBUTE),
    "setattr": Place(HOLDER, "h.v", "setattr(h, 'v', {a})", "h.v", "delattr(h, 'v')", "setattr(h, 'other', 2.0)"),
    "object dict": Place(HOLDER, "h.v", "h.__dict__['v'] = {a}", "h.v", "h.__dict__.pop('v')", "h.__dict__.update(other=3.0)"),
    "object replaced": Place(HOLDER, "h.v", "h = Holder()\nh.v = {a}", "h.v", "h = Holder()"),
    "object in object": Place(HOLDER + "\nouter = Holder()\nouter.inner = h", "outer.inner.v", "outer.inner.v = {a}", "h.v", "del outer.inner.v", "outer.other = 3"),
    "inner object replaced": Place(HOLDER + "\nouter = Holder()\nouter.inner = h", "outer.inner.v", "outer.inner = Holder()\nouter.inner.v = {a}", "outer.inner.v", "outer.inner = Holder()"),
    "class attribute": Place("class Configuration:\n    v = {a}\n    other = 1", "Configuration.v", "Configuration.v = {a}", removed="del Configuration.v", other="Configuration.other = 2"),
    "class attribute of an instance": Place(
        "class Configuration:\n    other = 1\n\n\nConfiguration.v = {a}\nc = Configuration()", "c.v", "Configuration.v = {a}", removed="del Configuration.v", other="c.more = 2"
    ),
    "instance over class": Place("class Configuration:\n    pass\n\n\nConfiguration.v = {a}\nc = Configuration()", "c.v", "c.v = {a}", other="c.more = 2"),
    "base class": Place("class Base:\n    pass\n\n\nclass Derived(Base):\n    pass\n\n\nBase.v = {a}\nd = Derived()", "d.v", "Base.v = {a}", removed="del Base.v", other="Derived.more = 2"),
    "property": Place(
        "class Owner:\n    def __init__(self, v):\n        self._v = v\n\n    @property\n    def v(self):\n        return self._v\n\n\np = Owner({a})",
        "p.v", "p._v = {a}", removed="del p._v", other="p.more = 1",
    ),
    "slot": Place("class Slotted:\n    __slots__ = ('v', 'other')\n\n\ns = Slotted()\ns.v = {a}", "s.v", "s.v = {a}", removed="del s.v", other="s.other = 2"),
    "field": Place("@dataclasses.dataclass\nclass Fields:\n    v: object\n    other: int = 1\n\n\nrecord = Fields({a})", "record.v", "record.v = {a}", removed="del record.v", other="record.other = 7"),
    "simple namespace": Place("n = types.SimpleNamespace(v={a}, other=1)", "n.v", "n.v = {a}", removed="del n.v", other="n.other = 3"),
    "arguments namespace": Place("n = argparse.Namespace(v={a}, other=1)", "n.v", "n.v = {a}", removed="del n.v", other="n.other = 3"),
    "python module": Place("m = types.ModuleType('settings')\nm.v = {a}\nm.other = 1", "m.v", "m.v = {a}", removed="del m.v", other="m.other = 2"),
    "list": Place("entries = [{a}, 1.0]", "entries[0]", "entries[0] = {a}", removed="del entries[0]", other="entries[1] = 2.0"),
    "end of a list": Place("entries = [1.0, {a}]", "entries[-1]", "entries[-1] = {a}", removed="entries.pop()\nentries.insert(0, 4.0)", other="entries[0] = 2.0"),
    "list replaced": Place("entries = [{a}, 1.0]", "entries[0]", "entries = [{a}, 1.0]", removed="entries = []", other="entries[1] = 3.0"),
    "tuple": Place("entries = ({a}, 1.0)", "entries[0]", "entries = ({a}, 1.0)", removed="entries = ()"),
    "dict": Place("named = {{'v': {a}, 'other': 1}}", "named['v']", "named['v'] = {a}", removed="del named['v']", other="named['other'] = 2"),
    "get of a dict": Place("named = {{'v': {a}, 'other': 1}}", "named.get('v')", "named.update(v={a})", removed="named.pop('v')", other="named['more'] = 2"),
    "dict replaced": Place("named = {{'v': {a}, 'other': 1}}", "named['v']", "named = {{'v': {a}, 'other': 1}}", removed="named = {{}}"),
    "default dict": Place("named = collections.defaultdict(int)\nnamed['v'] = {a}", "named['v']", "named['v'] = {a}", other="named['other'] = 2"),
    "dict by f-string": Place("key = 1\nnamed = {{'v1': {a}}}", "named[f'v{{key}}']", "named['v1'] = {a}", removed="del named['v1']", other="named['v2'] = 2"),
    "nested": Place(
        HOLDER + "\nnest = {{'a': [h, {{'b': (h,)}}]}}", "nest['a'][1]['b'][0].v", "nest['a'][0].v = {a}", "h.v", "del h.v", "nest['c'] = 1"
    ),
    "nested containers": Place("nest = {{'a': [1, {{'b': [{a}]}}]}}", "nest['a'][1]['b'][0]", "nest['a'][1]['b'][0] = {a}", other="nest['a'][0] = 2"),
    "nested replaced": Place("nest = {{'a': [1, {{'b': [{a}]}}]}}", "nest['a'][1]['b'][0]", "nest['a'] = [1, {{'b': [{a}]}}]", removed="nest['a'] = []", other="nest['c'] = 2"),
    "outer closure": Place(
        "def surroundings(v):\n    def put(new):\n        nonlocal v\n        v = new\n\n    return lambda: v, put\n\n\nget, put = surroundings({a})", "get()", "put({a})"
    ),
    "default": Place("", "v", "step.__defaults__ = ({a},)", "step.__defaults__[0]", "step.__defaults__ = None", parameter=", v={a}", inner=", v"),
    "keyword default": Place("", "v", "step.__kwdefaults__ = {{'v': {a}}}", "step.__kwdefaults__['v']", parameter=", *, v={a}", inner=", v"),
    "entry of keyword defaults": Place("", "v", "step.__kwdefaults__['v'] = {a}", "step.__kwdefaults__['v']", parameter=", *, v={a}", inner=", v"),
    "helper's default": Place("def helper(v={a}):\n    return v", "helper()", "helper.__defaults__ = ({a},)", "helper.__defaults__[0]", "helper.__defaults__ = None"),
    "argument": Place("v = {a}", "v", "v = {a}", parameter=", v", inner=", v", given=", v"),
    "keyword argument": Place("v = {a}", "v", "v = {a}", parameter=", v=None", inner=", v", given=", v=v"),
    "keyword only argument": Place("v = {a}", "v", "v = {a}", parameter=", *, v", inner=", v", given=", v=v"),
    "star argument": Place("v = {a}", "v[0]", "v = {a}", "v", parameter=", *v", inner=", v", given=", v"),
    "double star argument": Place("v = {a}", "v['v']", "v = {a}", "v", parameter=", **v", inner=", v", given=", v=v"),
    "argument's list": Place("v = {a}", "v[0]", "v = {a}", "v", parameter=", v", inner=", v", given=", [v, 1]"),
    "argument's tuple": Place("v = {a}", "v[1]", "v = {a}", "v", parameter=", v", inner=", v", given=", (1, v)"),
    "argument's dict": Place("v = {a}", "v['k']", "v = {a}", "v", parameter=", v", inner=", v", given=", {'k': v, 'other': [1]}"),
    "argument's object": Place(HOLDER, "v.v", "h.v = {a}", parameter=", v", inner=", v", given=", h", **AN_ATTRIBUTE),
    "argument's new object": Place(HOLDER, "v.v", "h = Holder()\nh.v = {a}", "h.v", parameter=", v", inner=", v", given=", h"),
    "argument's data class": Place(
        "@dataclasses.dataclass\nclass Fields:\n    v: object\n    other: int = 1\n\n\nrecord = Fields({a})", "v.v", "record.v = {a}", "record.v", "del record.v", "record.other = 4", ", v", ", v", ", record"
    ),
    "argument's namespace": Place("n = types.SimpleNamespace(v={a}, other=1)", "v.v", "n.v = {a}", "n.v", "del n.v", "n.other = 3", ", v", ", v", ", n"),
    "same list as argument": Place("entries = [{a}, 1.0]", "v[0]", "entries[0] = {a}", "entries[0]", "", "other = 2.0", ", v", ", v", ", entries"),
    "bound argument": Place(
        "", "v", "step.keywords['v'] = {a}", "step.keywords['v']", "del step.keywords['v']",
        reader="def plain(x, v):\n{body1}\n    return r\n\n\nstep = functools.partial(plain, v={a})",
    ),
    "module attribute": Place(
        "", "self.v", "net.v = {a}", "net.v", "del net.v", "net.other = 2", reader=A_MODULE + "\n\ndef step(x):\n    return net(x)",
    ),
    "compiled module's attribute": Place("", "self.v", "net.v = {a}", "net.v", "del net.v", "net.other = 2", reader=A_MODULE + "\n\nstep = net.forward"),
    "submodule's attribute": Place(
        "", "self.v", "net.v = {a}", "net.v", "del net.v", "model.other = 2", reader=A_MODULE + "\nmodel = nn.Sequential(nn.Identity(), nn.Sequential(net))\n\n\ndef step(x):\n    return model(x)",
    ),
    "attribute of a module as argument": Place(
        "", "self.v", "net.v = {a}", "net.v", "del net.v", "net.other = 2", given=", net", reader=A_MODULE + "\n\ndef step(x, m):\n    return m(x)",
    ),
    "attribute of a module from outside": Place(
        "net = nn.Linear(3, 3)\nnet.v = {a}", "net.v", "net.v = {a}", removed="del net.v", other="net.more = 1",
    ),
    "class attribute of a module": Place(
        "", "self.v", "Net.v = {a}", "Net.v", "del Net.v", "Net.other = 1",
        reader="class Net(nn.Module):\n    v = {a}\n\n    def forward(self, x):\n{body2}\n        return r\n\n\nnet = Net()\n\n\ndef step(x):\n    return net(x)",
    ),
    "attribute of a method's object": Place(
        "", "self.v", "t.v = {a}", "t.v", "del t.v", "t.other = 1",
        reader="class Task:\n    def __init__(self, v):\n        self.v = v\n\n    def work(self, x):\n{body2}\n        return r\n\n\nt = Task({a})\nstep = t.work",
    ),
    "attribute of a callable object": Place(
        "", "self.v", "step.v = {a}", "step.v", "del step.v", "step.other = 1",
        reader="class Task:\n    def __init__(self, v):\n        self.v = v\n\n    def __call__(self, x):\n{body2}\n        return r\n\n\nstep = Task({a})",
    ),
    "class attribute in a class method": Place(
        "", "cls.v", "Task.v = {a}", "Task.v", "del Task.v", "Task.other = 1",
        reader="class Task:\n    v = {a}\n\n    @classmethod\n    def work(cls, x):\n{body2}\n        return r\n\n\nstep = Task.work",
    ),
    "function's attribute": Place("def keeper():\n    pass\n\n\nkeeper.v = {a}", "keeper.v", "keeper.v = {a}", removed="del keeper.v", other="keeper.other = 1"),
    "globals": Place("globals()['v_global'] = {a}", "globals()['v_global']", "globals()['v_global'] = {a}", removed="del globals()['v_global']"),
    "method with super": Place(
        "", "super().work()", "Base.v = {a}", "Base.v", "del Base.v", "Base.other = 1",
        reader="class Base:\n    v = {a}\n\n    def work(self):\n        return self.v\n\n\nclass Task(Base):\n    def work(self, x):\n{body2}\n        return r\n\n\nt = Task()\nstep = t.work",
    ),
}  # fmt: skip


# Built-in functions and classes that read for the user.
NAMED = {
    "made": "named = {{'v': {a}, 'other': 1}}",
    "replaced": "named['v'] = {a}",
    "found": "named['v']",
    "other": "named['other'] = 2",
}
LISTED = {"made": "entries = [{a}, 1.0]", "replaced": "entries[0] = {a}", "found": "entries[0]", "other": "other = 3.0"}
HELD = {"made": HOLDER, "replaced": "h.v = {a}", **AN_ATTRIBUTE}
PLACES |= {
    "itemgetter": Place(read="operator.itemgetter('v')(named)", **NAMED),
    "methodcaller": Place(read="operator.methodcaller('get', 'v')(named)", **NAMED),
    "bound getitem": Place(read="named.__getitem__('v')", **NAMED),
    "getitem of dict": Place(read="dict.__getitem__(named, 'v')", **NAMED),
    "operator.getitem": Place(read="operator.getitem(named, 'v')", **NAMED),
    "copy of a dict": Place(read="dict(named)['v']", **NAMED),
    "copied dict": Place(read="named.copy()['v']", **NAMED),
    "unpacked dict": Place(read="{{**named}}['v']", **NAMED),
    "items of a dict": Place(read="list(named.items())[0][1]", **NAMED),
    "values of a dict": Place(read="next(iter(named.values()))", **NAMED),
    "mapped itemgetter": Place(read="list(map(operator.itemgetter('v'), [named]))[0]", **NAMED),
    "star dict": Place(read="(lambda v, other: v)(**named)", **NAMED),
    "next of a list": Place(read="next(iter(entries))", **LISTED),
    "copy of a list": Place(read="list(entries)[0]", **LISTED),
    "unpacked list": Place(read="[*entries][0]", **LISTED),
    "slice of a list": Place(read="entries[:1][0]", **LISTED),
    "star list": Place(read="(lambda v, other: v)(*entries)", **LISTED),
    "sum of lists": Place(read="(entries + [1])[0]", **LISTED),
    "zipped list": Place(read="list(zip(entries, 'ab'))[0][0]", **LISTED),
    "enumerated list": Place(read="dict(enumerate(entries))[0]", **LISTED),
    "popped from a copy": Place(read="entries.copy().pop(0)", **LISTED),
    "partial of getattr": Place(read="functools.partial(getattr, h, 'v')()", **HELD),
    "getattribute": Place(read="h.__getattribute__('v')", **HELD),
    "getattribute of object": Place(read="object.__getattribute__(h, 'v')", **HELD),
    "dict of an object": Place(read="h.__dict__.get('v')", made=HOLDER, replaced="h.v = {a}", found="h.v", other="h.other = 6.0"),
    "mapped attrgetter": Place(read="[*map(operator.attrgetter('v'), (h,))][0]", **HELD),
    "copied object": Place(read="copy.copy(h).v", **HELD),
    "weak reference": Place(**{**HELD, "made": HOLDER + "\nseen = weakref.ref(h)"}, read="seen().v"),
    "thread's own": Place("local = threading.local()\nlocal.v = {a}", "local.v", "local.v = {a}", removed="del local.v", other="local.other = 1"),
    "context variable": Place("context = contextvars.ContextVar('context')\nkept = context.set({a})", "context.get()", "kept = context.set({a})"),
    "cached settings": Place(**{**HELD, "made": HOLDER + "\n\n\n@functools.cache\ndef settings():\n    return h"}, read="settings().v"),
    "user dict": Place("table = collections.UserDict(v={a})", "table['v']", "table['v'] = {a}", removed="del table['v']", other="table['other'] = 1"),
    "dict with attributes": Place(
        "class Attributes(dict):\n    __getattr__ = dict.__getitem__\n    __setattr__ = dict.__setitem__\n\n\ntable = Attributes(v={a})",
        "table.v", "table.v = {a}", removed="del table['v']", other="table.other = 1",
    ),
    "subclass of list": Place("class Entries(list):\n    pass\n\n\nentries = Entries([{a}])", "entries[0]", "entries[0] = {a}", other="entries.append(1)"),
    "chain of dicts": Place("first, second = {{}}, {{'v': {a}}}\ntable = collections.ChainMap(first, second)", "table['v']", "second['v'] = {a}", removed="del second['v']", other="second['other'] = 1"),
    "property of a metaclass": Place(
        "class Meta(type):\n    @property\n    def v(cls):\n        return cls.kept[0]\n\n\nclass Configuration(metaclass=Meta):\n    kept = [{a}]",
        "Configuration.v", "Configuration.kept = [{a}]", other="Configuration.other = 1",
    ),
    "attribute of an enum": Place("class Choice(enum.Enum):\n    ONE = 1\n\n\nChoice.ONE.v = {a}", "Choice.ONE.v", "Choice.ONE.v = {a}", removed="del Choice.ONE.v", other="Choice.ONE.other = 3"),
}  # fmt: skip


# ------------------------------------------------------------------------------------- readers

STEP = "def step(x{parameter}):\n    return compute(x{inner})"
COMPUTE = "def compute(x{inner}):\n{body1}\n    return r"


def helpers(depth: int) -> str:
    """The value is read so many calls below the step."""
    source = COMPUTE.replace("compute", "compute0")
    for i in range(1, depth):
        source += f"\n\n\ndef compute{i}(x{{inner}}):\n    return compute{i - 1}(x{{inner}})"
    return source + "\n\n\n" + STEP.replace("compute", f"compute{depth - 1}")


READERS: dict[str, str] = {
    "step": "def step(x{parameter}):\n{body1}\n    return r",
    "decorated step": "def passed(function):\n    @functools.wraps(function)\n    def inside(*args, **named):\n        return function(*args, **named)\n\n    return inside\n\n\n@passed\ndef compute(x{inner}):\n{body1}\n    return r\n\n\n" + STEP,
    **{f"helper {depth} deep": helpers(depth) for depth in (1, 2, 4, 6)},
    "nested function": "def step(x{parameter}):\n    def compute():\n{body2}\n        return r\n\n    return compute()",
    "lambda": "def step(x{parameter}):\n    return (lambda: {one})()",
    "comprehension": "def step(x{parameter}):\n    return [{one} for _ in range(1)][0]",
    "dict comprehension": "def step(x{parameter}):\n    return {{i: {one} for i in range(1)}}[0]",
    "generator expression": "def step(x{parameter}):\n    return next({one} for _ in range(1))",
    "generator function": COMPUTE.replace("return r", "yield r") + "\n\n\ndef step(x{parameter}):\n    for y in compute(x{inner}):\n        return y",
    "conditional expression": "def step(x{parameter}):\n    return ({one}) if x.dim() == 1 else x",
    "module": "class Net0(nn.Module):\n    def forward(self, x{inner}):\n{body2}\n        return r\n\n\nnet0 = Net0()\n\n\ndef step(x{parameter}):\n    return net0(x{inner})",
    "method": "class Worker:\n    def compute(self, x{inner}):\n{body2}\n        return r\n\n\nw = Worker()\n\n\ndef step(x{parameter}):\n    return w.compute(x{inner})",
    "static method": "class Worker:\n    @staticmethod\n    def compute(x{inner}):\n{body2}\n        return r\n\n\ndef step(x{parameter}):\n    return Worker.compute(x{inner})",
    "special method": "class Worker:\n    def __matmul__(self, given):\n        x, v = given\n{body2}\n        return r\n\n\nw = Worker()\n\n\ndef step(x{parameter}):\n    return w @ (x, {only})",
    "context manager": "@contextlib.contextmanager\ndef around():\n    yield 1\n\n\ndef step(x{parameter}):\n    with around():\n{body2}\n    return r",
    "try": "def step(x{parameter}):\n    try:\n{body2}\n    finally:\n        x = None\n    return r",
    "no gradients": "def step(x{parameter}):\n    with chainrule.no_grad():\n{body2}\n    return r",
    "map": COMPUTE + "\n\n\ndef step(x{parameter}):\n    return list(map(compute, [x]{listed}))[0]",
    "partial": COMPUTE + "\n\n\ndef step(x{parameter}):\n    return functools.partial(compute, x)({only})",
    "sorted": COMPUTE + "\n\n\ndef step(x{parameter}):\n    found = []\n    sorted([1], key=lambda _: found.append(compute(x{inner})) or 0)\n    return found[0]",
    "star call": COMPUTE + "\n\n\ndef step(x{parameter}):\n    given = (x{inner})\n    given = given if isinstance(given, tuple) else (given,)\n    return compute(*given)",
    "function from a dict": COMPUTE + "\n\n\ntable = {{'c': compute}}\n\n\ndef step(x{parameter}):\n    return table['c'](x{inner})",
    "inner class": "def step(x{parameter}):\n    class Inside:\n        def compute(self, x{inner}):\n{body3}\n            return r\n\n    return Inside().compute(x{inner})",
    "hook": COMPUTE + "\n\n\nidentity = nn.Identity()\nidentity.register_forward_hook(lambda module, given, result: compute(result))\n\n\ndef step(x):\n    return identity(x)",
    "cached": COMPUTE + "\n\n\n@functools.cache\ndef chosen():\n    return compute\n\n\ndef step(x{parameter}):\n    return chosen()(x{inner})",
}  # fmt: skip
ONE_LINE = ("lambda", "comprehension", "dict comprehension", "generator expression", "conditional expression")


def unescaped(text: str) -> str:
    """Double braces stand for single ones."""
    return text.replace("{{", "{").replace("}}", "}")


def step_source(place: Place, reader: str, lines: str, value: str) -> str:
    """Source that puts the value in its place and defines `step`. `lines` are those of the use, `value` the expression."""
    lines = unescaped(lines).replace("{v}", unescaped(place.read))
    parts = {
        "{a}": value,
        "{parameter}": unescaped(place.parameter).replace("{a}", value),
        "{inner}": place.inner,
        "{only}": place.inner[2:],
        "{listed}": f", [{place.inner[2:]}]" if place.inner else "",
        "{body1}": textwrap.indent(lines, " " * 4),
        "{body2}": textwrap.indent(lines, " " * 8),
        "{body3}": textwrap.indent(lines, " " * 12),
        "{one}": lines[4:],
    }
    source = unescaped(place.reader or READERS[reader])
    for name, text in parts.items():
        source = source.replace(name, text)
    made = unescaped(place.made).replace("{a}", value)
    return f"{made}\n\n\n{source}".strip()


def fits(place: Place, reader: str, lines: str) -> bool:
    """Whether the value can be read there in this way."""
    if "f'" in lines and "'" in place.read:
        return False  # no quotes within quotes before Python 3.12
    if place.reader:
        return reader == "step"
    if reader in ONE_LINE:
        return "\n" not in lines and lines.startswith("r = ")
    if reader == "nested function":
        return not any(line.lstrip().startswith(("x = ", "for x")) for line in lines.split("\n"))
    if reader == "hook":
        return not place.parameter
    if reader == "special method":
        return bool(place.inner)
    return True


def statement(text: str, place: Place, value: str = "") -> str:
    """A statement that changes something: `{v}` is the value as it is found from outside, `{a}` another value."""
    return unescaped(text).replace("{v}", unescaped(place.found or place.read)).replace("{a}", value)
