"""Every function by which processes exchange something, in chainrule or (with "torch") PyTorch; prints what came out.

Each process has its own numbers, made from its rank; the first one prints all answers as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

if sys.argv[1] == "torch":
    import torch as lib

    lib.set_num_threads(1)
else:
    import chainrule as lib  # type: ignore[no-redef]

d: Any = lib.distributed
d.init_process_group("gloo")
rank, size = d.get_rank(), d.get_world_size()
found: dict[str, Any] = {}

for kind in ("float32", "float64", "int32", "int64", "uint8"):
    for op in ("SUM", "PRODUCT", "MIN", "MAX", *(("BAND", "BOR", "BXOR") if "int" in kind else ())):
        x = lib.tensor([rank + 1, 3 - rank, 2], dtype=getattr(lib, kind))
        d.all_reduce(x, op=getattr(d.ReduceOp, op))
        found[f"all_reduce {kind} {op}"] = x.tolist()
for kind in ("float16", "bfloat16"):
    x = lib.tensor([rank + 0.5, 1.0], dtype=getattr(lib, kind))
    d.all_reduce(x)
    found[f"all_reduce {kind}"] = x.tolist()
    d.broadcast(x := lib.tensor([rank + 0.25], dtype=getattr(lib, kind)), src=1)
    found[f"broadcast {kind}"] = x.tolist()
x = lib.tensor(float(rank))  # no dimension
d.all_reduce(x)
found["all_reduce of one number"] = x.item()
for source in (0, 1):
    x = lib.tensor([[rank, -0.0, float("inf")]], dtype=lib.float64)
    d.broadcast(x, src=source)
    found[f"broadcast {source}"] = repr(x.tolist())
x = lib.full((2,), float(rank + 1))
d.reduce(x, dst=1)
found["reduce"] = x.tolist() if rank == 1 else None
x = lib.tensor([rank, rank * 10])
listed = [lib.zeros(2, dtype=lib.int64) for _ in range(size)]
d.all_gather(listed, x)
found["all_gather"] = [t.tolist() for t in listed]
whole = lib.zeros(2 * size, dtype=lib.int64)
d.all_gather_into_tensor(whole, x)
found["all_gather_into_tensor"] = whole.tolist()
listed = [lib.zeros(2, dtype=lib.int64) for _ in range(size)]
d.gather(x, listed if rank == 0 else None, dst=0)
found["gather"] = [t.tolist() for t in listed]
out = lib.zeros(2)
d.scatter(out, [lib.full((2,), float(i)) for i in range(size)] if rank == 1 else None, src=1)
found["scatter"] = out.tolist()
d.reduce_scatter(out, [lib.full((2,), float(i + rank)) for i in range(size)])
found["reduce_scatter"] = out.tolist()
outs = [lib.zeros(2) for _ in range(size)]
d.all_to_all(outs, [lib.full((2,), float(10 * rank + i)) for i in range(size)])
found["all_to_all"] = [t.tolist() for t in outs]
single = lib.zeros(size)
d.all_to_all_single(single, lib.arange(size) + 10.0 * rank)
found["all_to_all_single"] = single.tolist()
things: list[Any] = [None] * size
d.all_gather_object(things, {"rank": rank, "text": "x" * (rank + 1)})
found["all_gather_object"] = things
things = [{"from": rank}, rank]
d.broadcast_object_list(things, src=1)
found["broadcast_object_list"] = things
things = [None] * size
d.gather_object(rank * 2, things if rank == 0 else None, dst=0)
found["gather_object"] = things
got: list[Any] = [None]
d.scatter_object_list(got, [f"for {i}" for i in range(size)] if rank == 0 else None, src=0)
found["scatter_object_list"] = got
two = d.new_group([size - 1, size - 2])
found["rank in a group"], found["size of a group"] = d.get_rank(two), d.get_world_size(two)
if rank >= size - 2:
    x = lib.tensor([rank])
    d.all_reduce(x, group=two)
    found["all_reduce in a group"] = x.tolist()
# Pairs: a ring in which all send before they receive; tags that are asked for in another order; a batch of both.
x, got = lib.tensor([rank, 10.0 * rank]), lib.zeros(2)
works = [d.isend(x, (rank + 1) % size), d.irecv(got, (rank - 1) % size)]
for work in works:
    work.wait()
found["ring"] = got.tolist()
if rank == 0:
    d.send(lib.tensor([1, 2]), dst=1)
    works = [d.isend(lib.tensor([float(tag)]), 1, tag=tag) for tag in (1, 2)]
    found["sent"] = [work.wait() for work in works]
if rank == 1:
    found["came from"] = d.recv(x := lib.zeros(2, dtype=lib.int64), src=0)
    found["recv"] = x.tolist()
    for tag in (2, 1):
        d.recv(x := lib.zeros(1), 0, tag=tag)
        found[f"recv of tag {tag}"] = x.item()
got = lib.zeros(2)
both = [d.P2POp(d.isend, lib.full((2,), rank + 0.5), 1 - rank), d.P2POp(d.irecv, got, 1 - rank)] if rank < 2 else []
for work in d.batch_isend_irecv(both) if both else []:
    work.wait()
found["batch"] = got.tolist()
if rank < 2 and sys.argv[1] != "torch":
    try:
        if rank == 0:
            d.send(lib.zeros(3), 1, tag=9)
        work = d.irecv(lib.zeros(2), 0, tag=9)
        while not work.is_completed():  # it says so too, and nobody asks for ever
            time.sleep(0.01)
    except d.ProcessGroupError as error:
        found["different"] = str(error)
d.all_reduce(x := lib.zeros(0))
d.barrier()
every: list[Any] = [None] * size
d.all_gather_object(every, found)
if rank == 0:
    print(json.dumps(every))
d.destroy_process_group()
