"""More values that change between calls: tensors, functions, classes, objects and the like. See `change_values`."""

from __future__ import annotations

from tests.change_values import KINDS, Kind, reads, sums

KINDS["tensor"] = Kind(
    ("chainrule.tensor([1.0, 2.0, 3.0])", "chainrule.tensor([4.0, -0.0, 0.5])", "chainrule.tensor([7.0, 8.0, 9.0])"),
    ("chainrule.tensor([2.0])", "chainrule.tensor(3.0)", "chainrule.tensor([1, 2, 3])", "chainrule.ones(2, 3)", "chainrule.tensor([1.0, 2.0, 3.0]).double()", "2.0",
     "chainrule.tensor([1.0, 0.0, 1.0]) > 0", "chainrule.tensor([1.0, 2.0, 3.0], requires_grad=True)", "None"),
    (
        *reads("r = x if {v}.requires_grad else -x", "r = x * 2 if {v} is None else x + {v}", "r = x if {v}[0] > 2 else -x", "r = x * {v}.item() if {v}.numel() == 1 else x", "r = x * (7 if {v}.dtype == chainrule.float32 else 5)"),
        *sums(
            "r = x + {v}", "r = x * {v}", "r = ({v} * x).sum()", "r = x * len({v})", "r = x * {v}.shape[0]", "r = {v}.double() - x", "r = x if {v}.dtype == chainrule.float32 else -x",
            "for a in {v}:\n    x = x + a\nr = x", "a, *b = {v}\nr = x * a", "r = x + {v}[0]", "r = {v}.clone()", "r = chainrule.cat([x, {v}])", "r = chainrule.where(x > 1, x, {v})",
            "r = x * {v}.ndim", "r = [x, {v} * 1]", "w = x.detach().requires_grad_()\n(w * {v}).sum().backward()\nr = w.grad", "r = x * {v}.size(0)", "r = x * isinstance({v}, chainrule.Tensor)",
        ),
    ),
    ("{v}.mul_(2)", "{v}.data = chainrule.tensor([5.0, 6.0, 7.0])", "{v}[0] = 9.0", "{v}.zero_()", "{v}.copy_(chainrule.tensor([3.0, 2.0, 1.0]))", "{v}.data.add_(1)", "{v}[1:].fill_(4.0)"),
    inputs=True,
    tensors="given",
)  # fmt: skip

KINDS["parameter"] = Kind(
    ("nn.Parameter(chainrule.tensor([1.0, 2.0, 3.0]))", "nn.Parameter(chainrule.tensor([4.0, 5.0, 6.0]))"),
    ("nn.Parameter(chainrule.tensor([2.0]))", "nn.Parameter(chainrule.tensor([1.0, 2.0, 3.0]), requires_grad=False)", "nn.Parameter(chainrule.tensor([1.0, 2.0, 3.0]).double())"),
    sums(
        "r = x * {v}", "r = x if {v}.requires_grad else -x", "l = ({v} * x).square().sum()\nr = [l]\nif l.requires_grad:\n    l.backward()\n    r.append({v}.grad.clone())\n    {v}.grad = None",
        "r = x if isinstance({v}, nn.Parameter) else -x", "r = x * {v}.numel()", "r = x if ({v} * x).requires_grad else -x", "r = chainrule.ones(3, dtype={v}.dtype) + x",
        "l = ({v} * x).sum()\ng = chainrule.autograd.grad(l, [{v}])[0] if l.requires_grad else x\nr = g * 2",
    ),
    ("{v}.requires_grad_(False)", "{v}.data = chainrule.tensor([5.0, 6.0, 7.0])", "{v}.data.mul_(2)", "{v}.requires_grad = False", "{v}.data[0] = 8.0", "with chainrule.no_grad():\n    {v}.add_(1)"),
    inputs=True,
    tensors="learn",
)  # fmt: skip

