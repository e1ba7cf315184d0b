"""Data sets and functions that the workers of tests/test_loader.py import; light, because each worker does."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import Any

import numpy as np

import chainrule
from chainrule.data import Dataset, IterableDataset, get_worker_info


class Numbers(Dataset):
    """Sample i is i and a string."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: int) -> tuple[int, str]:
        return place, f"n{place}"


class Noisy(Numbers):
    """Sample i is i and what three generators draw."""

    def __getitem__(self, place: int) -> Any:
        return place, chainrule.rand(2), random.random(), np.random.rand()


class Large(Numbers):
    """Samples that do not travel inside of a pickle."""

    def __getitem__(self, place: int) -> Any:
        return {"image": np.full((3, 64, 64), place, np.float32), "label": place}


class Trouble(Numbers):
    """Raises at 5 what it is made with; dies at 5 if that is a signal, hangs there if it is "hang"."""

    def __init__(self, count: int, trouble: Any) -> None:
        super().__init__(count)
        self.trouble = trouble

    def __getitem__(self, place: int) -> int:
        if place == 5:
            if isinstance(self.trouble, int):
                os.kill(os.getpid(), self.trouble)
            if self.trouble == "exit":
                os._exit(3)
            if self.trouble == "hang":
                time.sleep(60)
            raise self.trouble(f"sample {place} is broken")
        return place


class PickyError(Exception):
    """An exception that does not take one message."""

    def __init__(self, code: int, *, place: str) -> None:
        super().__init__(code, place)


def picky(message: str) -> Exception:
    return PickyError(7, place=message)


class Stream(IterableDataset):
    """The numbers below `count`, shared among the workers, with some noise."""

    def __init__(self, count: int, shared: bool = True) -> None:
        self.count, self.shared = count, shared

    def __iter__(self) -> Any:
        info = get_worker_info()
        first, step = (info.id, info.num_workers) if info and self.shared else (0, 1)
        order = chainrule.randperm(self.count).tolist() if not self.shared else range(self.count)
        for place in order[first::step]:
            yield place, chainrule.rand(1)

    def __len__(self) -> int:
        return self.count


class WhoAmI(Numbers):
    """What the worker knows about itself."""

    def __getitem__(self, place: int) -> Any:
        info = get_worker_info()
        assert info is not None
        return info.id, info.num_workers, info.seed, len(info.dataset), MARK[0], os.getpid()


MARK = [-1]


def mark(worker: int) -> None:
    MARK[0] = worker + 10


def fail_to_begin(worker: int) -> None:
    raise OSError(f"no disk for {worker}")


def pairs(batch: list[Any]) -> Any:
    return [(sample, chainrule.rand(1)) for sample in batch]


def unsendable(batch: list[Any]) -> Any:
    return (sample for sample in batch)


KILL = int(getattr(signal, "SIGKILL", signal.SIGTERM))
