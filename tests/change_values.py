"""The values that change between calls: what there is of each kind, how it is mutated, and what a step does with it.

In all texts `{v}` stands for the place where the value lies, and `x` for the step's argument, three floats.
"""

from __future__ import annotations

from typing import NamedTuple


class Use(NamedTuple):
    """Lines of a step that read the value and assign the result `r`.

    Attributes:
        lines: the source.
        arithmetic: whether the value only enters arithmetic, so that it can become an input of the program.
    """

    lines: str
    arithmetic: bool = False


class Kind(NamedTuple):
    """A kind of value.

    Attributes:
        values: expressions for values of the same form; the first is where a case begins.
        others: expressions for values of another form (type, length, shape).
        uses: what a step does with it.
        mutations: statements that change it in place.
        classes: source at the top of the module.
        copies: whether an equal copy needs no other program.
        inputs: whether contents are inputs as soon as the step reads them, so that even the first are in no program.
        tensors: whether it is made of tensors ("given"), or is one that learns ("learn").
    """

    values: tuple[str, ...]
    others: tuple[str, ...]
    uses: tuple[Use, ...]
    mutations: tuple[str, ...] = ()
    classes: str = ""
    copies: bool = True
    inputs: bool = False
    tensors: str = ""


def reads(*lines: str) -> tuple[Use, ...]:
    """Uses that decide something in Python."""
    return tuple(Use(line) for line in lines)


def sums(*lines: str) -> tuple[Use, ...]:
    """Uses in which the value only enters arithmetic."""
    return tuple(Use(line, arithmetic=True) for line in lines)


KINDS: dict[str, Kind] = {}

KINDS["bool"] = Kind(
    ("False", "True"),
    ("1", "0", "1.0", "None", "np.True_"),
    reads(
        "r = x * 2 if {v} else x + 1", "r = x.sum(0, keepdim={v})", "r = x * (3 if not {v} else 4)",
        "r = {{True: x, False: -x}}.get({v}, x * 5)", "r = x if {v} is True else -x", "if {v}:\n    x = x.relu() + 1\nr = x * 2",
        "r = [x, x * 2][bool({v})]", "r = x * isinstance({v}, bool)", "r = x * len(str({v}))", "r = ({v} and x) + x if {v} else x",
        "while {v}:\n    x = x + 1\n    break\nr = x", "r = F.dropout(x, 0.0, training=bool({v})) * ({v} or 2)",
        "assert {v} in (True, False, None)\nr = x.sort(descending=bool({v}))[0]",
    )
    + sums("r = x * {v}", "r = x + {v}", "r = chainrule.tensor([1, 2, 3]) * {v}"),
)  # fmt: skip

KINDS["int"] = Kind(
    ("2", "1", "0", "-1", "5"),
    ("2.0", "True", "1.0", "-0.0", "None", "np.int64(2)", "'2'"),
    reads(
        "for _ in range({v}):\n    x = x * 2\nr = x", "r = x[{v}]", "r = x.reshape(1, 3, 1).sum({v})", "r = x * 2 if {v} > 1 else x",
        "r = getattr(chainrule.tensor([5.0]), {{2: 'exp', 1: 'sin'}}.get({v}, 'neg'))() * x", "r = x ** {v}",
        "match {v}:\n    case 2:\n        r = x\n    case 1 | 0:\n        r = -x\n    case _:\n        r = x * 9",
        "r = {{f'k{{i}}': x * i for i in range(4)}}[f'k{{{v}}}']", "r = x.roll({v})", "r = chainrule.zeros({v}) + 1",
        "r = x.expand({v}, 3)", "r = x.sum({v} - 2)", "r = x * [5.0, 6.0, 7.0][{v}]", "r = x * isinstance({v}, int)",
        "r = x * type({v})(1.5)", "r = x[{v} - 2:]", "r = x.repeat({v})", "r = x * ({v} // 2)", "r = x * ({v} % 2 == 0)",
        "r = {{2: x, 1: -x}}[{v}]", "r = x.clamp(max={v}) if {v} != 2 else x", "r = sum((x for _ in range({v})), x)",
        "r = chainrule.arange({v}) * 1.0", "r = x * operator.index({v})", "r = x * sum(range({v}))", "r = x * max({v}, 1)",
    )
    + sums(
        "r = x * {v}", "r = x + {v}", "r = {v} - x", "r = chainrule.tensor([1, 2, 3]) * {v}", "r = x / ({v} + 10)",
        "r = chainrule.tensor([1, 2, 3], dtype=chainrule.int32) + {v}", "r = x.square() * {v} * 2 - {v}", "y = x\ny = y + {v}\nr = y * {v}",
    ),
)  # fmt: skip