FUNCTIONS = """\
FACTOR = 2.0
FACTORS = [2.0]


def double(t):
    return t * FACTOR


def scaled(t, k=3.0):
    return t * k


def named(t, *, k=4.0):
    return t * k


def listed(t):
    return t * FACTORS[0]


def made(k):
    def inner(t):
        return t * k

    return inner
"""
KINDS["function"] = Kind(
    ("F.relu", "chainrule.tanh", "double", "scaled", "named", "made(2.0)", "made(3.0)", "chainrule.Tensor.exp", "listed"),
    ("nn.Tanh()", "math.sqrt", "None", "chainrule.Tensor", "operator.neg"),
    reads(
        "r = {v}(x - 2)", "r = x if {v} is F.relu else -x", "r = x * len(getattr({v}, '__name__', ''))", "r = x * callable({v})", "r = [a for a in map({v}, [x, x * 2])]",
        "r = {{F.relu: x}}.get({v}, x * 3)", "r = functools.reduce(lambda a, _: {v}(a), range(2), x)", "r = (lambda f, t: f(t))({v}, x)", "r = functools.partial({v})(x)", "f = {v} or F.relu\nr = f(x)",
    ),
    classes=FUNCTIONS,
    copies=False,
)  # fmt: skip
KINDS["own function"] = Kind(
    ("scaled", "double", "named", "listed"), ("made(5.0)", "lambda t: t * 6"),
    reads("r = {v}(x)", "r = [{v}(t) for t in (x, x + 1)]", "r = {v}({v}(x))", "f = {v}\nr = f(x)", "r = functools.partial({v})(x)", "r = list(map({v}, [x]))[0]"),
    (
        "scaled.__defaults__ = (7.0,)", "named.__kwdefaults__ = {{'k': 6.0}}", "named.__kwdefaults__['k'] = 8.0", "FACTORS[0] = 5.0", "scaled.__code__ = (lambda t, k: t - k).__code__",
        "scaled.__defaults__, named.__kwdefaults__ = (2,), {{'k': 1}}", "FACTORS[:] = [4.0, 1.0]",
    ),
    FUNCTIONS,
    copies=False,
)  # fmt: skip
KINDS["lambda"] = Kind(
    ("lambda t: t * 2", "lambda t: t * 3", "lambda t, k=4.0: t * k", "lambda t: -t"), ("nn.ReLU()", "None", "made(9.0)"),
    reads("r = {v}(x)", "r = sorted([3, 1], key=lambda i: {v}(i))[0] * x", "r = {v}({v}(x))", "r = x * {v}(1.5)", "r = x if {v}(2) > 4 else -x", "r = list(map({v}, [x, x]))"),
    classes=FUNCTIONS, copies=False,
)  # fmt: skip
KINDS["partial"] = Kind(
    ("functools.partial(F.leaky_relu, negative_slope=0.5)", "functools.partial(F.leaky_relu, negative_slope=0.25)", "functools.partial(F.elu, alpha=2.0)"), ("F.relu", "functools.partial(chainrule.sum, dim=0)", "None"),
    reads("r = {v}(x - 2)", "r = x * len({v}.keywords)", "r = x * list({v}.keywords.values())[0]", "r = x if {v}.func is F.leaky_relu else -x", "r = [a for a in map({v}, [x - 2])]"),
    ("{v}.keywords['negative_slope'] = 0.125", "{v}.keywords.clear()", "{v}.keywords.update(negative_slope=3.0)"),
)  # fmt: skip

CLASSES = """\
class Small:
    scale = 2.0
    steps = [1.0]

    def apply(self, t):
        return t * self.scale

    @staticmethod
    def plain(t):
        return t + 1

    @classmethod
    def make(cls, t):
        return t * cls.scale


class Large(Small):
    scale = 5.0

    @staticmethod
    def plain(t):
        return t + 9


class Other:
    scale = 3.0

    def apply(self, t):
        return t - 1

    plain = make = apply
"""
KINDS["class"] = Kind(
    ("Small", "Large", "Other"), ("types.SimpleNamespace(scale=6.0)", "None", "nn.ReLU"),
    reads("r = x * {v}.scale", "r = {v}().apply(x)", "r = x * issubclass({v}, Small)", "r = x * isinstance(Large(), {v})", "r = {v}.plain(x)", "r = {v}.make(x)", "r = x * len({v}.__name__)", "r = x if {v} is Small else -x",
          "r = x * getattr({v}, 'bias', 4.0)", "r = x * hasattr({v}, 'steps')", "r = x * vars({v})['scale']", "r = x * len({v}.__mro__)", "r = x * {v}().scale"),
    ("{v}.scale = 7.0", "{v}.apply = lambda self, t: t * 11", "{v}.plain = staticmethod(lambda t: t * 12)", "{v}.bias = 1.0", "{v}.make = classmethod(lambda cls, t: t)", "del {v}.scale", "Small.steps.append(2.0)", "Small.scale = 8.0"),
    CLASSES, copies=False,
)  # fmt: skip
KINDS["method"] = Kind(
    ("Small().apply", "Large().apply", "Other().apply"), ("Small.make", "F.relu", "Small.plain"),
    reads("r = {v}(x)", "r = {v}({v}(x))", "r = list(map({v}, [x]))[0]", "r = x if hasattr({v}, '__self__') else -x", "r = x * getattr({v}.__self__, 'scale', 1.0)"),
    ("{v}.__self__.scale = 6.0", "Small.scale = 9.0", "Small.apply = lambda self, t: t + 20", "{v}.__self__.__class__ = Other"),
    CLASSES, copies=False,
)  # fmt: skip

