"""The server as an application: what each address answers."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

import chainrule
from chainrule.errors import ChainruleError, DataError
from chainrule.serving.answering import Answers
from chainrule.serving.batching import Batcher, FullError
from chainrule.serving.limits import Limits, Rates
from chainrule.serving.measuring import Measures
from chainrule.serving.page import page
from chainrule.serving.reading import RefusedError, check_pixels, read_question
from chainrule.tasks.run import OpenRun

#: What a browser is told with every answer: nothing from elsewhere, nothing guessed, in no frame.
HEADERS = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}


def build_app(
    run: OpenRun, limits: Limits | None = None, most: int = 32, wait: float = 0.002, **options: Any
) -> Starlette:
    """The application for a run.

    GET / is a page to try it; GET /about says what it is; POST /predict answers; GET /health and /metrics are for
    whoever watches.

    Args:
        run: what `open_run` gave.
        limits: of requests.
        most, wait: samples in a batch, and seconds that the first waits for others.
        options: of answers, such as the `length` of texts.

    Raises DataError for a run that answers no questions.
    """
    if not run.task.asks:
        raise DataError(
            f"{run.task.settings.model} answers no questions about {run.task.samples}; it cannot be served."
        )
    return _Application(run, limits or Limits(), most, wait, options).app


class _Application:
    def __init__(self, run: OpenRun, limits: Limits, most: int, wait: float, options: dict[str, Any]) -> None:
        self.run, self.limits, self.measures = run, limits, Measures()
        self.rates = Rates(limits.rate, time.monotonic)
        self.answers = Answers(run, most, **options)
        self.batcher = Batcher(self.answers, most, wait, told=self.measures.batches.add)
        self.reader = ThreadPoolExecutor(2, "chainrule-reading")
        self.html = page(run)
        routes: dict[str, tuple[str, Callable[[Request], Awaitable[Response]]]] = {
            "/": ("GET", self._page),
            "/about": ("GET", self._about),
            "/health": ("GET", self._health),
            "/metrics": ("GET", self._metrics),
            "/predict": ("POST", self._predict),
        }
        self.app = Starlette(
            routes=[
                Route(path, self._counted(path, made), methods=[method]) for path, (method, made) in routes.items()
            ],
            lifespan=self._lifespan,
            exception_handlers={HTTPException: self._not_here, Exception: self._failed},
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self.batcher.start()
        yield
        await self.batcher.stop()
        self.reader.shutdown()

    # ------------------------------------------------------------------------------------- around answers

    def _counted(self, path: str, made: Callable[[Request], Awaitable[Response]]) -> Any:
        async def answer(request: Request) -> Response:
            self.measures.active += 1
            status = 500
            try:
                response = await made(request)
                status = response.status_code
            except RefusedError as refused:
                status = refused.status
                # What is left of the request is not waited for.
                response = _said(status, refused.sentence, {"connection": "close"})
            finally:
                self.measures.active -= 1
                self.measures.requests[path, status] += 1
            response.headers.update(HEADERS)
            return response

        return answer

    async def _not_here(self, request: Request, error: Exception) -> Response:
        """For other addresses and methods."""
        status = error.status_code if isinstance(error, HTTPException) else 404
        self.measures.requests["other", status] += 1
        sentence = "there is nothing at this address; see /." if status == 404 else "this address takes another method."
        headers = dict(getattr(error, "headers", None) or {})
        return _said(status, sentence, {**HEADERS, **headers})

    async def _failed(self, request: Request, error: Exception) -> Response:
        """For a mistake of ours: the log has it, the answer says nothing of it."""
        return _said(500, "the server failed to answer; its log says why.", HEADERS)

    # ------------------------------------------------------------------------------------- answers

    async def _page(self, request: Request) -> Response:
        return HTMLResponse(self.html)

    async def _about(self, request: Request) -> Response:
        task = self.run.task
        about: dict[str, Any] = {
            "model": task.settings.model,
            "task": task.kind,
            "asks": task.asks,
            "chainrule": chainrule.__version__,
            "compiled": self.answers.compiled,
        }
        for name in ("names", "classes", "shape"):
            if name in task.facts:
                about[name] = task.facts[name]
        return JSONResponse(about)

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _metrics(self, request: Request) -> Response:
        return PlainTextResponse(self.measures.text(), media_type="text/plain; version=0.0.4")

    async def _predict(self, request: Request) -> Response:
        started = time.perf_counter()
        self._check_rate(request)
        task = self.run.task
        given = await read_question(request, task.asks, self.limits)
        try:
            sample = await asyncio.get_running_loop().run_in_executor(self.reader, self._sample, given)
            answer = await self.batcher.ask(sample)
        except FullError:
            raise RefusedError(503, "too many questions are waiting; ask again later.") from None
        except DataError as error:
            raise RefusedError(422, " ".join(str(error).split())) from None
        except ChainruleError as error:
            raise RefusedError(422, f"the model cannot answer that: {' '.join(str(error).split())}") from None
        self.measures.seconds.add(time.perf_counter() - started)
        return JSONResponse(answer)

    def _sample(self, given: Any) -> Any:
        task = self.run.task
        if task.asks == "image":
            check_pixels(given, self.limits.pixels_bytes)
        return task.sample_from(given, f"the {task.asks}")

    def _check_rate(self, request: Request) -> None:
        address = request.client.host if request.client else ""
        seconds = self.rates.wait_for(address)
        if seconds:
            raise RefusedError(429, f"too many requests from {address}; ask again in {math.ceil(seconds)} s.")


def _said(status: int, sentence: str, headers: dict[str, str]) -> Response:
    return JSONResponse({"error": sentence}, status, headers)
