"""The machine code of attention's gradients.

A part walks over the blocks of queries, with some keys of one head. It makes the weights P of the block again, turned
over, and the gradient D of the scores; from these the block's share of the gradients of its keys and values, which
stay in scratch memory until all blocks have added theirs, and the gradient of the queries.
"""

from __future__ import annotations

import functools
import math

from chainrule.backends.native.emitting.attention_blocks import TABLE, Blocks, Style
from chainrule.backends.native.language.code import Code
from chainrule.backends.native.language.instructions import compare, minus, select, times
from chainrule.backends.native.language.vector_math import small_exponential


class Backward(Blocks):
    """The kernel of the gradients."""

    def emit(self) -> Code:
        """The whole function."""
        code, style = self.code, self.style
        self.n("scale", "queries", "keys", "width", "values", "width_row", "value_row", "padded", "blocks", "shares")
        self.n("piece", "apart")
        share, number = (code.whole(op, "%part", self["shares"]) for op in ("urem", "udiv"))
        digits = self.digits(number)
        names = ["g", "q", "k", "v", "logsumexp", "rest", "shift", "to_q", "to_k", "to_v"]
        names += ["bias"] * bool(style.bias) + ["kept"] * style.drops
        self.bases = {name: self.base(name, digits) for name in names}
        self.n(*["bias_column"] * bool(style.bias), *["factor"] * style.drops)
        self.first_key = self.mul(share, self["piece"])
        self.keys = self.code.least(self["piece"], self.sub(self["keys"], self.first_key))
        for name in ("k", "v", "to_k", "to_v"):
            self.bases[name] = self.row(name, self.bases[name], self.first_key)
        self.bases["to_q"] = code.at(self.bases["to_q"], "i8", self.mul(share, self["apart"]))
        code.store("<2 x i64>", "zeroinitializer", "%scratch", 8)
        self._scratch()
        with code.loop("0", self["blocks"]) as block:
            self._block(self.mul(block.index, style.queries))
        with code.loop("0", self.keys) as key:
            for name, sums, columns in (("to_k", self.to_k, "width"), ("to_v", self.to_v, "values")):
                source = code.at(sums, "i8", self.mul(key.index, self.row_bytes[columns]))
                self.write_row(source, self.row(name, self.bases[name], key.index), self[columns], "")
        code.do("ret void")
        return code

    def _scratch(self) -> None:
        """Tables of rows, the packed block, weights and their gradient, and sums that begin as zeros."""
        code, style, padded = self.code, self.style, self["padded"]
        row = style.queries * style.size
        self.row_bytes = {
            n: self.mul(self[x], style.size) for n, x in (("width", "width_row"), ("values", "value_row"))
        }
        table = self.mul(padded, 8)
        self.k_table = code.at("%scratch", "i8", str(TABLE))
        self.v_table, self.weight_table, self.score_table = (
            code.at(self.k_table, "i8", self.mul(table, i)) for i in (1, 2, 3)
        )
        self.packed = self.behind(self.k_table, self.mul(table, 4))
        self.packed_g = self.behind(self.packed, self.mul(self["width_row"], row))
        self.weights = self.behind(self.packed_g, self.mul(self["value_row"], row))
        self.to_scores = self.behind(self.weights, self.mul(self.add(padded, 2), row))
        self.to_q = self.behind(self.to_scores, self.mul(self.add(padded, 2), row))
        self.to_k = self.behind(self.to_q, self.mul(self["width_row"], 2 * row))
        self.to_v = self.behind(self.to_k, self.mul(padded, self.row_bytes["width"]))
        end = self.behind(self.to_v, self.mul(padded, self.row_bytes["values"]))
        self.dropping = end if style.drops else ""
        begin, stop = (code.op(f"ptrtoint ptr {x} to i64") for x in (self.to_k, end))
        size = self.sub(stop, begin)
        code.call("void", "llvm.memset.p0.i64", ("ptr", self.to_k), ("i8", "0"), ("i64", size), ("i1", "false"))
        last = self.sub(self.keys, 1)
        self.table(self.bases["k"], self["k_row"], padded, last, self.k_table)
        self.table(self.bases["v"], self["v_row"], padded, last, self.v_table)
        for memory, place in ((self.weights, self.weight_table), (self.to_scores, self.score_table)):
            self.table(memory, str(row), padded, self.sub(padded, 1), place)

    def _block(self, first: str) -> None:
        """What a block of queries adds."""
        code, style = self.code, self.style
        keys = self.keys
        if style.causal:  # before the first key of this piece nothing is to be done, but the gradient is 0
            behind = self.sub(self.add(first, style.queries), self.first_key)
            keys = self.code.most(self.code.least(keys, behind), "0")
        padded = self.up(keys, style.key_rows)
        last = self.sub(self["queries"], 1)
        valid = self.code.least(self.sub(self["queries"], first), str(style.queries))
        q, g = (self.row(name, self.bases[name], first) for name in "qg")
        rows_left = self.sub(last, first)
        with code.when(code.op(f"icmp sgt i64 {keys}, 0")):
            self.pack(q, self["q_row"], rows_left, self["width"], self.packed, self.number("scale"))
            self.pack(g, self["g_row"], rows_left, self["values"], self.packed_g, "")
            self.scores(self.k_table, self.packed, self["width"], self.weights, padded)
            if style.bias:
                self.add_bias(self.bases["bias"], first, last, self.first_key, keys, self.weights)
            self.forbid(self.weights, first, self.first_key, keys, padded)
            self.scores(self.v_table, self.packed_g, self["values"], self.to_scores, padded)
            if style.drops:
                self.turn_factors(self.bases["kept"], first, last, self.first_key, keys, padded)
            self._differentiate(first, valid, padded)
            for table, right, name, columns, vectors, sums in (
                (self.weight_table, g, "g", "values", style.values, self.to_v),
                (self.score_table, q, "q", "width", style.width, self.to_k),
            ):
                tile = style.by_key(vectors)
                step, row = self[f"{name}_row"], self.row_bytes[columns]
                self.by_key(tile, table, padded, valid, right, step, self[columns], sums, row, "true")
        row, tile = self.row_bytes["width"], style.by_query(style.width)
        self.by_query(tile, self.to_scores, keys, self.bases["k"], self["k_row"], self["width"], self.to_q, row)
        with code.loop("0", valid) as query:
            target = self.row("to_q", self.bases["to_q"], self.add(first, query.index))
            self.write_row(code.at(self.to_q, "i8", self.mul(query.index, row)), target, self["width"], "")

    def _differentiate(self, first: str, valid: str, padded: str) -> None:
        """Scores become weights, and what came through the values the scores' gradient P⊙(M⊙(g·vᵀ) − shift)·scale.

        Of the weights P those are left that are kept, M⊙P: the values' gradient is made of these.
        """
        code, lanes, style, scale = self.code, self.lanes, self.style, self.number("scale")
        known: dict[str, list[str]] = {"logsumexp": [], "rest": [], "shift": []}
        for half in range(style.block):
            mask = self.mask(half, valid)
            for name, vectors in known.items():
                place = self.row(name, self.bases[name], self.add(first, half * lanes.lanes))
                vectors.append(code.load_some(lanes, place, mask, style.size))
        # Rows without keys weigh 0.
        lowest, highest = lanes.splat(-math.inf), lanes.splat(math.inf)
        sums = [select(code, lanes, compare(code, lanes, "oeq", x, lowest), highest, x) for x in known["logsumexp"]]

        def visit(row: str, _: list[str]) -> list[str]:
            pairs = zip(self.places(self.weights, row), self.places(self.to_scores, row), strict=True)
            for half, (weight, to_score) in enumerate(pairs):
                above = minus(code, lanes, minus(code, lanes, self.load(weight), sums[half]), known["rest"][half])
                p, through = small_exponential(code, lanes, above), self.load(to_score)
                if style.drops:
                    factor = self.load(self.places(self.dropping, row)[half])
                    self.store(times(code, lanes, p, factor), weight)
                    through = times(code, lanes, through, factor)
                else:
                    self.store(p, weight)
                difference = minus(code, lanes, through, known["shift"][half])
                self.store(times(code, lanes, times(code, lanes, p, difference), scale), to_score)
            return []

        self.each(padded, [], visit)


@functools.lru_cache(maxsize=64)
def backward(style: Style) -> tuple[Code, list[str]]:
    """The function and the names of its numbers."""
    kernel = Backward(style)
    return kernel.emit(), kernel.names