ATTRIBUTE = (
    "r = x if {v}.scale > 2 else x * 5", "r = x * getattr({v}, 'scale')", "r = x * getattr({v}, 'bias', 4.0)", "r = x * hasattr({v}, 'bias')", "r = x * operator.attrgetter('scale')({v})", "for _ in range(int({v}.scale)):\n    x = x + 1\nr = x",
    "name = 'scale'\nr = x * getattr({v}, name)", "r = x * len({v}.items)", "r = sum((x * i for i in {v}.items), x)", "r = x if {v}.items else -x", "r = x * {v}.items[0]", "try:\n    r = x * {v}.bias\nexcept AttributeError:\n    r = -x",
    "r = x * isinstance({v}.scale, float)", "a = {v}\nb = a\nr = x * b.scale", "r = x * ({v}.scale or 3.0)", "r = x * {v}.__class__.__name__.count('o')",
)  # fmt: skip
NUMBERS = ("r = x * {v}.scale", "r = x + {v}.scale", "r = x * {v}.scale + {v}.scale", "r = {v}.scale - x")
CHANGED = (
    "{v}.scale = 3.0",
    "{v}.scale = 4",
    "{v}.items.append(2.0)",
    "{v}.items = [5.0, 6.0]",
    "{v}.items[0] = 8.0",
    "{v}.scale = True",
    "setattr({v}, 'scale', -0.0)",
    "{v}.scale += 1",
)
ADDED = ("{v}.bias = 2.0", "del {v}.scale", "vars({v})['scale'] = 7.0", "{v}.__dict__.update(scale=9.0)")
MATCHED = (
    "match {v}:\n    case Settings(scale=2.0):\n        r = x\n    case Settings():\n        r = x * 3\n    case _:\n        r = x * 6",
)

