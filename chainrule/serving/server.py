"""Running the application: connections that send nothing, or too slowly, are closed; a signal ends it in peace."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from chainrule.serving.limits import Limits

#: Bytes of a request's first lines.
LONGEST_HEAD = 16 * 1024


def patient_protocol(seconds: float) -> type[H11Protocol]:
    """Uvicorn's protocol, where a request's first lines must come within so many seconds.

    They are counted from when the connection is made, or from the last answer on it. Without this whoever sends a
    letter a second has a connection for ever.
    """

    class Patient(H11Protocol):
        late: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            # Heads and bodies are written one after the other; without this the second waits 40 ms for an answer to the
            # first. asyncio does it for sockets that name their protocol, which `create_server`'s do not.
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def handle_events(self) -> None:
            before = self.cycle
            super().handle_events()
            if self.cycle is not before:
                self._stop_waiting()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if not self.transport.is_closing() and self.cycle.response_complete:
                self._wait()

        def _wait(self) -> None:
            self._stop_waiting()
            self.late = self.loop.call_later(seconds, self._give_up)

        def _stop_waiting(self) -> None:
            if self.late is not None:
                self.late.cancel()
                self.late = None

        def _give_up(self) -> None:
            if self.cycle is None or self.cycle.response_complete:
                self.transport.close()

    return Patient


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises OSError, with the address, where that cannot be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise OSError(f"{host}:{port} cannot be served: {error.strerror or error}.") from error


def config_for(app: Any, host: str, port: int, limits: Limits, log_level: str = "warning") -> uvicorn.Config:
    """How the application is run."""
    return uvicorn.Config(
        app, host=host, port=port, http=patient_protocol(limits.head_seconds), ws="none", lifespan="on",
        log_level=log_level, access_log=False, server_header=False, proxy_headers=False,
        limit_concurrency=limits.connections, timeout_keep_alive=max(1, round(limits.head_seconds)),
        timeout_graceful_shutdown=30, h11_max_incomplete_event_size=LONGEST_HEAD,
    )  # fmt: skip
