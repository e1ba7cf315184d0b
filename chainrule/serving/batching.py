"""Requests that arrive together are computed together.

The first question waits for others at most so long; then all that are there, up to a largest number, go to the model as
one batch, on one thread beside the event loop. Meanwhile the next ones gather. So a busy server has large batches, and
an idle one answers at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any


class FullError(Exception):
    """More questions are waiting than may."""


class Batcher:
    """Gathers questions for a function of many.

    Args:
        answer: from a list of samples to a list of answers; called on one thread.
        most: samples in a batch.
        wait: seconds that the first of a batch waits for others.
        room: questions that may wait; with more `ask` raises FullError.
        told: called with the size of each batch.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Any]], list[Any]],
        most: int = 32,
        wait: float = 0.002,
        room: int = 1024,
        told: Callable[[int], object] = lambda size: None,
    ) -> None:
        if most < 1 or wait < 0 or room < 1:
            raise ValueError(f"a batch has at least 1 sample and waits 0 or more seconds, got {most} and {wait}.")
        self.answer, self.most, self.wait, self.told = answer, most, wait, told
        self._waiting: asyncio.Queue[tuple[Any, asyncio.Future[Any]]] = asyncio.Queue(room)
        self._thread = ThreadPoolExecutor(1, "chainrule-answers")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to answer; within the event loop."""
        self._task = asyncio.create_task(self._serve())

    async def stop(self) -> None:
        """Answer what is waiting, then end."""
        if self._task is not None:
            await self._waiting.join()
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._thread.shutdown()

    async def ask(self, sample: Any) -> Any:
        """The answer to one question. Raises what the model raised for it, and FullError."""
        future = asyncio.get_running_loop().create_future()
        try:
            self._waiting.put_nowait((sample, future))
        except asyncio.QueueFull:
            raise FullError from None
        return await future

    async def _serve(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            try:
                await self._gather(batch)
                await self._answer(batch)
            finally:
                for _ in batch:
                    self._waiting.task_done()

    async def _gather(self, batch: list[Any]) -> None:
        """Take more until the batch is full or the first has waited long enough."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self.wait
        while len(batch) < self.most:
            if not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
                continue
            left = until - loop.time()
            if left <= 0:
                return
            try:
                batch.append(await asyncio.wait_for(self._waiting.get(), left))
            except TimeoutError:
                return

    async def _answer(self, batch: list[Any]) -> None:
        """One computation for all who still wait; if it fails, each alone, so that one does no harm to others."""
        asked = [(sample, future) for sample, future in batch if not future.done()]
        if not asked:
            return
        self.told(len(asked))
        results = await self._results([sample for sample, _ in asked])
        if isinstance(results, Exception) and len(asked) > 1:
            alone = [await self._results([sample]) for sample, _ in asked]
            results = [found if isinstance(found, Exception) else found[0] for found in alone]
        elif isinstance(results, Exception):
            results = [results]
        for (_, future), result in zip(asked, results, strict=True):
            if future.done():  # who asked has gone
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

    async def _results(self, samples: list[Any]) -> Any:
        """The answers, or the error."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self.answer, samples)
        except Exception as error:
            return error