PLAIN = "class Plain:\n    def __init__(self, scale, items=()):\n        self.scale, self.items = scale, list(items)\n\n    def apply(self, t):\n        return t * self.scale\n"
KINDS["object"] = Kind(
    ("Plain(2.0, [1.0])", "Plain(3.5, [1.0])", "Plain(2.0, [1.0, 2.0])"), ("Plain(2, [1])", "None", "types.SimpleNamespace(scale=1.0, items=[])"),
    (*reads(*ATTRIBUTE, "r = x * vars({v})['scale']", "r = {v}.apply(x)", "r = x * len(vars({v}))", "r = x * {v}.__dict__['scale']", "r = x * (({v}.scale, 1.0) == (2.0, 1.0))"), *sums(*NUMBERS)),
    (*CHANGED, *ADDED, "Plain.apply = lambda self, t: t - self.scale", "{v}.apply = lambda t: t * 9", "Plain.bias = 6.0"), PLAIN,
)  # fmt: skip
KINDS["dataclass"] = Kind(
    ("Settings(2.0, [1.0])", "Settings(3.5, [1.0])", "Settings(2.0, [1.0, 2.0])"), ("Settings(2)", "None", "Frozen(2.0)"),
    (*reads(*ATTRIBUTE, *MATCHED, "r = x * dataclasses.asdict({v})['scale']", "r = x * ({v} == Settings(2.0, [1.0]))", "r = x * len(dataclasses.fields({v}))", "r = x * dataclasses.replace({v}, items=[]).scale", "r = x * dataclasses.astuple({v})[0]"), *sums(*NUMBERS)),
    (*CHANGED, *ADDED),
    "@dataclasses.dataclass\nclass Settings:\n    scale: float = 2.0\n    items: list = dataclasses.field(default_factory=list)\n\n\n@dataclasses.dataclass(frozen=True)\nclass Frozen:\n    scale: float = 2.0\n    items: tuple = (1.0,)\n",
)  # fmt: skip
KINDS["frozen dataclass"] = Kind(
    ("Frozen(2.0, (1.0,))", "Frozen(3.5, (1.0,))", "Frozen(2.0, (1.0, 2.0))", "Frozen(-0.0, ())"), ("Frozen(2, ())", "None"),
    (*reads(*ATTRIBUTE, "r = x * ({v} == Frozen(2.0, (1.0,)))", "r = {{Frozen(2.0, (1.0,)): x}}.get({v}, -x)"), *sums(*NUMBERS)),
    ("object.__setattr__({v}, 'scale', 6.0)", "object.__setattr__({v}, 'items', (4.0,))"),
    "@dataclasses.dataclass(frozen=True)\nclass Frozen:\n    scale: float = 2.0\n    items: tuple = (1.0,)\n",
)  # fmt: skip
KINDS["slots"] = Kind(
    ("Slots(2.0, [1.0])", "Slots(3.5, [1.0])", "Slots(2.0, [1.0, 2.0])"), ("Slots(2, [])", "Old()"),
    (*reads(*ATTRIBUTE, "r = x * type({v}).scale.__get__({v})"), *sums(*NUMBERS)), (*CHANGED, "del {v}.scale"),
    "@dataclasses.dataclass(slots=True)\nclass Slots:\n    scale: float = 2.0\n    items: list = dataclasses.field(default_factory=list)\n\n\nclass Old:\n    __slots__ = ('scale', 'items')\n\n    def __init__(self):\n        self.scale, self.items = 7.0, [1.0]\n",
)  # fmt: skip
KINDS["namespace"] = Kind(
    ("types.SimpleNamespace(scale=2.0, items=[1.0])", "types.SimpleNamespace(scale=3.5, items=[1.0])"), ("types.SimpleNamespace(scale=2, items=[])", "None", "argparse.Namespace(scale=1.0, items=[3.0])"),
    (*reads(*ATTRIBUTE, "r = x * vars({v})['scale']", "r = x * ({v} == types.SimpleNamespace(scale=2.0, items=[1.0]))", "r = x * sum(1 for k in vars({v}))"), *sums(*NUMBERS)), (*CHANGED, *ADDED),
)  # fmt: skip
KINDS["arguments"] = Kind(
    ("argparse.Namespace(scale=2.0, items=[1.0])", "argparse.Namespace(scale=3.5, items=[1.0])"), ("argparse.Namespace(scale=2, items=[])", "None"),
    (*reads(*ATTRIBUTE, "r = x * ('bias' in {v})", "r = x * vars({v}).get('bias', 3.0)", "r = x * ({v} == argparse.Namespace(scale=2.0, items=[1.0]))"), *sums(*NUMBERS)), (*CHANGED, *ADDED),
)  # fmt: skip
KINDS["python module"] = Kind(
    ("made_module(scale=2.0, items=[1.0])", "made_module(scale=3.5, items=[1.0])"), ("made_module(scale=2, items=[])", "types.SimpleNamespace(scale=8.0, items=[])"),
    (*reads(*ATTRIBUTE, "r = x * vars({v})['scale']"), *sums(*NUMBERS)), (*CHANGED, *ADDED),
    "def made_module(**names):\n    module = types.ModuleType('configuration')\n    vars(module).update(names)\n    return module\n",
)  # fmt: skip
KINDS["named tuple"] = Kind(
    ("Pair(2.0, (1.0,))", "Pair(3.5, (1.0,))", "Pair(2.0, (1.0, 2.0))"), ("Pair(2, ())", "(2.0, (1.0,))", "None"),
    (*reads(*ATTRIBUTE, "a, b = {v}\nr = x * a", "r = x * {v}[0]", "r = x * {v}._asdict()['scale']", "r = x * ({v} == (2.0, (1.0,)))", "r = x * {v}._replace(items=()).scale", "r = x * len({v})"), *sums(*NUMBERS)),
    (), "class Pair(typing.NamedTuple):\n    scale: float\n    items: tuple = ()\n",
)  # fmt: skip

