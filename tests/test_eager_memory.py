"""Where large operations of eager code read, and where their results lie: nothing is copied that need not be."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import chainrule
from chainrule import autograd
from chainrule.backends.memory import has_room
from chainrule.nn import functional as F


def test_rows_of_a_view_are_read_without_copying_all_of_it() -> None:
    wide = chainrule.zeros(1).expand(10**7, 10**5)  # terabytes, if it were written out
    assert wide[chainrule.tensor([3])].shape == (1, 10**5)
    x = chainrule.randn(300, 200)
    assert chainrule.equal(x.T[chainrule.tensor([3, -1])], x[:, [3, -1]].T)


def test_memory_that_was_freed_is_used_again() -> None:
    """Each step takes and frees the same arrays; without more, the system clears them anew each time."""
    program = """
import resource, sys, chainrule
from chainrule.nn import functional as F
x = chainrule.ones(256, 1024)
def step():
    y = [x]
    for _ in range(30):
        y.append(F.gelu(y[-1]))
for _ in range(3): step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5): step()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 5 if "glibc" in sys.argv else 0)
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    library = platform.libc_ver()[0]
    done = subprocess.run([sys.executable, "-c", program, library], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 500, "30 results of 256 pages"


def test_attention_reads_heads_where_they_lie_and_leaves_its_result_so() -> None:
    """What brings the heads together again has nothing to move; nor has what takes their gradients apart."""
    x = chainrule.randn(3, 70, 3 * 4 * 32, requires_grad=True)
    q, k, v = (part.reshape(3, 70, 4, 32).transpose(1, 2) for part in x.split(128, dim=-1))
    y = F.scaled_dot_product_attention(q, k, v)
    together = y.transpose(1, 2)
    assert together.is_contiguous() and together.contiguous().value.array is together.value.array
    gradients = autograd.grad(y.sum(), (q, k, v))
    assert all(g.transpose(1, 2).is_contiguous() for g in gradients)


def test_results_of_programs_have_room_and_belong_to_nobody_else() -> None:
    """No later program has to copy them or their views, and entries are written where they are."""
    y = chainrule.randn(96, 80) @ chainrule.randn(80, 64)
    assert all(has_room(x.value.array) for x in (y, y.view(-1), y[1:], y.mT, y.mT[2:]))
    before = y.value.array.ctypes.data
    y[0, 0] = 3.0
    assert y.value.array.ctypes.data == before and y[0, 0].item() == 3.0
