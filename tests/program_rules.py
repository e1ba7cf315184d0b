"""What the lines of random programs compute: each rule chooses variables and settings and gives an expression."""

from __future__ import annotations

import chainrule
from tests.program_moves import index_text
from tests.random_programs import Maker, rule

# ----------------------------------------------------------------------------------------- entry by entry

SMOOTH = (
    "{x}.tanh()", "{x}.sigmoid()", "{x}.sin()", "{x}.cos()", "({x} * {x} + 1).sqrt()", "({x} * {x}).log1p()",
    "{x}.tanh().exp()", "{x} / (1 + {x} * {x})", "({x} * {x} + 0.5).rsqrt()", "F.gelu({x})", "F.silu({x})",
    "F.softplus({x})", "F.elu({x})", "F.mish({x})", "{x}.erf()", "{x}.tanh().expm1()", "{x}.atan()", "{x}.asinh()",
    "{x}.square()", "-{x}", "{x} * 0.5", "1 - {x}", "{x}.tanh() ** 3", "F.logsigmoid({x})", "F.softsign({x})",
    "({x}.tanh() * 0.9).acos()", "(2 + {x}.sin()).reciprocal()", "({x} * {x} + 2).acosh()", "F.selu({x})",
    "({x} * {x} + 0.2).log2()", "2.0 ** {x}.tanh()", "{x}.tanh().sinh()", "{x}.tanh().tan()", "F.tanhshrink({x})",
    "F.gelu({x}, approximate='tanh')", "({x}.sin() * 0.9).atanh()", "{x}.sigmoid().logit()", "F.celu({x}, 0.7)",
)  # fmt: skip
BENT = (
    "{x}.abs()", "{x}.relu()", "F.leaky_relu({x}, 0.2)", "{x}.clamp(-0.5, 0.7)", "F.hardtanh({x})", "F.relu6({x} * 3)",
    "F.hardswish({x})", "F.softshrink({x})", "F.hardshrink({x})", "F.threshold({x}, 0.1, 0.3)", "{x}.clamp(min=0.1)",
    "{x}.sign()", "{x}.floor()", "{x}.ceil()", "{x}.trunc()", "{x}.round()", "{x}.frac()", "F.hardsigmoid({x})",
)  # fmt: skip
PAIRS = (
    "{x} + {y}", "{x} - {y}", "{x} * {y}", "{x} / (1 + {y} * {y})", "chainrule.maximum({x}, {y})",
    "chainrule.minimum({x}, {y})", "chainrule.atan2({x}, 1 + {y} * {y})", "chainrule.logaddexp({x}, {y})",
    "chainrule.hypot({x}, 1 + {y} * {y})", "{x}.lerp({y}, 0.3)", "(1 + {x} * {x}) ** {y}.tanh()", "{y} - 2 * {x}",
    "chainrule.xlogy({x}, {y} * {y} + 0.5)", "chainrule.fmod({x}, 1 + {y} * {y})",
    "chainrule.remainder({x}, 1 + {y} * {y})", "chainrule.floor_divide({x}, 1 + {y} * {y})",
    "chainrule.addcmul({x}, {y}, {x}, value=0.5)", "F.smooth_l1_loss({x}, {y}, reduction='none')",
)  # fmt: skip
COMPARED = ("{x} < {y}", "{x} >= {y}", "{x} != {y}", "({x} > {y}) | ({x} < 0)", "{x} <= 0.3", "{x}.round() == 1")
OF_WHOLES = (
    "{x} + {y}", "{x} * {y}", "{x} - 2", "{x} // 3", "{x} % 5", "{x} // (1 + {y} * {y})", "{x} % (1 + {y} * {y})",
    "-{x}", "{x}.abs()", "chainrule.maximum({x}, {y})", "{x} & {y}", "{x} | 6", "{x} ^ {y}", "~{x}", "{x}.sign()",
    "{x}.clamp(-2, 3)", "{x}.square()", "{x} < {y}", "{x} == {y}", "{x} >= 2", "{x}.to(chainrule.int32).long()",
    "{x}.to(chainrule.int8).long()", "{x}.bool()",
)  # fmt: skip


@rule(6)
def one_argument(m: Maker) -> str:
    return m.choose(SMOOTH).format(x=m.floats())


@rule(3)
def one_argument_with_bends(m: Maker) -> str:
    return m.choose(BENT).format(x=m.floats())


@rule(7)
def two_arguments(m: Maker) -> str:
    x = m.floats()
    return m.choose(PAIRS).format(x=x, y=m.partner(x))