SPECIAL = """\
class Special:
    factor = 1.0

    def __init__(self, scale, items=(1.0,)):
        self._scale, self._items = scale, list(items)

    @property
    def scale(self):
        return self._scale * self.factor

    @scale.setter
    def scale(self, value):
        self._scale = value

    @functools.cached_property
    def cached(self):
        return self._scale

    def __getitem__(self, name):
        return self._items[name]

    def __len__(self):
        return len(self._items)

    def __iter__(self):
        return iter(self._items)

    def __contains__(self, item):
        return item in self._items

    def __bool__(self):
        return self._scale > 2.5

    def __call__(self, t):
        return t * self._scale

    def __getattr__(self, name):
        if name.startswith("half_"):
            return getattr(self, name[5:]) / 2
        raise AttributeError(name)

    def __eq__(self, other):
        return isinstance(other, Special) and self._scale == other._scale

    def __hash__(self):
        return hash(self._scale)

    def __float__(self):
        return float(self._scale)

    def __index__(self):
        return int(self._scale) - 1

    def __enter__(self):
        return self._scale

    def __exit__(self, *error):
        return False

    def __lt__(self, other):
        return self._scale < other._scale

    def __add__(self, other):
        return other * self._scale
"""
KINDS["special object"] = Kind(
    ("Special(2.0)", "Special(3.0)", "Special(2.0, (1.0, 2.0))"), ("Special(2)", "Special(2.0, ())"),
    reads(
        "r = x * {v}.scale", "r = x * {v}[0]", "r = x * len({v})", "r = sum((x * i for i in {v}), x)", "r = x if 2.0 in {v} else -x", "r = x if {v} else -x", "r = {v}(x)", "r = x * {v}.half_scale", "r = x if {v} == Special(2.0) else -x",
        "r = {{Special(2.0): x}}.get({v}, -x)", "r = x * float({v})", "r = x[{v}]", "with {v} as scale:\n    r = x * scale", "r = x * sorted([{v}, Special(2.5)])[0].scale", "r = {v} + x", "a, *b = {v}\nr = x * a * len(b)", "r = x * [*{v}][0]",
        "r = list(map({v}, [x]))[0]", "r = x * max({v})", "r = x * operator.getitem({v}, 0)", "r = x * {v}.cached", "r = x if not {v} else x * 8",
    ),
    ("{v}._scale = 5.0", "{v}.scale = 6", "{v}._items.append(2.0)", "{v}._items[0] = 9.0", "Special.factor = 0.5", "Special.__len__ = lambda self: 7", "{v}._items.clear()", "{v}.factor = 4.0"), SPECIAL,
)  # fmt: skip

KINDS["deque"] = Kind(
    ("collections.deque([2.0, 3.0])", "collections.deque([4.0, 3.0])"), ("collections.deque([2.0], maxlen=1)", "[2.0, 3.0]"),
    reads("r = x * {v}[0]", "r = x * len({v})", "r = sum((x * i for i in {v}), x)", "r = x if {v} else -x", "r = x * (3.0 in {v})", "r = x * {v}[-1]"),
    ("{v}.append(5.0)", "{v}.popleft()", "{v}.rotate(1)", "{v}[0] = 7.0", "{v}.clear()", "{v}.appendleft(1.5)"),
)  # fmt: skip
KINDS["counter"] = Kind(
    ("collections.Counter('aab')", "collections.Counter('abb')"), ("collections.Counter()", "{'a': 2.5}"),
    reads("r = x * {v}['a']", "r = x * len({v})", "r = x * {v}.most_common(1)[0][1]", "r = x * {v}.total()", "r = x * sum({v}.values())", "r = x * {v}['z']"),
    ("{v}['a'] += 3", "{v}.update('zz')", "{v}.subtract('b')", "del {v}['a']"),
)  # fmt: skip
KINDS["chain of dicts"] = Kind(
    ("collections.ChainMap({'a': 2.0}, {'b': 3.0})", "collections.ChainMap({}, {'a': 4.0, 'b': 3.0})"), ("{'a': 6.0, 'b': 1.0}",),
    reads("r = x * {v}['a']", "r = x * len({v})", "r = x * {v}.get('c', 5.0)", "r = x * sum({v}.values())", "r = x * ('c' in {v})"),
    ("{v}['a'] = 9.0", "{v}['c'] = 1.0", "{v}.maps[0].clear()", "{v}.maps.insert(0, {{'a': 7.0}})", "{v}.maps[1]['b'] = 8.0"),
)  # fmt: skip