KINDS["large int"] = Kind(
    ("3", "2**31 + 5", "2**40", "-(2**33)", "2**53 + 1"),
    ("3.0", "2**70", "1e300"),
    sums(
        "r = x * {v}", "r = chainrule.tensor([1, 2, 3]) * {v}", "r = chainrule.tensor([1, 2, 3], dtype=chainrule.int32) + {v}", "r = x.double() + {v}",
        "r = chainrule.tensor([1, 2, 3], dtype=chainrule.uint8) * {v}", "r = {v} - chainrule.tensor([2**53, 0, 1])", "r = chainrule.tensor([True, False]) * {v}",
    ) + reads("r = x if {v} > 10 else -x", "r = chainrule.tensor([1, 2, 3]) // {v}", "r = x * {v}.bit_length()"),
)  # fmt: skip

KINDS["float"] = Kind(
    ("2.0", "3.5", "0.0", "-0.0", "float('nan')", "float('inf')", "-1.5", "0.1"),
    ("2", "True", "np.float64(2.0)", "np.float32(0.1)", "None", "'2.0'", "fractions.Fraction(1, 2)"),
    reads(
        "r = x.add(x, alpha={v})", "r = x.lerp(x + 1, {v})",
        "r = x * 2 if {v} > 2.5 else x", "r = x.clamp(max={v})", "r = x * math.copysign(1.0, {v})", "r = x * math.isnan({v})",
        "r = F.leaky_relu(-x, {v})", "r = x.pow({v})", "r = (x > {v}) * 1.0", "r = x * isinstance({v}, float)", "r = x * len(repr({v}))",
        "r = x * round({v}) if {v} == 2.0 else x", "r = x * {{2.0: 5.0}}.get({v}, 7.0)", "r = x * int({v} == {v})", "r = x * ({v} or 4.0)",
        "r = x.masked_fill(x > 1.5, {v})", "r = F.pad(x, (1, 0), value={v})", "r = chainrule.full((2,), {v})", "r = x * bool({v})",
        "r = x * max({v}, 1.0)", "r = x.mul(2).div(1 if {v} < 3 else 2)", "r = F.huber_loss(x, x * 0, delta=abs({v}) + 1.0)",
    )
    + sums(
        "r = x * {v}", "r = x + {v}", "r = {v} - x", "r = {v} / x", "r = x * {v} + {v}", "r = x * (1 - {v})", "r = chainrule.tensor([1, 2, 3]) * {v}",
        "r = x.double() * {v}", "r = x.half() * {v}", "r = -(x * 0) * {v}", "w = x.detach().requires_grad_()\n(w.square() * {v}).sum().backward()\nr = w.grad",
        "r = (x * {v}).relu()",
    ),
)  # fmt: skip