GRADIENTS = (
    "(t.tanh() * t).sum()", "t.softmax(-1).square().sum()", "t.cumsum(0).sin().sum()", "(t @ t.mT).tanh().sum()",
    "t.logsumexp(0).square().sum()", "F.layer_norm(t, t.shape[-1:]).tanh().sum()", "t[..., ::2].prod(-1).sum()",
    "(t[1:] * t[:-1]).sum()", "F.gelu(t).var(-1).sum()", "F.conv1d(t[:, None], t[:1, None, :2]).sin().sum()",
)  # fmt: skip


@rule(1)
def gradient_of_something(m: Maker) -> str:
    return f"chainrule.func.grad(lambda t: {m.choose(GRADIENTS)})({m.floats(2, 2)})"


@rule(1.5)
def comparison(m: Maker) -> str:
    x = m.floats()
    return m.choose(COMPARED).format(x=x, y=m.partner(x))


@rule(2, moves=True)
def where(m: Maker) -> str:
    x = m.floats()
    if m.chance(0.5):
        return f"chainrule.where({m.partner(x)} > 0.1, {x}, {m.partner(x)})"
    mask = m.masks() if m.chance(0.7) else m.fresh_mask(m.shape_of(x))
    form = m.choose(["chainrule.where({0}, {1}, 0.5)", "{1}.masked_fill({0}, -1.5)", "chainrule.where({0}, {1}, {2})"])
    return form.format(mask, x, m.partner(x))


@rule(1.5)
def of_masks(m: Maker) -> str:
    x = m.masks()
    axis = m.number(0, m.values[x].ndim - 1) if m.chance(0.7) else None
    form = m.choose(["~{x}", "{x}.any({d})", "{x}.all({d})", "{x}.sum({d})", "{x}.count_nonzero({d})", "{x} ^ {y}"])
    y = m.pick(lambda t: t.dtype == m.values[x].dtype and t.shape == m.values[x].shape)
    return form.format(x=x, y=y, d=f"dim={axis}")


@rule(1.5)
def of_wholes(m: Maker) -> str:
    x = m.wholes() if m.chance(0.8) else m.fresh_wholes(m.shape(), 9)
    return m.choose(OF_WHOLES).format(x=x, y=m.same_kind(x))


@rule(1)
def cast(m: Maker) -> str:
    kinds = ["long", "bool", m.dtype] if m.dtype == "float64" else ["long", "bool", "float64", "float32"]
    kind = m.choose(kinds)
    x = m.pick(lambda t: t.dtype != getattr(chainrule, kind))
    if kind == "long":
        return f"({x} * 3).long()"
    return f"{x}.bool()" if kind == "bool" else f"{x}.to(chainrule.{kind})"


# ----------------------------------------------------------------------------------------- reductions and scans


REDUCTIONS = ("sum", "sum", "mean", "mean", "amax", "amin", "var", "std", "logsumexp", "nansum")


@rule(5)
def reduction(m: Maker) -> str:
    x = m.floats()
    return f"{x}.{m.choose(REDUCTIONS)}(dim={m.axes(x)}, keepdim={m.chance(0.4)})"


@rule(1)
def reduction_of_something(m: Maker) -> str:
    x = m.floats(1)
    return m.choose([
        "(1 + 0.1 * {x}.tanh()).prod({a})", "{x}.prod({a})", "{x}.tanh().prod()", "{x}.norm(dim={d})", "{x}.norm(1, {d})",
        "{x}.var(dim={d}, correction=0)", "chainrule.var_mean({x}, dim={d})[1]", "chainrule.aminmax({x}, dim={a})[1]",
        "F.normalize({x}, dim={a})", "{x}.nanmean({d})", "({x} * {x}).sum({d})", "{x}.square().mean({d}).sqrt()",
        "({x} > 0).sum({d})", "{x}.sin().amax({d})", "chainrule.linalg.vector_norm({x}, dim={d})",
    ]).format(x=x, d=m.axes(x), a=m.axis(x))  # fmt: skip


@rule(1)
def reduction_of_wholes(m: Maker) -> str:
    x = m.wholes(1)
    forms = "{x}.sum({d})", "{x}.amax({d})", "{x}.amin({d})", "{x}.prod({a})", "{x}.cumsum({a})", "{x}.argmax({a})"
    return m.choose(forms).format(x=x, d=m.axes(x), a=m.axis(x))


@rule(3)
def softmax(m: Maker) -> str:
    x = m.floats(1)
    form = m.choose(["{x}.softmax({a})", "{x}.log_softmax({a})", "F.softmin({x}, {a})", "({x} * 3).softmax({a})"])
    return form.format(x=x, a=m.choose([-1, m.axis(x)]))