DRAWS = "def seeded(seed):\n    return chainrule.Generator().manual_seed(seed)\n"
KINDS["generator"] = Kind(
    ("seeded(1)", "seeded(2)", "seeded(1)"), ("None",),
    reads("r = x + chainrule.rand(3, generator={v})", "r = x * chainrule.randn(3, generator={v})", "r = chainrule.bernoulli(x / 4, generator={v})", "r = x[chainrule.randperm(3, generator={v})]"),
    ("{v}.manual_seed(5)", "{v}.set_state(seeded(9).get_state())", "chainrule.rand(2, generator={v})"), DRAWS, copies=False,
)  # fmt: skip

LAYERS = "def seeded(kind, *settings, **more):\n    chainrule.manual_seed(3)\n    return kind(*settings, **more)\n"
KINDS["layer"] = Kind(
    ("seeded(nn.Linear, 3, 3)", "seeded(nn.Linear, 3, 2)", "nn.Tanh()", "nn.ReLU()", "seeded(nn.LayerNorm, 3)"), ("F.relu", "nn.Identity()", "nn.Dropout(0.0)"),
    reads("r = {v}(x)", "r = {v}(x - 2) * 2", "r = x if isinstance({v}, nn.Linear) else -x", "r = x * sum(p.numel() for p in {v}.parameters())", "r = x if {v}.training else -x", "r = x * len(list({v}.children()))",
          "r = x * {v}.out_features", "r = x * len({v}.state_dict())", "r = {v}.forward(x)", "r = x + sum(p.sum() for n, p in {v}.named_parameters() if n != 'bias')", "r = x * (getattr({v}, 'bias', None) is None)", "r = x if hasattr({v}, 'weight') else -x"),
    (
        "{v}.eval()", "{v}.register_forward_hook(lambda m, i, o: o * 2)", "{v}.register_forward_pre_hook(lambda m, i: (i[0] * 3,))", "{v}.forward = lambda t: t * 7", "{v}.double()", "{v}.bias = None", "{v}.weight.data.zero_()",
        "{v}.requires_grad_(False)", "{v}.load_state_dict({{'weight': chainrule.zeros(3, 3), 'bias': chainrule.ones(3)}})", "{v}.weight = nn.Parameter(chainrule.eye(3))", "{v}.extra = nn.Tanh()", "{v}.out_features = 9", "{v}.apply(lambda m: m.eval())",
    ),
    LAYERS, copies=False,
)  # fmt: skip
KINDS["dropout"] = Kind(
    ("nn.Dropout(0.5)", "nn.Dropout(0.25)", "nn.Dropout(0.0)"), ("nn.Identity()", "nn.AlphaDropout(0.5)"),
    reads("r = {v}(x)", "r = x * {v}.p", "r = F.dropout(x, {v}.p, {v}.training)", "r = x if {v}.training else -x", "r = [{v}(x), {v}(x)]"),
    ("{v}.eval()", "{v}.p = 0.75", "{v}.train(False)", "{v}.training = False"), copies=False,
)  # fmt: skip
KINDS["batch norm"] = Kind(
    ("nn.BatchNorm1d(3)", "nn.BatchNorm1d(3, momentum=0.5)", "nn.BatchNorm1d(3, affine=False)"), ("nn.BatchNorm1d(3, track_running_stats=False)", "nn.Identity()"),
    reads("r = {v}(chainrule.stack([x, x * 2]))", "y = {v}(chainrule.stack([x, -x]))\nr = [y, {v}.running_mean]", "r = x * {v}.momentum", "r = x + {v}.running_var"),
    ("{v}.eval()", "{v}.momentum = 0.9", "{v}.eps = 0.5", "{v}.reset_running_stats()", "{v}.momentum = None", "{v}.running_mean.fill_(2)", "{v}.running_mean = chainrule.ones(3)"), copies=False,
)  # fmt: skip
KINDS["loss"] = Kind(
    ("nn.MSELoss()", "nn.L1Loss()", "nn.SmoothL1Loss()", "nn.HuberLoss(delta=0.5)", "nn.MSELoss(reduction='sum')"), ("F.mse_loss", "lambda a, b: (a - b).sum()"),
    reads("r = {v}(x, x * 2)", "w = x.detach().requires_grad_()\n{v}(w, x * 2).sum().backward()\nr = w.grad", "r = x if {v}.reduction == 'mean' else -x", "r = {v}(input=x, target=x + 1)"),
    ("{v}.reduction = 'sum'", "{v}.reduction = 'none'", "{v}.forward = lambda input, target: input - target", "{v}.register_forward_hook(lambda m, i, o: o * 2)", "{v}.__class__ = nn.L1Loss"), copies=False,
)  # fmt: skip
KINDS["decimal text"] = Kind(
    ("fractions.Fraction(1, 2)", "fractions.Fraction(3, 4)"), ("0.5", "1"),
    reads("r = x * float({v})", "r = x if {v} > fractions.Fraction(2, 3) else -x", "r = x * {v}.numerator", "r = x * round({v} * 4)"),
)  # fmt: skip
KINDS["bytes"] = Kind(
    ("b'ab'", "b'cd'"),
    ("b''", "bytearray(b'ab')", "'ab'"),
    reads(
        "r = x * {v}[0]",
        "r = x * len({v})",
        "r = x if {v} == b'ab' else -x",
        "r = x * (97 in {v})",
        "r = x + chainrule.tensor(list({v})).sum()",
    ),
)
KINDS["tuple of tensors"] = Kind(
    ("(chainrule.ones(3), chainrule.ones(3) * 2)", "(chainrule.ones(3) * 3, chainrule.ones(3))", "(chainrule.zeros(3), chainrule.ones(3))"), ("(chainrule.ones(3),)", "[chainrule.ones(3), chainrule.ones(3)]", "(chainrule.ones(1), 2.0)", "()"),
    reads("r = x + {v}[0]", "r = sum({v}, x)", "a, b = {v}\nr = x * a + b", "r = x * len({v})", "r = chainrule.stack({v}).sum(0) * x" , "r = x.lerp(*{v})"),
    ("{v}[0].mul_(5)", "{v}[-1].data = chainrule.tensor([9.0, 8.0, 7.0])"), inputs=True,
    tensors="given",
)  # fmt: skip
KINDS["list of tensors"] = Kind(
    ("[chainrule.ones(3), chainrule.ones(3) * 2]", "[chainrule.ones(3) * 3, chainrule.ones(3)]"), ("[chainrule.ones(3)]", "(chainrule.ones(3), chainrule.ones(3))", "[]"),
    reads("r = x + {v}[0]", "r = sum({v}, x)", "a, b = {v}\nr = x * a + b", "r = x * len({v})", "for t in {v}:\n    x = x * 2 + t\nr = x", "r = x if {v} else -x"),
    ("{v}[0].mul_(5)", "{v}.append(chainrule.ones(3) * 7)", "{v}.reverse()", "{v}[0] = chainrule.ones(3) * 8", "{v}[0] = 2.0", "{v}.clear()", "del {v}[0]"), inputs=True,
    tensors="given",
)  # fmt: skip
KINDS["dict of tensors"] = Kind(
    ("{'a': chainrule.ones(3), 'b': chainrule.ones(3) * 2}", "{'a': chainrule.ones(3) * 4, 'b': chainrule.ones(3)}"), ("{'a': chainrule.ones(1)}", "{'a': 2.0, 'b': 3.0}"),
    reads("r = x + {v}['a']", "r = sum({v}.values(), x)", "r = x * ('b' in {v})", "r = {{k: t * x for k, t in {v}.items()}}", "r = x + {v}.get('c', 1.0)"),
    ("{v}['a'].mul_(5)", "{v}['c'] = chainrule.ones(3) * 7", "{v}['a'] = chainrule.ones(3) * 8", "del {v}['b']", "{v}['a'].data = chainrule.tensor([3.0, 1.0, 4.0])"), inputs=True,
    tensors="given",
)  # fmt: skip