KINDS["str"] = Kind(
    ("'relu'", "'tanh'", "'sigmoid'", "'exp'", "'nothing'"),
    ("b'relu'", "None", "0", "('relu',)"),
    reads(
        "r = getattr(chainrule, {v})(x - 2)", "r = x if {v} == 'relu' else -x", "r = {{'relu': x, 'tanh': x * 3}}[{v}]", "r = x * len({v})",
        "r = x * {v}.startswith('t')", "r = x * ('a' in {v})", "r = x * hash({v} == 'relu')", "r = {{'a_relu': x}}.get(f'a_{{{v}}}', -x)",
        "match {v}:\n    case 'relu':\n        r = x.relu()\n    case str():\n        r = x * 2\n    case _:\n        r = x * 3",
        "r = x * {v}.count('n')", "r = operator.methodcaller({v})(x)", "r = getattr(F, {v}, F.softplus)(x)", "r = x * {v}.index('t')",
        "r = x * ('%s' % {v}).isalpha()", "for letter in {v}:\n    x = x + ord(letter)\nr = x", "r = x * ({v} > 's')", "r = x if {v} else -x",
    ),
)  # fmt: skip

KINDS["reduction"] = Kind(
    ("'mean'", "'sum'", "'none'", "'other'"),
    ("None",),
    reads("r = F.mse_loss(x, x + 1, reduction={v})", "r = nn.L1Loss(reduction={v})(x, x * 2)"),
)

KINDS["none"] = Kind(
    ("None", "2.0"),
    ("0", "False", "()", "chainrule.tensor([4.0])"),
    reads(
        "r = x if {v} is None else x * 2", "r = x.clamp(0.5, {v})", "r = x * ({v} or 3.0)", "r = x + 1 if {v} else x", "r = x * ({v} is not None)",
        "r = x if {v} == None else x * {v}", "r = x * isinstance({v}, type(None))", "r = x * {v}", "y = {v}\nif y is not None:\n    x = x * y\nr = x",
    ),
)  # fmt: skip

SEQUENCE = (
    "r = x * {v}[0]", "a, b = {v}\nr = x * a + b", "r = x.lerp(*{v})", "r = sum(x * i for i in {v})", "r = x * len({v})", "r = x * (3.0 in {v})",
    "for a in {v}:\n    x = x + a\nr = x", "for i, a in enumerate({v}):\n    x = x * a + i\nr = x", "r = x * sum({v})", "r = x * max({v})",
    "r = x if {v} else -x", "a, *b = {v}\nr = x * a * len(b)", "r = [x * a for a in {v}]", "r = x * {v}[-1]", "r = x * {v}.index(3.0)",
    "r = x * {v}.count(2.0)", "r = x * sorted({v})[0]", "r = x * list(zip({v}, [1.0, 2.0]))[0][0]", "r = x * functools.reduce(operator.mul, {v})",
    "r = x * list({v})[0]", "r = x * tuple(reversed({v}))[0]", "r = x * sum(itertools.chain({v}, [1.0]))", "r = x * operator.itemgetter(0)({v})",
    "r = x * any(a > 2.5 for a in {v})", "r = x + chainrule.tensor({v}).sum()", "r = x * len({v}[1:])", "r = x * next(iter({v}))",
    "r = [b for a in map(x.mul, {v}) for b in a]", "match {v}:\n    case [a]:\n        r = x\n    case [a, b]:\n        r = x * b\n    case _:\n        r = x * 7",
    "r = x * isinstance({v}, tuple)", "r = {{len({v}): x}}[2]", "r = x * sum([*{v}, 4.0])", "r = x * math.prod({v})", "r = x * ({v} == type({v})((2.0, 3.0)))",
)  # fmt: skip

KINDS["tuple"] = Kind(
    ("(2.0, 3.0)", "(2.0, 0.5)", "(3.0, 2.0)", "(-0.0, 0.0)"),
    ("(2, 3)", "(1.0, 2.0, 3.0)", "()", "[2.0, 3.0]", "(True, 3.0)", "(2.0,)", "None"),
    (*reads(*SEQUENCE), *reads("r = {{(2.0, 3.0): x}}.get({v}, -x)", "r = x * len({v} + (1,))", "r = x * hash({v} == (2.0, 3.0))")),
)  # fmt: skip