@rule(2)
def running(m: Maker) -> str:
    x = m.floats(1)
    return m.choose([
        "{x}.cumsum({a})", "{x}.cumsum({a})", "({x}.tanh() + 0.5).cumprod({a})", "{x}.cummax({a})[0]", "{x}.cummin({a})[0]",
        "{x}.cummax({a})[1]", "{x}.diff(dim={a})", "{x}.flip({a}).cumsum({a})",
    ]).format(x=x, a=m.axis(x))  # fmt: skip


@rule(0.7)
def scan(m: Maker) -> str:
    x = m.floats(2, 3)
    steps = "lambda h, x: ((h * 0.5 + x).tanh(), h * x)"
    if m.chance(0.5):
        n = m.shape_of(x)[-1]
        steps = f"lambda h, x: ((h @ {m.like((n, n))} * {0.5 / max(n, 1) ** 0.5:.2f} + x).tanh(), h + 1)"
    start = f"{x}[0]"
    if len(m.shape_of(x)) == 3 and m.chance(0.5):  # a loop in a loop
        inner = "lambda g, y: ((g * 0.5 + y).sin(), g - y)"
        steps = f"lambda h, x: chainrule.scan({inner}, (h * 0.7).tanh(), x, reverse={m.chance(0.3)})"
        start += "[0]"
    return f"chainrule.scan({steps}, {start}, {x}, reverse={m.chance(0.3)})[{m.number(0, 1)}]"


@rule(2)
def order(m: Maker) -> str:
    x = m.floats(1)
    a = m.axis(x)
    return m.choose([
        "{x}.sort({a})[0]", "{x}.sort({a}, descending=True)[0]", "{x}.sort({a})[1]", "{x}.argsort({a})", "{x}.argmax({a})",
        "{x}.argmin({a}, keepdim=True)", "{x}.topk({k}, {a})[0]", "{x}.topk({k}, {a}, largest=False)[1]",
        "{x}.max({a})[0]", "{x}.min({a})[1]", "{x}.median({a})[0]", "{x}.argmax()", "{x}.quantile(0.3, {a})",
    ]).format(x=x, a=a, k=m.number(1, m.shape_of(x)[a]))  # fmt: skip


# ----------------------------------------------------------------------------------------- contractions


@rule(5)
def matmul(m: Maker) -> str:
    x = m.floats(1)
    shape = m.shape_of(x)
    n, k = shape[-1], m.choose([1, 2, 3, 5, 8, 16, 17, 33, 70])
    forms = [f"{x} @ {m.like((n,))}", f"{x} @ {m.like((n, k))}", f"F.linear({x}, {m.like((k, n))}, {m.like((k,))})"]
    if len(shape) > 1:
        forms += [f"{m.like((k, shape[-2]))} @ {x}", f"{m.like((shape[-2],))} @ {x}", f"{x} @ {x}.mT", f"{x}.mT @ {x}"]
        forms.append(f"{x} @ {m.like((m.number(1, 3), *(1,) * (len(shape) - 2), n, k))}")
    return m.choose(forms)


EQUATIONS = {
    1: ("i,k->ik", "i,i->", "i,ik->k", "i,ki->ki"),
    2: ("ij,kj->ik", "ij,ik->jk", "ij,ij->i", "ij,j->ij", "ij,jk->ki", "ij,j->", "ij,ji->ij"),
    3: ("bij,bjk->bik", "bij,kj->bki", "bij,bkj->ikb", "bij,i->bj", "bij,bij->b", "bij,kib->kj"),
}


@rule(2)
def einsum(m: Maker) -> str:
    k = m.choose([1, 2, 5, 16, 17])
    dims = m.number(1, 3)
    x = m.floats(dims, dims)
    shape = m.shape_of(x)
    extents = {**dict(zip("ij" if dims < 3 else "bij", shape)), "k": k}
    equation = m.choose(EQUATIONS[dims])
    other = [extents[letter] for letter in equation.split("->")[0].split(",")[1]]
    return f"chainrule.einsum('{equation}', {x}, {m.like(other)})"


@rule(1)
def other_products(m: Maker) -> str:
    x, shape = m.shaped(3)
    b, i, j = shape
    k = m.number(1, 9)
    return m.choose([
        f"chainrule.bmm({x}, {m.like((b, j, k))})", f"chainrule.tensordot({x}, {m.like((j, k))}, 1)",
        f"chainrule.tensordot({x}, {m.like((b, k, i))}, ([0, 1], [0, 2]))",
        f"F.bilinear({x}, {m.like((b, i, 3))}, {m.like((k, j, 3))})", f"chainrule.inner({x}, {m.like((k, j))})",
        f"F.scaled_dot_product_attention({x}, {m.like((b, k, j))}, {m.like((b, k, 5))})",
        f"F.scaled_dot_product_attention({x}, {x}, {m.like((b, i, 2))}, is_causal=True)",
        f"chainrule.addmm({m.like((k,))}, {x}[0], {m.like((j, k))}, beta=0.5)",
        f"chainrule.linalg.solve({x} @ {x}.mT + 3 * chainrule.eye({i}, dtype={x}.dtype), {x})",
    ])  # fmt: skip


