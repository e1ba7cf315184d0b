"""Lines of random programs that move entries: shapes, slices, indices. Each rule gives an expression."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.random_programs import Maker, rule

# ----------------------------------------------------------------------------------------- moving entries


@rule(2, moves=True)
def reshape(m: Maker) -> str:
    x = m.anything()
    rest = int(np.prod(m.shape_of(x)))
    shape = []
    while rest > 1 and len(shape) < 3:
        shape.append(m.choose([k for k in range(1, min(rest, 40) + 1) if rest % k == 0]))
        rest //= shape[-1]
    if m.chance(0.5):
        return f"{x}.reshape({(*shape, rest)})"
    return f"{x}.reshape({(-1, *shape)})" if 0 not in m.shape_of(x) else f"{x}.flatten()"


@rule(2, moves=True)
def permute(m: Maker) -> str:
    x = m.anything(2)
    dims = m.values[x].ndim
    order = tuple(int(i) for i in m.random.permutation(dims))
    i, j = m.number(-dims, dims - 1), m.number(0, dims - 1)
    return m.choose([f"{x}.permute({order})", f"{x}.transpose({i}, {j})", f"{x}.mT", f"{x}.movedim({i}, {j})"])


@rule(2, moves=True)
def more_or_fewer_dimensions(m: Maker) -> str:
    x = m.anything(0, 3)
    dims = m.values[x].ndim
    forms = [f"{x}.unsqueeze({m.number(-dims - 1, dims)})", f"{x}.squeeze()", f"{x}[None]", f"{x}[..., None]"]
    if dims:
        forms += [f"{x}.select({m.axis(x)}, 0)", f"{x}.unbind({m.axis(x)})[-1]", f"{x}.flatten()"]
    return m.choose(forms)


@rule(2, moves=True)
def expand(m: Maker) -> str:
    x = m.anything(0, 3)
    shape = tuple(m.choose([1, 2, 3, 5, 16]) if n == 1 else n for n in m.shape_of(x))
    repeats = tuple(m.number(1, 3) for _ in shape)
    forms = [f"{x}.expand({(m.number(1, 4), *shape)})", f"{x}.broadcast_to({shape})", f"{x}.repeat({(2, *repeats)})"]
    if shape:
        forms += [f"{x}.tile({repeats})", f"{x}.repeat_interleave({m.number(1, 3)}, dim={m.axis(x)})"]
    return m.choose(forms)


@rule(2, moves=True)
def flip_and_roll(m: Maker) -> str:
    x = m.anything(1)
    a = m.axis(x)
    both = f"{x}.flip({a}, -1)" if a < m.values[x].ndim - 1 else f"{x}.flip({a})"
    return m.choose([f"{x}.flip({a})", both, f"{x}.roll({m.number(-5, 5)}, {a})", f"{x}.roll(2)"])


@rule(2, moves=True)
def pad(m: Maker) -> str:
    x = m.floats(1)
    widths = [m.number(-1, 3) for _ in range(2 * m.number(1, m.values[x].ndim))]
    if m.chance(0.6):
        return f"F.pad({x}, {widths}, value={m.choose([0.0, 0.0, 1.5])})"
    widths = [m.number(0, 2), m.number(0, 2)]
    return f"F.pad({m.shaped(3)[0]}, {widths}, mode='{m.choose(['reflect', 'replicate', 'circular'])}')"


@rule(2, moves=True)
def put_together(m: Maker) -> str:
    x = m.anything(1)
    dims, a = m.values[x].ndim, m.axis(x, 0)

    def fits(t: Any) -> bool:
        same = t.dtype == m.values[x].dtype and t.ndim == dims
        return same and all(t.shape[d] == n for d, n in enumerate(m.shape_of(x)) if d != a)

    chosen = [m.pick(fits) for _ in range(m.number(1, 3))]
    if len({m.shape_of(name) for name in (x, *chosen)}) == 1 and m.chance(0.5):
        return f"chainrule.stack([{', '.join([x, *chosen])}], {m.number(0, dims)})"
    return f"chainrule.cat([{', '.join([*chosen, x])}], {a})"


@rule(4, moves=True)
def slices(m: Maker) -> str:
    x = m.anything(1)
    return f"{x}[{index_text(m, m.shape_of(x))}]"


def index_text(m: Maker, shape: tuple[int, ...]) -> str:
    """What may stand in brackets: slices with steps, whole numbers, None and `...`."""
    parts = [one_index(m, n) for n in shape[: m.number(1, len(shape))]]
    if m.chance(0.2):
        parts.insert(m.number(0, len(parts)), "None")
    if m.chance(0.15):
        parts.insert(0, "...")
    return ", ".join(parts)


def one_index(m: Maker, n: int) -> str:
    """A slice or a number for an extent."""
    if n == 0 or m.chance(0.2):
        return ":"
    if m.chance(0.25):
        return str(m.number(-n, n - 1))
    low = m.number(0, n - 1)
    high = m.number(low + 1, n) if not m.chance(0.02) else low
    start = m.choose([low, low - n, ""]) if low else m.choose([0, ""])
    stop = m.choose([high, high - n if high < n else ""])
    return f"{start}:{stop}" + (f":{m.number(2, 4)}" if m.chance(0.4) else "")


@rule(1.5, moves=True)
def triangle(m: Maker) -> str:
    x = m.anything(2)
    k = m.number(-2, 2)
    form = m.choose(
        ["{x}.triu({k})", "{x}.tril({k})", "{x}.diagonal({k})", "{x}.diag_embed()", "{x}.diagonal(0, -1, 0)"]
    )
    return form.format(x=x, k=k)


@rule(1, moves=True)
def pieces(m: Maker) -> str:
    x = m.anything(1)
    a = m.axis(x)
    n = m.shape_of(x)[a]
    k, low = m.number(1, n), m.number(0, n - 1)
    narrow = f"{x}.narrow({a}, {low}, {m.number(1, n - low)})"
    return m.choose([f"{x}.chunk({k}, {a})[-1]", f"{x}.split({k}, {a})[0]", narrow])


@rule(1, moves=True)
def unfold(m: Maker) -> str:
    x, _ = m.shaped(4)
    k, p = m.number(1, 3), m.number(0, 1)
    return m.choose([
        f"F.unfold({x}, {k}, padding={p}, stride={m.number(1, 2)}, dilation={m.number(1, 2)})",
        f"F.pixel_shuffle({x}, 2)", f"F.pixel_unshuffle({x}, 2)", f"F.channel_shuffle({x}, {m.number(1, 3)})",
        f"F.interpolate({x}, scale_factor=2)", f"F.interpolate({x}, size=({k}, {p + 2}))",
    ])  # fmt: skip


@rule(0.5)
def fold(m: Maker) -> str:
    h, w, k = m.number(3, 8), m.number(3, 8), m.number(1, 3)
    columns = (h - k + 1) * (w - k + 1)
    return f"F.fold({m.like((m.number(1, 2), k * k * m.number(1, 2), columns))}, ({h}, {w}), {k})"


# ----------------------------------------------------------------------------------------- indices


@rule(2, moves=True)
def rows_at(m: Maker) -> str:
    x = m.anything(1)
    n = m.shape_of(x)[0]
    listed = [m.number(-n, n - 1) for _ in range(m.number(1, 6))]
    index = m.indices(m.shape(m.number(1, 2)), n)
    a = m.axis(x)
    one = m.indices((m.number(1, 9),), m.shape_of(x)[a])
    return m.choose([f"{x}[{listed}]", f"{x}[{index}]", f"{x}.index_select({a}, {one})", f"{x}.take({index})"])


@rule(1, moves=True)
def entries_at(m: Maker) -> str:
    x = m.anything(2)
    shape = m.shape_of(x)
    k = m.number(1, 7)
    a, b = m.indices((k,), shape[0]), m.indices((k,), shape[1])
    return m.choose([f"{x}[{a}, {b}]", f"{x}[:, {b}]", f"{x}[{a}[:, None], {b}]", f"{x}[{a}, ::2]", f"{x}[{a}, 0]"])


@rule(2, moves=True)
def gather(m: Maker) -> str:
    x = m.anything(1)
    a = m.axis(x)
    shape = m.shape_of(x)
    index = m.indices(tuple(m.number(1, 9) if i == a else n for i, n in enumerate(shape)), shape[a])
    return m.choose([f"{x}.gather({a}, {index})", f"{x}.take_along_dim({index}, {a})"])


@rule(2)
def added_at(m: Maker) -> str:
    x = m.floats(1)
    a = m.axis(x)
    shape = m.shape_of(x)
    source_shape = tuple(m.number(1, 9) if i == a else n for i, n in enumerate(shape))
    k = source_shape[a]
    source = m.like(source_shape)
    if m.chance(0.4):
        return f"{x}.scatter_add({a}, {m.indices(source_shape, shape[a])}, {source})"
    if m.chance(0.7):
        return f"{x}.index_add({a}, {m.indices((k,), shape[a])}, {source})"
    values = m.like((k, *shape[1:]))
    return f"{x}.index_put(({m.indices((k,), shape[0])},), {values}, accumulate=True)"


@rule(1, moves=True)
def put_at(m: Maker) -> str:
    x = m.floats(1)
    a = m.axis(x)
    shape = m.shape_of(x)
    listed = [int(i) for i in m.random.permutation(shape[a])[: m.number(1, min(shape[a], 5))]]
    place = f"chainrule.tensor({listed})"
    if m.chance(0.5):
        return f"{x}.scatter({a}, {m.fresh_order(shape, a)}, {m.choose(['0.25', m.like(shape)])})"
    source = m.like(tuple(len(listed) if i == a else n for i, n in enumerate(shape)))
    return m.choose([f"{x}.index_copy({a}, {place}, {source})", f"{x}.index_fill({a}, {place}, 0.5)"])


@rule(1.5, moves=True)
def embedding(m: Maker) -> str:
    table = m.floats(2, 2)
    index = m.indices(m.shape(m.number(1, 2)), m.shape_of(table)[0])
    return m.choose([f"F.embedding({index}, {table})", f"F.embedding({index}, {table}, padding_idx=0)"])


@rule(1)
def one_hot(m: Maker) -> str:
    n = m.number(2, 9)
    index = m.indices(m.shape(m.number(1, 2)), n)
    return m.choose([f"F.one_hot({index}, {n})", f"F.one_hot({index}, {n}).to(chainrule.{m.dtype})"])