KINDS["list"] = Kind(
    ("[2.0, 3.0]", "[2.0, 0.5]", "[3.0, 2.0]", "[-0.0, 0.0]"),
    ("[2, 3]", "[1.0, 2.0, 3.0]", "[]", "(2.0, 3.0)", "[2.0]", "collections.deque([2.0, 3.0])", "None"),
    reads(*SEQUENCE),
    (
        "{v}[0] = 9.0", "{v}.append(3.0)", "{v}.pop()", "{v}.reverse()", "{v}.clear()", "{v}.insert(0, 7.0)", "del {v}[0]", "{v}[:] = [5.0]",
        "{v}.sort(reverse=True)", "{v}.extend([1.0, 1.0])", "{v}.__setitem__(0, 4.0)", "{v}.remove({v}[0])", "{v}[0] = int({v}[0])",
    ),
)  # fmt: skip

KINDS["dict"] = Kind(
    ("{'a': 2.0, 'b': 3.0}", "{'a': 2.0, 'b': 0.5}", "{'b': 3.0, 'a': 2.0}"),
    ("{'a': 2, 'b': 3}", "{'a': 2.0}", "{}", "{'c': 1.0}", "collections.OrderedDict(a=4.0)", "collections.defaultdict(float)", "None",
     "types.MappingProxyType({'a': 5.0})"),
    reads(
        "r = x * {v}['a']", "r = x * {v}.get('c', 1.0)", "r = x * ('b' in {v})", "for k in {v}:\n    x = x * 2 + ord(k)\nr = x",
        "r = sum(x * a for a in {v}.values())", "r = [x * a for k, a in {v}.items() if k != 'b']", "r = x * len({v})", "r = x if {v} else -x",
        "r = (lambda a, b=1.0: x * a + b)(**{v})", "r = x * len(sorted({v}))", "r = {{k: x * a for k, a in {v}.items()}}", "r = x * {{**{v}, 'd': 4.0}}['d']",
        "r = x * len({v} | {{'d': 1.0}})", "r = x * list({v}.values())[0]", "r = x * operator.itemgetter('a')({v})", "r = x * max({v}.values())",
        "try:\n    r = x * {v}['c']\nexcept KeyError:\n    r = -x", "r = x * ({v} == {{'a': 2.0, 'b': 3.0}})", "r = x * '{{a}}'.format(**{v}).count('2')",
        "r = x * next(iter({v}.values()))", "match {v}:\n    case {{'c': c}}:\n        r = x * c\n    case _:\n        r = x", "r = x * dict({v}).setdefault('a', 4.0)",
        "r = x * len({v}.keys() & {{'a'}})", "k, *_ = {v}\nr = x * {v}[k]", "r = x * len(list(reversed({v})))",
    ),
    (
        "{v}['a'] = 9.0", "{v}['c'] = 7.0", "del {v}['b']", "{v}.update(a=1.0, c=2.0)", "{v}.clear()", "{v}['a'] = {v}.pop('a')", "{v}.setdefault('c', 5.0)",
        "{v}.pop('a')", "{v}.update({{'c': 3.0}})", "{v}['b'] = int({v}['b'])", "{v}.popitem()",
    ),
)  # fmt: skip