def divisors(n: int) -> list[int]:
    """What divides n."""
    return [k for k in range(1, n + 1) if n % k == 0]


@rule(4)
def convolution(m: Maker) -> str:
    dims = m.choose([1, 1, 2, 2, 2, 3])
    x, (_, channels, *sizes) = m.shaped(2 + dims)
    groups = m.choose(divisors(channels)) if m.chance(0.4) else 1
    out = groups * m.number(1, 5)
    padding, dilation = [m.number(0, 2) for _ in sizes], [m.choose([1, 1, 2]) for _ in sizes]
    kernel = [m.number(1, min(5, (n + 2 * p - 1) // d + 1)) for n, p, d in zip(sizes, padding, dilation)]
    bias = m.like((out,)) if m.chance(0.5) else "None"
    weight = m.like((out, channels // groups, *kernel))
    padded = m.choose(["'same'", "'valid'"]) if m.chance(0.2) else repr(tuple(padding))
    stride = tuple(m.number(1, 3) for _ in sizes) if "'" not in padded else 1
    return f"F.conv{dims}d({x}, {weight}, {bias}, {stride}, {padded}, {tuple(dilation)}, {groups})"


@rule(2)
def transposed_convolution(m: Maker) -> str:
    dims = m.number(1, 2)
    x, (_, channels, *sizes) = m.shaped(2 + dims)
    groups = m.choose(divisors(channels)) if m.chance(0.4) else 1
    kernel, stride = [m.number(1, 4) for _ in sizes], tuple(m.number(1, 3) for _ in sizes)
    padding = tuple(m.number(0, (k - 1) // 2) for k in kernel)
    weight = m.like((channels, m.number(1, 4), *kernel))
    more = f"{stride}, {padding}, {m.number(0, min(stride) - 1)}, {groups}, {m.number(1, 2)}"
    return f"F.conv_transpose{dims}d({x}, {weight}, None, {more})"


@rule(2)
def pooling(m: Maker) -> str:
    dims = m.number(1, 2)
    x, _ = m.shaped(2 + dims)
    kernel = m.number(1, 3)
    stride, padding = m.number(1, 3), m.number(0, kernel // 2)
    return m.choose([
        f"F.max_pool{dims}d({x}, {kernel}, {stride}, {padding}, ceil_mode={m.chance(0.3)})",
        f"F.max_pool{dims}d({x}, 2, dilation=2)", f"F.max_pool{dims}d({x}, {kernel}, {stride}, return_indices=True)[1]",
        f"F.avg_pool{dims}d({x}, {kernel}, {stride}, {padding}, ceil_mode={m.chance(0.3)}, count_include_pad={m.chance(0.5)})",
        f"F.adaptive_avg_pool{dims}d({x}, {m.number(1, 4)})", f"F.adaptive_max_pool{dims}d({x}, {m.number(1, 3)})",
        f"F.interpolate({x}, scale_factor=2, mode='{['linear', 'bilinear'][dims - 1]}', align_corners={m.chance(0.5)})",
    ])  # fmt: skip


# ----------------------------------------------------------------------------------------- layers


@rule(2)
def norm_of_rows(m: Maker) -> str:
    x = m.floats(1)
    shape = m.shape_of(x)[-m.number(1, 2) :]
    weight, bias = (m.like(shape), m.like(shape)) if m.chance(0.6) else ("None", "None")
    return m.choose([f"F.layer_norm({x}, {shape}, {weight}, {bias})", f"F.rms_norm({x}, {shape}, {weight})"])


@rule(2)
def norm_of_channels(m: Maker) -> str:
    x, shape = m.shaped(m.number(2, 4))
    channels = shape[1]
    weight, bias = (m.like((channels,)), m.like((channels,))) if m.chance(0.6) else ("None", "None")
    if m.chance(0.3):
        return f"F.group_norm({x}, {m.choose(divisors(channels))}, {weight}, {bias})"
    mean = variance = "None"
    if m.chance(0.5):
        mean = m.memory(f"chainrule.zeros({channels}, dtype=chainrule.{m.dtype})")
        variance = m.memory(f"chainrule.ones({channels}, dtype=chainrule.{m.dtype})")
    function = "batch_norm" if m.chance(0.7) or len(shape) < 3 else "instance_norm"
    training = ", training=True" if function == "batch_norm" else ""
    return f"F.{function}({x}, {mean}, {variance}, {weight}, {bias}{training})"


@rule(1.5)
def dropout(m: Maker) -> str:
    x = m.floats(1)
    noise = f"({x} + 0.1 * chainrule.random.randn_like({x}))"
    return m.choose([f"F.dropout({x}, 0.3)", f"F.dropout({x}, 0.5)", f"F.dropout1d({m.shaped(3)[0]}, 0.5)", noise])


@rule(1.5)
def loss(m: Maker) -> str:
    x = m.floats(2, 2)
    labels = m.indices(m.shape_of(x)[:1], m.shape_of(x)[1])
    y = m.like(m.shape_of(x))
    return m.choose([
        f"F.cross_entropy({x}, {labels})", f"F.cross_entropy({x}, {labels}, label_smoothing=0.1)",
        f"F.nll_loss({x}.log_softmax(1), {labels}, reduction='sum')", f"F.mse_loss({x}, {y})", f"F.huber_loss({x}, {y})",
        f"F.binary_cross_entropy_with_logits({x}, {y}.sigmoid())", f"F.cosine_similarity({x}, {y})",
        f"F.kl_div({x}.log_softmax(1), {y}.softmax(1), reduction='batchmean')", f"F.l1_loss({x}, {y})",
    ])  # fmt: skip


# ----------------------------------------------------------------------------------------- in place


@rule(1.5, moves=True)
def clone(m: Maker) -> str:
    return m.choose(["{x}.clone()", "{x}.clone()", "{x}.detach()", "{x}.contiguous()"]).format(x=m.anything())


@rule(2.5)
def changed_in_place(m: Maker) -> str:
    x = m.floats()
    y = m.partner(x) if m.chance(0.5) else m.like(m.shape_of(x))
    return m.choose([
        "{x}.add_({y})", "{x}.mul_({y}.tanh())", "{x}.sub_({y}, alpha=0.5)", "{x}.tanh_()", "{x}.copy_({y})", "{x}.zero_()",
        "{x}.clamp_(-1, 1)", "{x}.mul_(0.5)", "{x}.masked_fill_({x} > 0.5, 0.25)", "{x}.addcmul_({y}, {y}, value=0.1)",
        "{x}.lerp_({y}, 0.3)", "{x}.fill_(0.75)",
    ]).format(x=x, y=y)  # fmt: skip


@rule(2.5)
def part_changed_in_place(m: Maker) -> str:
    x = m.floats(1)
    part = f"{x}[{index_text(m, m.shape_of(x))}]"
    return m.choose([
        f"{part}.add_(0.5)", f"{part}.mul_(-0.5)", f"{part}.copy_({m.like(())})", f"{part}.fill_(0.25)", f"{part}.sin_()",
        f"{x}.mT[{m.number(0, 1)}:].tanh_()", f"{x}.flatten()[::3].zero_()", f"{x}.diagonal().add_(1.0)",
    ])  # fmt: skip


@rule(1.5, moves=True)
def made_inside(m: Maker) -> str:
    """A tensor that the program itself makes, for others to write into."""
    shape = m.shape() if m.chance(0.5) else m.shape_of(m.floats())
    kind = f"dtype=chainrule.{m.dtype}"
    return m.choose([
        f"chainrule.zeros({shape}, {kind})", f"chainrule.ones({shape}, {kind})", f"chainrule.full({shape}, 0.5, {kind})",
        f"chainrule.zeros_like({m.floats()})", f"{m.floats()}.new_zeros({shape})", f"{m.floats()}.new_full({shape}, 2.0)",
        f"chainrule.linspace(-1, 1, {m.number(1, 20)}, {kind})", f"chainrule.arange({m.number(1, 20)})",
    ])  # fmt: skip


@rule(1)
def memory_changed(m: Maker) -> str:
    """A tensor outside that holds something from one call to the next, or is overwritten in each."""
    x = m.floats()
    p = m.memory(f"chainrule.ones({m.shape_of(x)}, dtype=chainrule.{m.dtype})")
    return m.choose([
        f"{p}.mul_(0.5).add_({x}.detach())", f"{p}.zero_().add_({x}.detach())", f"{p}.fill_(0.5)", f"{p}.copy_({x}.detach())",
        f"{p}.lerp_({x}.detach(), 0.25)", f"{p}.detach().fill_(1.5)",
    ])  # fmt: skip
