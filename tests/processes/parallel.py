"""Twenty steps of a small network, each process with its part of every batch; prints the parameters.

    parallel.py FOLDER FORMS PRECISIONS [STEP RANK MILLISECONDS]

Forms are "eager", "compiled", "nosync" (two backward passes for a step, the first within `no_sync`) and "different" (a
compiled step that is another one in each process, which is an error). With one process
the batches are whole. With a step and a rank that process kills itself so long after the step has begun (never, if the
step does not come); then a checkpoint is written every five steps, and the run goes on from one that is there.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import chainrule
from chainrule import distributed, nn
from chainrule.nn import functional as F


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def train(folder: Path, form: str, kind: Any, death: tuple[int, ...] = ()) -> dict[str, Any]:
    rank, size = distributed.get_rank(), distributed.get_world_size()
    chainrule.manual_seed(rank)  # all have other parameters before they are sent
    model: Any = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).to(kind)
    if size == 1:
        chainrule.manual_seed(0)
    parallel = nn.parallel.DistributedDataParallel(model, bucket_cap_mb=0.0002)
    optimizer = chainrule.optim.Adam(model.parameters(), lr=0.05)
    generator = chainrule.Generator().manual_seed(7)
    x = chainrule.randn(20, 24, 6, generator=generator).to(kind)
    y = chainrule.randint(0, 3, (20, 24), generator=generator)
    share = slice(rank * (24 // size), (rank + 1) * (24 // size))

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        if form == "nosync":
            half = len(x) // 2
            with parallel.no_sync():
                (F.cross_entropy(parallel(x[:half]), y[:half]) / 2).backward()
            loss = F.cross_entropy(parallel(x[half:]), y[half:]) / 2
        else:
            loss = F.cross_entropy(parallel(x), y) * (1.0 + rank if form == "different" else 1.0)
        loss.backward()
        optimizer.step()
        return loss

    taken = chainrule.compile(step) if form in ("compiled", "different") else step
    file, first = folder / "checkpoint.safetensors", 0
    if death and file.exists():
        saved = chainrule.load(file)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        first = saved["step"]
        print("going on after", first)
    for i in range(first, 20):
        if death and death[:2] == (i, rank):
            threading.Timer(death[2] / 1000, die).start()
        before = model[0].weight.tolist()
        try:
            taken(x[i, share], y[i, share])
        except distributed.ProcessGroupError:
            print("unchanged", model[0].weight.tolist() == before)
            raise
        if death:
            time.sleep(0.01)
            if rank == 0 and (i + 1) % 5 == 0:
                chainrule.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": i + 1}, file)
    return {name: p.detach() for name, p in model.named_parameters()}


if __name__ == "__main__":
    chainrule.set_num_threads(1)
    distributed.init_process_group("gloo")
    folder, forms, kinds = Path(sys.argv[1]), sys.argv[2].split(","), sys.argv[3].split(",")
    death = tuple(int(word) for word in sys.argv[4:])
    for form in forms:
        for kind in kinds:
            found = train(folder, form, getattr(chainrule, kind), death)
            name = f"{form}-{kind}-{distributed.get_world_size()}-{distributed.get_rank()}.safetensors"
            chainrule.save(found, folder / name)
    distributed.destroy_process_group()