KINDS["nested"] = Kind(
    ("{'a': {'b': [2.0, 3.0]}, 'n': (1, 2)}", "{'a': {'b': [4.0, 3.0]}, 'n': (1, 2)}", "{'a': {'b': [2.0, 3.0]}, 'n': (1, 3)}"),
    ("{'a': {'b': [2]}, 'n': ()}", "{'a': {}, 'n': (1, 2)}"),
    reads(
        "r = x * {v}['a']['b'][0]", "r = sum(x * b for b in {v}['a']['b'])", "r = x * len({v}['a'])", "r = x * sum({v}['n'])", "r = x * len({v}['a']['b'])",
        "a = {v}['a']\nr = x * a.get('b', [5.0])[0]", "inner = {v}.get('a') or {{}}\nr = x + sum(inner.get('b', ()))", "r = x * {v}['a']['b'][-1] * {v}['n'][0]",
    ),
    (
        "{v}['a']['b'][0] = 9.0", "{v}['a']['b'].append(1.0)", "{v}['a']['b'] = [6.0]", "{v}['a'] = {{'b': [7.0]}}", "del {v}['a']['b']", "{v}['n'] += (5,)",
        "{v}['a']['b'].insert(0, -1.0)",
    ),
)  # fmt: skip

SET = (
    "r = x if 2 in {v} else -x", "r = x * len({v})", "r = x * sum({v})", "r = x if {v} else -x", "r = x * max(sorted({v}))", "for i in sorted({v}):\n    x = x + i\nr = x",
    "r = x * len({v} & {{2, 3}})", "r = x * len({v} | {{2, 3}})", "r = x * ({v} <= {{1, 2}})", "r = x * {v}.isdisjoint({{3}})", "r = [x * i for i in {v}]",
    "r = x * ({v} == {{1, 2}})", "r = x * len(list({v}))", "r = x * any(i > 2 for i in {v})",
)  # fmt: skip
KINDS["set"] = Kind(
    ("{1, 2}", "{1, 3}", "{4, 5}"), ("{1}", "set()", "frozenset({1, 2})", "{1.5, 2}", "[1, 2]", "None"), reads(*SET),
    ("{v}.add(3)", "{v}.discard(2)", "{v}.clear()", "{v}.update({{2, 3, 4}})", "{v}.remove(min({v}))"),
)  # fmt: skip
KINDS["frozenset"] = Kind(
    ("frozenset({1, 2})", "frozenset({1, 3})"), ("frozenset()", "{1, 2}", "frozenset({1.5, 2})"), (*reads(*SET), *reads("r = {{frozenset({{1, 2}}): x}}.get({v}, -x)")),
)  # fmt: skip

KINDS["slice"] = Kind(
    ("slice(0, 2)", "slice(1, 3)", "slice(None, None, 2)", "slice(None)"),
    ("1", "None", "...", "[0, 2]", "(slice(0, 1),)"),
    reads(
        "r = x[{v}]", "r = x * ({v}.stop or 1)", "r = x.reshape(3, 1)[{v}, 0]", "r = x + len([1, 2, 3, 4][{v}])", "y = x.clone()\ny[{v}] = 9.0\nr = y",
        "r = x * ({v} == slice(0, 2))", "r = x * len(range(*{v}.indices(3)))",
    ),
)  # fmt: skip

KINDS["range"] = Kind(
    ("range(3)", "range(2)", "range(1, 3)"), ("[0, 1]", "range(0)", "(2,)"),
    reads("for i in {v}:\n    x = x * 2 + i\nr = x", "r = x * len({v})", "r = x * (2 in {v})", "r = x[list({v})]", "r = x * sum({v})", "r = x if {v} else -x"),
)  # fmt: skip

KINDS["dtype"] = Kind(
    ("chainrule.float32", "chainrule.float64", "chainrule.float16", "chainrule.int64"),
    ("None", "float", "'float32'", "np.float64", "chainrule.bool"),
    reads(
        "r = x.to({v})", "r = chainrule.zeros(3, dtype={v})", "r = x if {v} == chainrule.float32 else -x", "r = x * {v}.is_floating_point", "r = x.sum(dtype={v})",
        "r = chainrule.tensor([1.0, 2.0], dtype={v})", "r = x * chainrule.ones(3, dtype={v})", "r = {{chainrule.float32: x}}.get({v}, x * 2)", "r = x if {v} is chainrule.float64 else -x",
        "r = chainrule.arange(3, dtype={v})", "r = x.double().type({v}) if {v} else x",
    ),
)  # fmt: skip

