"""Scenarios with networks, optimisers, schedules, state that the step itself rebinds, settings and forms of arguments."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from tests.changes import Case, drawn_style

CLASSES = """\
class Holder:
    pass


class Many(nn.Module):
    scale = 1.0

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3)])
        self.named = nn.ModuleDict({"a": nn.Tanh(), "b": nn.Linear(3, 3)})
        self.loose = (nn.Dropout(0.5), nn.Identity())
        self.shift = nn.Parameter(chainrule.zeros(3))
        self.register_buffer("offset", chainrule.ones(3))
        self.options = {"factor": 1.5, "residual": False}
        self.activation = F.relu

    def forward(self, x):
        for layer in self.layers:
            x = self.activation(layer(x)) + self.shift
        for name, layer in self.named.items():
            x = layer(x) if name != "skipped" else x
        y = x * self.options["factor"] * self.scale + self.offset
        y = self.loose[0](y)
        return y + x if self.options["residual"] else y


def chain():
    return nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)))


def normalised():
    return nn.Sequential(nn.Unflatten(0, (3, 1)), nn.BatchNorm1d(1), nn.Flatten(0), nn.Linear(3, 3))
"""

#: Networks compute in float64, so that rounding that grows over steps is no difference.
DOUBLE = "chainrule.set_default_dtype(chainrule.float64)\nD = X.double()"
#: Where the step finds a thing: what puts it there, how the step and how we read it, how another is put there, what calls give.
FOUND = {
    "variable": ("{n} = {a}", "{n}", "{n} = {a}", ""),
    "attribute": ("o_{n} = Holder()\no_{n}.item = {a}", "o_{n}.item", "o_{n}.item = {a}", ""),
    "list": ("l_{n} = [{a}]", "l_{n}[0]", "l_{n}[0] = {a}", ""),
    "tuple": ("l_{n} = ({a},)", "l_{n}[0]", "l_{n} = ({a},)", ""),
    "dict": ("d_{n} = {'k': {a}}", "d_{n}['k']", "d_{n}['k'] = {a}", ""),
    "class": ("class C_{n}:\n    item = {a}", "C_{n}.item", "C_{n}.item = {a}", ""),
    "function": ("h_{n} = [{a}]\n\n\ndef get_{n}():\n    return h_{n}[-1]", "get_{n}()", "h_{n}.append({a})", ""),
    "argument": ("{n} = {a}", "{n}", "{n} = {a}", "{n}"),
    "argument's dict": ("d_{n} = {'k': {a}}", "d_{n}['k']", "d_{n}['k'] = {a}", "d_{n}"),
    "argument's object": ("o_{n} = Holder()\no_{n}.item = {a}", "o_{n}.item", "o_{n}.item = {a}", "o_{n}"),
}


class Found(NamedTuple):
    """A thing in its place."""

    made: str
    read: str
    replaced: str
    given: str

    def put(self, expression: str) -> str:
        """A statement that puts another one there."""
        return self.replaced.replace("{a}", expression)


def found(name: str, expression: str, where: str) -> Found:
    """A thing called `name`, somewhere."""
    made, read, replaced, given = (text.replace("{n}", name) for text in FOUND[where])
    return Found(made.replace("{a}", expression), read, replaced, given)


def listed(*names: str) -> str:
    """Parameters or arguments."""
    return ", ".join(name for name in names if name)


NETWORKS = {
    "chain()": (
        "{m}.eval()", "{m}[2].eval()", "{m}[2][1].p = 0.25", "{m}[2][1].train(False)", "{m}.append(nn.ReLU())", "{m}[1] = nn.ReLU()", "del {m}[1]", "{m}.add_module('last', nn.Tanh())", "{m}.insert(0, nn.Tanh())",
        "{m}[2].append(nn.Linear(3, 3))", "{m}[0].bias = None", "{m}[2][0].weight = {m}[0].weight", "{m}[0].weight = nn.Parameter(chainrule.eye(3))", "nn.utils.parametrizations.weight_norm({m}[0])",
        "{m}[0].in_features = 3", "{m}.pop(1)", "{m}.extend([nn.Tanh(), nn.ReLU()])", "{m}[0].__class__ = type('Twice', (nn.Linear,), {'forward': lambda self, x: x * 2})",
    ),
    "Many()": (
        "{m}.eval()", "{m}.layers.append(nn.Linear(3, 3))", "{m}.layers[0] = nn.Tanh()", "del {m}.layers[1]", "{m}.named['c'] = nn.ReLU()", "del {m}.named['a']", "{m}.named['a'] = nn.Sigmoid()", "{m}.named.update({'b': nn.Tanh()})",
        "{m}.loose[0].eval()", "{m}.loose = (nn.Identity(),)", "{m}.shift = nn.Parameter(chainrule.ones(3))", "{m}.offset = chainrule.zeros(3)", "{m}.offset.fill_(4)", "{m}.options['factor'] = 2", "{m}.options['residual'] = True",
        "{m}.options = {'factor': 0.5, 'residual': True}", "{m}.activation = chainrule.tanh", "{m}.scale = 3.0", "Many.scale = 2.0", "{m}.shift.requires_grad_(False)", "{m}.loose[0].p = 0.125", "{m}.layers.extend([nn.Tanh()])",
        "{m}.layers.insert(0, nn.Tanh())", "{m}.shift = None", "{m}.register_buffer('offset', chainrule.ones(1))", "{m}.named.pop('a')", "{m}.named.clear()", "{m}.layers = nn.ModuleList()",
    ),
    "normalised()": (
        "{m}.eval()", "{m}[1].eval()", "{m}[1].momentum = 0.5", "{m}[1].eps = 0.25", "{m}[1].reset_running_stats()", "{m}[1].running_mean.fill_(3)", "{m}[1] = nn.Identity()", "{m}[1].running_var = chainrule.ones(1) * 2",
        "{m}[1].weight.data.mul_(3)", "{m}[1].bias.requires_grad_(False)",
    ),
}  # fmt: skip
ANY_NETWORK = (
    "handle = {m}.register_forward_hook(lambda module, given, result: result * 2)", "{m}.register_forward_pre_hook(lambda module, given: (given[0] * 3,))", "{m}.forward = lambda x: x * 7", "{m}.requires_grad_(False)",
    "{m}.load_state_dict({k: chainrule.ones_like(t) for k, t in {m}.state_dict().items()})", "{m}.load_state_dict({k: chainrule.ones_like(t) for k, t in {m}.state_dict().items()}, assign=True)", "{m}.train(not {m}.training)",
    "for p in {m}.parameters():\n    p.data = p.data * 0.5", "for p in {m}.parameters():\n    p.data.mul_(2)", "with chainrule.no_grad():\n    for p in {m}.parameters():\n        p.fill_(0.25)", "next({m}.parameters()).requires_grad_(False)",
    "{m}.apply(lambda module: module.eval())", "{m}.training = False", "list({m}.children())[0].register_forward_hook(lambda module, given, result: -result)", "{m}.other = 5", "{m}.double().float()",
    "handle = {m}.register_forward_hook(lambda module, given, result: result + 1)\nhandle.remove()", "{m}.zero_grad()", "nn.init.ones_(next({m}.parameters()))", "{m}.state_dict()", "type({m}).extra = 1", "{m}.register_buffer('more', chainrule.zeros(1))",
)  # fmt: skip
#: Changes after which no other program is needed.
SAME_PROGRAM = (
    "{m}.load_state_dict({k: chainrule.ones_like(t) for k, t in {m}.state_dict().items()})", "for p in {m}.parameters():\n    p.data.mul_(2)", "{m}.zero_grad()", "{m}.state_dict()", "nn.init.ones_(next({m}.parameters()))", "{m}.other = 5",
    "{m}[1].running_mean.fill_(3)", "{m}.offset.fill_(4)", "{m}[1].weight.data.mul_(3)", "{m}[1].reset_running_stats()", "with chainrule.no_grad():\n    for p in {m}.parameters():\n        p.fill_(0.25)", "type({m}).extra = 1",
    "handle = {m}.register_forward_hook(lambda module, given, result: result + 1)\nhandle.remove()", "{m}.register_buffer('more', chainrule.zeros(1))", "for p in {m}.parameters():\n    p.data = p.data * 0.5", "{m}[0].in_features = 3",
)  # fmt: skip

OPTIMISERS = {
    "optim.SGD({p}, lr=0.1)": ("g['momentum'] = 0.9", "g['nesterov'], g['momentum'] = True, 0.5", "g['dampening'] = 0.5", "g['weight_decay'] = 0.5", "g['maximize'] = True"),
    "optim.SGD({p}, lr=0.1, momentum=0.9)": ("g['momentum'] = 0.5", "g['nesterov'] = True", "g['weight_decay'] = 0.5", "g['momentum'] = 0"),
    "optim.Adam({p}, lr=0.1)": ("g['betas'] = (0.5, 0.9)", "g['eps'] = 0.5", "g['weight_decay'] = 0.5", "g['maximize'] = True", "g['betas'] = (0.0, 0.9)"),
    "optim.AdamW({p}, lr=0.1, weight_decay=0.1)": ("g['weight_decay'] = 0.5", "g['betas'] = (0.5, 0.9)", "g['weight_decay'] = 0"),
    "optim.RMSprop({p}, lr=0.01)": ("g['alpha'] = 0.5", "g['eps'] = 0.1", "g['weight_decay'] = 0.1"),
    "optim.Adagrad({p}, lr=0.1)": ("g['lr_decay'] = 0.5", "g['eps'] = 0.1"),
    "optim.Lion({p}, lr=0.1)": ("g['betas'] = (0.5, 0.9)", "g['weight_decay'] = 0.3"),
}  # fmt: skip
ANY_OPTIMISER = (
    "g['lr'] = 0.5", "g['lr'] = 0.0", "g['lr'] = 1", "{o}.param_groups[0] = dict(g, lr=0.25)", "g['params'] = g['params'][:1]", "{o}.add_param_group({'params': [extra], 'lr': 0.3})", "{o}.load_state_dict(saved)",
    "saved = copy.deepcopy({o}.state_dict())", "{o}.state.clear()", "handle = {o}.register_step_pre_hook(lambda *given: (extra.data.mul_(0.5), None)[1])", "{o}.zero_grad()", "{o}.state_dict()", "g['other'] = 5",
    "g.update(lr=0.125)", "g['params'][0].requires_grad_(False)", "g['params'].pop()", "{o}.param_groups.append(dict(g, params=[extra]))", "extra.data.fill_(2)",
)  # fmt: skip
OTHER_OPTIMISERS = (
    "optim.SGD({p}, lr=0.0)",
    "optim.Adam({p}, lr=0.01)",
    "optim.SGD({p}, lr=0.1, momentum=0.5)",
    "optim.RMSprop({p}, lr=0.02)",
    "optim.SGD({p}, lr=0.3)",
)
SCHEDULES = (
    "optim.lr_scheduler.ExponentialLR({o}, 0.5)", "optim.lr_scheduler.StepLR({o}, 2)", "optim.lr_scheduler.CosineAnnealingLR({o}, 5)", "optim.lr_scheduler.LambdaLR({o}, lambda n: 1 / (n + 1))",
    "optim.lr_scheduler.OneCycleLR({o}, 0.2, total_steps=12)", "optim.lr_scheduler.LinearLR({o})", "optim.lr_scheduler.CyclicLR({o}, 0.1, 0.3, step_size_up=3, cycle_momentum=False)",
)  # fmt: skip
SCENARIOS: dict[str, Callable[[Random], tuple[str, list[str], int | None]]] = {}


def scenario(
    make: Callable[[Random], tuple[str, list[str], int | None]],
) -> Callable[[Random], tuple[str, list[str], int | None]]:
    """Enter a maker of scenarios: it gives a title, the blocks, and how many programs are enough."""
    SCENARIOS[make.__name__] = make
    return make


@scenario
def network(random: Random) -> tuple[str, list[str], int | None]:
    """A network is used, changed, used again."""
    made = random.choice(list(NETWORKS))
    where = random.choice(list(FOUND))
    m = found("model", made, where)
    body = random.choice((
        "return {m}(x)", "with chainrule.no_grad():\n        return {m}(x)", "y = {m}(x)\n    y.square().sum().backward()\n    grads = [None if p.grad is None else p.grad.clone() for p in {m}.parameters()]\n    {m}.zero_grad()\n    return y, grads",
        "return {m}(x), len(list({m}.parameters())), {m}.training", "model_ = {m}\n    was = model_.training\n    model_.eval()\n    y = model_(x)\n    model_.train(was)\n    return y",
        "return chainrule.func.functional_call({m}, {k: t * 2 for k, t in {m}.named_parameters()}, (x,))", "return [{m}(x), sum(p.sum() for p in {m}.parameters())]",
        "return {m}(x.to(next({m}.parameters()).dtype))",
    ))  # fmt: skip
    blocks = [
        DOUBLE,
        m.made,
        f"def step({listed('x', m.given)}):\n    {body.replace('{m}', m.read)}",
        "run = prepare(step)",
    ]
    call = f"call(run, {listed('D', m.given)})"
    blocks.append(call)
    programs, titles = 1, []
    for _ in range(random.choice((1, 1, 2, 3))):
        change = random.choice(NETWORKS[made] * 2 + ANY_NETWORK)
        if random.random() < 0.1:
            change = m.put(
                random.choice(
                    ("copy.deepcopy(" + m.read + ")", made, "nn.Identity()", "nn.Sequential(" + m.read + ", nn.Tanh())")
                )
            )
        titles.append(change)
        programs += change not in SAME_PROGRAM
        blocks += [guarded(change.replace("{m}", m.read)), *[call] * random.choice((1, 1, 2))]
    return f"{made} / {where} / {body!r} / {titles}", blocks, programs


@scenario
def training(random: Random) -> tuple[str, list[str], int | None]:
    """A training step; something of the optimiser is changed."""
    first = random.choice(list(OPTIMISERS))
    where, there = random.choice(list(FOUND)), random.choice(list(FOUND))
    m = found("model", random.choice(("chain().eval()", "Many().eval()", "nn.Linear(3, 3)")), where)
    o = found("opt", first.replace("{p}", m.read + ".parameters()"), there)
    order = random.choice((
        "{o}.zero_grad()\n    loss = ({m}(x) + extra).square().mean()\n    loss.backward()\n    {o}.step()\n    extra.grad = None\n    return loss",
        "loss = ({m}(x) + extra).square().mean()\n    {o}.zero_grad()\n    loss.backward()\n    nn.utils.clip_grad_norm_({m}.parameters(), 1.0)\n    {o}.step()\n    {o}.zero_grad()\n    extra.grad = None\n    return loss",
        "loss = ({m}(x) + extra).square().mean()\n    loss.backward()\n    {o}.step()\n    extra.grad = None\n    return loss",
    ))  # fmt: skip
    body = order.replace("{m}", m.read).replace("{o}", o.read)
    step = f"def step({listed('x', m.given, o.given)}):\n    {body}"
    group = f"g = {o.read}.param_groups[0]"
    blocks = [
        DOUBLE,
        m.made,
        "extra = nn.Parameter(chainrule.zeros(3))",
        o.made,
        f"{group}\nsaved = copy.deepcopy({o.read}.state_dict())",
        step,
        "run = prepare(step)",
    ]
    call = f"call(run, {listed('D', m.given, o.given)})"
    state = f"call(lambda: [[p for p in {m.read}.parameters()], extra])"
    blocks += [call] * random.choice((1, 2))
    titles = []
    for _ in range(random.choice((1, 2, 3))):
        change = random.choice(OPTIMISERS[first] + ANY_OPTIMISER)
        if random.random() < 0.2:
            change = o.put(random.choice(OTHER_OPTIMISERS).replace("{p}", m.read + ".parameters()"))
        titles.append(change)
        blocks += [guarded(change.replace("{o}", o.read)), group, *[call] * random.choice((1, 2)), state]
    return f"{first} / {where} / {there} / {titles}", blocks, None


@scenario
def schedule(random: Random) -> tuple[str, list[str], int | None]:
    """Rates, and other settings that are numbers, take many values: one more program at most."""
    first = random.choice(list(OPTIMISERS))
    m = found("model", "nn.Linear(3, 3)", random.choice(list(FOUND)))
    o = found("opt", first.replace("{p}", m.read + ".parameters()"), random.choice(list(FOUND)))
    made = random.choice(SCHEDULES)
    if "OneCycle" in made or "Cyclic" in made:
        made = made.replace("total_steps=12", "total_steps=12, cycle_momentum=False")
    change = random.choice(
        ("s.step()", "s.step()", "g['lr'] *= 0.75", "g['lr'] = 1 / len(met)", "g['weight_decay'] = 0.01 * len(met)")
    )
    body = f"{o.read}.zero_grad()\n    loss = {m.read}(x).square().mean()\n    loss.backward()\n    {o.read}.step()\n    return loss"
    within = random.random() < 0.15
    if within:
        body, change = body.replace("    return", "    s.step()\n    return"), "pass"
    blocks = [
        DOUBLE,
        m.made,
        o.made,
        f"s = {made.replace('{o}', o.read)}\ng = {o.read}.param_groups[0]\nmet = []",
        f"def step({listed('x', m.given, o.given)}):\n    {body}",
        "run = prepare(step)",
    ]
    for _ in range(6):
        blocks += [f"call(run, {listed('D', m.given, o.given)})", f"met.append(1)\n{change}"]
    blocks.append(f"call(lambda: list({m.read}.parameters()))")
    return f"{first} / {made} / {change}", blocks, None if within else 3 if "weight_decay" in change else 2


STATES = {
    "attribute": ("o = Holder()\no.h = {a}", "o.h"),
    "list": ("l = [{a}]", "l[0]"),
    "dict": ("d = {'h': {a}}", "d['h']"),
    "class attribute": ("class C:\n    h = {a}", "C.h"),
    "namespace": ("n = types.SimpleNamespace(h={a})", "n.h"),
    "module attribute": ("m = nn.Identity()\nm.h = {a}", "m.h"),
    "buffer": ("m = nn.Identity()\nm.register_buffer('h', chainrule.as_tensor({a}))", "m.h"),
    "slot": ("class S:\n    __slots__ = ('h',)\n\n\ns = S()\ns.h = {a}", "s.h"),
    "nested": ("o = Holder()\no.l = [{'h': {a}}]", "o.l[0]['h']"),
    "function": ("def keeper():\n    pass\n\n\nkeeper.h = {a}", "keeper.h"),
    "module type": ("t = types.ModuleType('t')\nt.h = {a}", "t.h"),
}
REBOUND = (
    "{h} = {h} * 0.5 + x\n    return {h} * 2", "before = {h}\n    {h} = x + {h}\n    return before * x", "{h} = {h} + x.sum()\n    return x * 2", "{h} = x\n    return x + 1", "y = x * {h}\n    {h} = y.detach()\n    return y",
    "{h} += x\n    return {h} * 1", "for _ in range(2):\n        {h} = {h} * 0.5 + x\n    return {h} + 0", "{h}, old = x * 2, {h}\n    return old + {h}", "{h} = {h}.lerp(x, 0.25)\n    return x - {h}", "setattr(holder, 'unused', 1)\n    {h} = {h} - 0.1 * x\n    return {h}.sum()",
)  # fmt: skip
COUNTED = (
    "{h} += 1\n    return x * {h}", "{h} = {h} + 1\n    return x + {h}", "y = x * {h}\n    {h} = {h} * 2\n    return y", "{h} = 1 - {h}\n    return x if {h} else -x", "{h} += 1\n    return x", "if {h} < 3:\n        {h} += 1\n    return x * {h}",
    "{h} += 1\n    return x / (1 - 0.5 ** {h})", "{h} = -{h}\n    return x * {h}",
)  # fmt: skip


@scenario
def rebound(random: Random) -> tuple[str, list[str], int | None]:
    """The step itself puts another tensor or number where it found one."""
    where = random.choice(list(STATES))
    made, h = STATES[where]
    counted = random.random() < 0.4
    first = (
        random.choice(("1", "0", "2"))
        if counted
        else random.choice(("chainrule.zeros(3)", "chainrule.ones(3)", "chainrule.tensor([0.5, -1.0, 0.0])"))
    )
    if counted and where == "buffer":
        where, (made, h) = "attribute", STATES["attribute"]
    body = random.choice(COUNTED if counted else REBOUND).replace("{h}", h)
    blocks = ["holder = Holder()\n" + made.replace("{a}", first), f"def step(x):\n    {body}", "run = prepare(step)"]
    look = [f"call(lambda: {h})"]
    if body.endswith("+= 1\n    return x"):
        look = []  # a counter that the computation never reads may differ
    blocks += ["call(run, X)", "call(run, X * 2)", *look]
    change = random.choice(
        (f"{h} = {first}", f"{h} = {first}", "pass", f"{h} = {h} * 1", f"{h} = {first} + 1", f"{h} = chainrule.ones(1)")
    )
    blocks += [change, *["call(run, X)"] * random.choice((2, 3, 4)), *look]
    return f"{where} / {body!r} / {change}", blocks, None


@scenario
def counting(random: Random) -> tuple[str, list[str], int | None]:
    """A variable around the step, or an attribute of its own object, that the step counts up."""
    body = random.choice(
        (
            "n += 1\n        return x * n",
            "y = x + n\n        n = n * 2\n        return y",
            "n = n * 0.5 + x\n        return n * 2",
            "n += 1\n        return x - n",
        )
    )
    first = random.choice(("1", "2.0", "chainrule.ones(3)"))
    if random.random() < 0.5:
        step = f"def surroundings():\n    n = {first}\n\n    def step(x):\n        nonlocal n\n        {body}\n\n    return step, lambda: n\n\n\nstep, look = surroundings()"
    else:
        own = (
            body.replace("n +", "self.n +")
            .replace("n = n", "self.n = self.n")
            .replace("* n\n", "* self.n\n")
            .replace("return n", "return self.n")
            .replace("x + n", "x + self.n")
            .replace("x * n", "x * self.n")
            .replace("x - n", "x - self.n")
        )
        kind = random.choice(("Task", "Task(nn.Module)"))
        start = "super().__init__()\n        " if "Module" in kind else ""
        method = random.choice(("work", "forward", "__call__")) if "Module" not in kind else "forward"
        step = f"class {kind}:\n    def __init__(self):\n        {start}self.n = {first}\n\n    def {method}(self, x):\n        {own}\n\n\ntask = Task()\nstep = task.{method}\nlook = lambda: task.n"
    blocks = [
        step,
        "run = prepare(step)",
        "call(run, X)",
        "call(run, X)",
        "call(look)",
        "call(run, X + 1)",
        "call(run, X)",
        "call(look)",
    ]
    return f"{first} / {body!r}", blocks, None


SETTINGS = {
    "default dtype": ("chainrule.set_default_dtype(chainrule.float64)", "chainrule.set_default_dtype(chainrule.float32)", ("return chainrule.zeros(3) + 1", "return chainrule.tensor([1, 2, 3]) / 2", "return chainrule.tensor([0.5]) * x", "return chainrule.arange(3.0) * 2",
                       "return x if chainrule.get_default_dtype() == chainrule.float32 else -x", "return chainrule.rand(3) + x", "return chainrule.full((2,), 1.5)", "return nn.Linear(3, 3).weight.sum() * 0 + x.sum()", "return chainrule.eye(2), chainrule.linspace(0, 1, 3)")),
    "seed": ("chainrule.manual_seed(5)", "chainrule.set_rng_state(kept)", ("return x + chainrule.rand(3)", "return F.dropout(x, 0.5)", "return chainrule.randn(3), chainrule.randint(0, 9, (3,))", "return x[chainrule.randperm(3)]")),
    "gradients": ("chainrule.set_grad_enabled(False)", "chainrule.set_grad_enabled(True)", ("return (w * x).requires_grad, x", "y = w * x\n    return x if y.requires_grad else -x", "return x if chainrule.is_grad_enabled() else -x",
                   "with chainrule.enable_grad():\n        l = (w * x).sum()\n    l.backward()\n    g = w.grad.clone()\n    w.grad = None\n    return g")),
}  # fmt: skip


@scenario
def setting(random: Random) -> tuple[str, list[str], int | None]:
    """A setting of the whole library changes."""
    name = random.choice(list(SETTINGS))
    change, back, bodies = SETTINGS[name]
    body = random.choice(bodies)
    depth = random.choice(
        (
            f"def step(x):\n    {body}",
            f"def inner(x):\n    {body}\n\n\ndef step(x):\n    return inner(x)",
            f"class Net(nn.Module):\n    def forward(self, x):\n        {body.replace(chr(10), chr(10) + '    ')}\n\n\nstep = Net().forward",
        )
    )
    blocks = [
        "w = chainrule.ones(3, requires_grad=True)\nkept = chainrule.get_rng_state()",
        depth,
        "run = prepare(step)",
        "call(run, X)",
        change,
        "call(run, X)",
        back,
        "call(run, X)",
        *random.choice(([], [change, "call(run, X)", back])),
        "call(lambda: chainrule.rand(2))",
        "chainrule.set_grad_enabled(True)",
    ]
    return f"{name} / {body!r}", blocks, 1 if name == "seed" else 2


FORMS = (
    "X",
    "X[:2]",
    "X.double()",
    "X.long()",
    "X.reshape(3, 1)",
    "X.clone().requires_grad_()",
    "X > 1.5",
    "X[::2]",
    "chainrule.zeros(0)",
    "X * 1.0",
    "X.half()",
    "X.expand(2, 3)",
    "nn.Parameter(X.clone())",
    "X.sum()",
)
STRUCTURES = (
    "[{x}, {x}]", "({x}, 2.0)", "{{'a': {x}, 'b': 1}}", "{{'b': 1, 'a': {x}}}", "collections.OrderedDict(a={x}, b=2)", "[{x}, [{x}, None]]", "Pair({x}, 3)", "collections.deque([{x}])", "[{x}]", "({x},)", "None", "{{1, 2}}", "collections.defaultdict(list, a={x})",
    "types.SimpleNamespace(a={x})", "[1, 1.0, True]", "(0.0, -0.0)", "[{x}, 'text', slice(0, 1)]", "np.array([1.0, 2.0, 3.0])", "{{'k': np.array([1.0])}}", "[{{'a': {x}}}]", "range(3)", "[nn.Tanh()]", "[1.0, {x}]", "[True, {x}]", "(1.0, {x})", "frozenset({{1.0}})", "{{1: {x}}}", "{{True: {x}}}",
)  # fmt: skip


@scenario
def form(random: Random) -> tuple[str, list[str], int | None]:
    """Arguments of other forms: shapes, types, structures; equal ones that differ."""
    if random.random() < 0.4:
        body = random.choice(
            (
                "return x * 2",
                "return x.sum(), x.requires_grad",
                "return x if x.dtype == chainrule.float32 else x * 3",
                "return x.shape, x.dim(), len(x.shape)",
                "return (x + 1).relu() if x.is_floating_point() else x",
                "return x + (0 if x.numel() < 3 else 1)",
            )
        )
        forms = [random.choice(FORMS) for _ in range(4)]
        again = [*forms, forms[0]]
        return (
            f"{body!r} / {forms}",
            [f"def step(x):\n    {body}", "run = prepare(step)", *[f"call(run, {x})" for x in again]],
            len(set(forms)),
        )
    body = random.choice(("return x * len(given) if hasattr(given, '__len__') else x", "return given", "return x, type(given).__name__", "return [x * 2, given]", "return x if isinstance(given, (list, tuple)) else -x", "return x * sum(1 for _ in given) if isinstance(given, collections.abc.Iterable) else x",
                          "for part in given or ():\n        x = x * 2 + (part if isinstance(part, (int, float)) else 1)\n    return x", "return [x * part for part in given if isinstance(part, (bool, int, float))] if isinstance(given, (list, tuple)) else x", "return x if given else -x"))  # fmt: skip
    forms = [
        random.choice(STRUCTURES).replace("{x}", random.choice(("X", "X[:2]"))).replace("{{", "{").replace("}}", "}")
        for _ in range(4)
    ]
    named = random.choice(("", "given="))
    pair = "class Pair(typing.NamedTuple):\n    first: object\n    second: object = 1"
    blocks = [
        pair,
        f"def step(x, given):\n    {body}",
        "run = prepare(step)",
        *[f"call(run, X, {named}{given})" for given in [*forms, forms[0]]],
    ]
    return f"{body!r} / {forms}", blocks, len(set(forms))


def guarded(change: str) -> str:
    """A change that may be refused, eagerly and compiled alike."""
    inner = change.replace("\n", "\n    ")
    return f"try:\n    {inner}\nexcept Exception as error:\n    refused = str(error)"


WEIGHTS = {"network": 9, "training": 8, "schedule": 3, "rebound": 4, "counting": 1, "setting": 3, "form": 4}


def network_case(number: int, random: Random) -> Case:
    """A scenario."""
    name = random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    title, blocks, programs = SCENARIOS[name](random)
    style = drawn_style(random)
    return Case(number, f"{name}: {title}", CLASSES, tuple(blocks), style, random.random() < 0.5, programs)