KINDS["enum"] = Kind(
    ("Mode.A", "Mode.B", "Mode.C"), ("Level.LOW", "Flags.ONE", "None", "1"),
    reads(
        "r = x if {v} is Mode.A else -x", "r = x * {v}.value", "r = x * len({v}.name)", "r = {{Mode.A: x, Mode.B: x * 3}}.get({v}, -x)", "r = x if {v} == Mode.B else -x",
        "match {v}:\n    case Mode.A:\n        r = x\n    case Mode.B | Mode.C:\n        r = x * 4\n    case _:\n        r = -x", "r = x * isinstance({v}, Mode)", "r = x * ({v} in (Mode.A, Mode.C))",
        "r = x * list(Mode).index({v})", "r = x * ({v} is Level.LOW)", "r = x if {v} else -x",
    ),
    classes="class Mode(enum.Enum):\n    A = 1\n    B = 2\n    C = 2.5\n\n\nclass Level(enum.IntEnum):\n    LOW = 1\n    HIGH = 2\n\n\nclass Flags(enum.Flag):\n    ONE = 1\n    TWO = 2\n",
)  # fmt: skip

KINDS["numpy number"] = Kind(
    ("np.float32(2.0)", "np.float32(3.5)", "np.float32(-0.0)", "np.float32(0.1)"), ("np.float64(2.0)", "np.int64(2)", "2.0", "np.bool_(True)", "np.float16(2.0)", "np.array(3.0)"),
    (
        *reads("r = x * 2 if {v} > 2.5 else x", "r = x * isinstance({v}, np.floating)", "r = x[int({v}) - 2:]", "r = x * {v}.dtype.itemsize", "r = x.clamp(max=float({v}))", "r = x * round(float({v}))"),
        *reads("r = x * {v}", "r = x + {v}", "r = {v} * x", "r = x * float({v})", "r = x.double() / ({v} + 3)"),
    ),
)  # fmt: skip

KINDS["array"] = Kind(
    ("np.array([1.0, 2.0, 3.0], np.float32)", "np.array([9.0, 8.0, 7.0], np.float32)", "np.array([0.0, -0.0, 0.5], np.float32)"),
    ("np.array([1.0, 2.0, 3.0])", "np.array([2.0], np.float32)", "np.array([1, 2, 0])", "np.array([True, False, True])", "np.ones((2, 3), np.float32)", "[1.0, 2.0, 3.0]"),
    (
        *reads(
            "r = x if {v}[0] > 1 else -x", "r = x * float({v}[0])", "r = x * len({v})", "r = x * {v}.shape[0]", "r = x if {v}.dtype == np.float32 else -x", "r = x * {v}.sum()", "r = x * float(np.max({v}))",
            "for a in {v}:\n    x = x + float(a)\nr = x", "r = x[np.asarray({v}) > 1.5]", "r = x * {v}.ndim", "r = x * {v}.tolist()[0]", "r = x if np.all({v} > 0) else -x", "r = x * np.linalg.norm({v})",
            "r = x[{v}.astype(int) % 3]", "a, *b = {v}\nr = x * a", "r = x * {v}.item(0)", "r = x * {v}[0]", "r = x * np.square({v})", "r = x + {v} * 2",
        ),
        *sums(
            "r = x + {v}", "r = x * chainrule.tensor({v})", "r = {v} * x", "r = x - chainrule.from_numpy({v})", "r = x * chainrule.as_tensor({v})", "r = chainrule.stack([x, chainrule.tensor({v})])",
        ),
    ),
    ("{v}[0] = 5.0", "np.multiply({v}, 2, out={v}, casting='unsafe')", "{v}[:] = 4", "{v}.fill(3)", "{v}[1:] += 1", "np.negative({v}, out={v})", "{v}.sort()", "np.copyto({v}, 6)"),
    inputs=True,
)  # fmt: skip
