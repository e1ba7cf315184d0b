"""One process's connection to the coordinator: what is agreed on before each exchange, and who has gone.

A thread listens, so that whoever waits can be woken when a process ends, also within an exchange.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from chainrule.distributed import coordinator
from chainrule.distributed.coordinator import in_brackets, line_of, reach
from chainrule.distributed.group import ProcessGroupError

#: How long an exchange may still take after a process has ended that may have done its part in it.
GRACE = 1.0


def start_coordinator(host: str, port: int, size: int, patience: float) -> None:
    """Start the coordinator beside this process. Raises ProcessGroupError if the port is taken."""
    command = [sys.executable, str(Path(coordinator.__file__)), host, str(port), str(size), str(patience)]
    started = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
    assert started.stdout is not None
    with started.stdout:
        said = started.stdout.readline().decode().strip()
    if said != "ready":
        raise ProcessGroupError(
            f"init_process_group: no coordinator at {said or 'an unknown place'}. Choose another MASTER_PORT."
        )
    _children.append(started)


#: So that Python does not complain about processes that nobody waits for.
_children: list[subprocess.Popen[bytes]] = []


class Call(NamedTuple):
    """What this process has said that it is about to do.

    Attributes:
        ranks: with whom.
        channel, number: about what, and the how-manieth time.
        what: in words.
    """

    ranks: tuple[int, ...]
    channel: str
    number: int
    what: str


class Member:
    """A connection to the coordinator.

    Args:
        address: host and port of the coordinator.
        rank, size: which process this is, and of how many.
        patience: seconds until all must have come.

    Attributes:
        service: host and port of JAX's service.
        gone: the processes that have ended, with their description.

    Raises ProcessGroupError if nobody answers in time, or the coordinator refuses.
    """

    def __init__(self, address: tuple[str, int], rank: int, size: int, patience: float) -> None:
        self.rank, self.size = rank, size
        self.gone: dict[int, str] = {}
        self.lost = ""
        self._changed = threading.Condition()
        self._numbers: dict[str, int] = {}
        self._agreed: dict[str, int] = {}
        self._starts: dict[tuple[str, int], Callable[[], None]] = {}
        self._wrong: dict[str, tuple[str, int]] = {}
        self._came: list[int] | None = None
        self._socket = _connected(address, patience)
        # A process forked from this one must not keep the connection open when this one ends.
        os.register_at_fork(after_in_child=self._let_go)
        self._lines = self._socket.makefile("rb")
        about = f"process {os.getpid()} on {socket.gethostname()}"
        self._socket.sendall(line_of(hello=rank, size=size, about=about))
        port = self._service_port(patience)
        self.service = f"{in_brackets(self._socket.getpeername()[0])}:{port}"
        self._socket.settimeout(None)
        threading.Thread(target=self._listen, daemon=True, name="chainrule-group").start()

    def _service_port(self, patience: float) -> int:
        self._socket.settimeout(patience + 5)
        try:
            message = json.loads(self._lines.readline() or "{}")
        except (OSError, ValueError) as error:
            raise ProcessGroupError(f"init_process_group: the coordinator does not answer ({error}).") from None
        if "service" not in message:
            raise ProcessGroupError(f"init_process_group: {message.get('refused', 'the coordinator has ended')}.")
        return int(message["service"])

    # ------------------------------------------------------------------------------------- before an exchange

    def ask(
        self, ranks: Sequence[int], said: dict[str, Any], start: Callable[[], None] | None = None, about: str = ""
    ) -> Call:
        """Say what this process is about to do with these; do not wait.

        `start` is called by the thread that listens, when all have said it. What is asked for `about` different things
        is counted, and goes on, independently; about the same one it is the first, the second, … for everybody.
        """
        channel = f"{','.join(map(str, ranks))} {about}".strip()
        number = self._numbers[channel] = self._numbers.get(channel, 0) + 1
        if start is not None:
            self._starts[channel, number] = start
        try:
            self._socket.sendall(line_of(group=channel, number=number, call=said))
        except OSError:
            self._fail(said["same"])
        return Call(tuple(ranks), channel, number, said["same"])

    def wait_for(self, call: Call, timeout: float) -> None:
        """Wait until all these processes have said the same.

        Raises ProcessGroupError, in every one of them, if one says something else; if one has ended, or does not come
        within `timeout` seconds, in those who wait. Once somebody has said something else, all that comes later on that
        channel raises too, even where all say the same again: one of them may be a call ahead, and a sum of equal shape
        may then be that of another tensor. Wrong numbers without an error would be worse than to start again.
        """
        ranks, channel, number, what = call
        until = time.monotonic() + timeout
        with self._changed:
            try:
                while self._agreed.get(channel, 0) < number and not self._is_out_of_step(call):
                    self.check(ranks, what)
                    seconds = min(max(until - time.monotonic(), 0.0), 1.0)
                    if not self._changed.wait(seconds) and time.monotonic() >= until:
                        self._too_late(call, timeout)
                if self._is_out_of_step(call):
                    said, when = self._wrong[channel]
                    raise ProcessGroupError(f"processes do different things: {said}.{_since(number - when)}")
            finally:
                self._starts.pop((channel, number), None)  # what nobody waits for is not begun

    def is_in_vain(self, call: Call) -> bool:
        """Whether somebody has ended, or has said something else, so that waiting for it may raise an error."""
        with self._changed:
            return self._is_out_of_step(call) or self._is_broken(call.ranks)

    def agree(self, ranks: Sequence[int], said: dict[str, Any], timeout: float) -> None:
        """Say it, and wait for the others."""
        self.wait_for(self.ask(ranks, said), timeout)

    def check(self, ranks: Sequence[int], what: str) -> None:
        """Raise ProcessGroupError if one of these processes has ended, or the coordinator has."""
        for rank in self.gone:  # the first that has ended: others may have ended because of it
            if rank in ranks:
                raise ProcessGroupError(
                    f"{what}: rank {rank} ({self.gone[rank]}) has ended; the others cannot go on without it. Start all "
                    "again, from the last checkpoint."
                )
        if self.lost:
            self._fail(what)

    def watch(
        self, ranks: Sequence[int], what: str, is_done: Callable[[], bool], wake: threading.Event, timeout: float
    ) -> None:
        """Wait for an exchange.

        Raises ProcessGroupError if a process ends in the middle of it, or it takes longer than `timeout` seconds.
        """
        latest = time.monotonic() + timeout
        while not wake.wait(0.05):
            if time.monotonic() > latest:
                raise ProcessGroupError(
                    f"{what}: all have begun with it, and it has not ended within {timeout:g} seconds (see `timeout` "
                    "of init_process_group): a process hangs, or cannot reach another one."
                )
            with self._changed:
                broken = self._is_broken(ranks)
            if broken and not wake.wait(GRACE):
                self.check(ranks, what)
        if not is_done():  # it failed by itself: somebody has gone, which is known here in a moment
            until = time.monotonic() + 3 * GRACE
            while time.monotonic() < until:
                with self._changed:
                    self.check(ranks, what)
                    self._changed.wait(0.05)

    def _is_out_of_step(self, call: Call) -> bool:
        """Whether somebody has said something else, then or in an earlier call of that channel."""
        return call.channel in self._wrong and call.number >= self._wrong[call.channel][1]

    def _is_broken(self, ranks: Sequence[int]) -> bool:
        return bool(self.lost) or any(rank in self.gone for rank in ranks)

    def _let_go(self) -> None:
        if self._socket.fileno() >= 0:
            os.close(self._socket.detach())

    def _fail(self, what: str) -> None:
        raise ProcessGroupError(f"{what}: the connection to the coordinator is lost ({self.lost or 'closed'}).")

    def _too_late(self, call: Call, timeout: float) -> None:
        self._came = None
        self._socket.sendall(line_of(who=[call.channel, call.number]))
        self._changed.wait_for(lambda: self._came is not None or self.lost, 5)
        missing = [rank for rank in call.ranks if rank not in (self._came or ())]
        raise ProcessGroupError(
            f"{call.what}: rank {', '.join(map(str, missing))} did not come within {timeout:g} seconds (see "
            "`timeout` of init_process_group)."
        )

    # ------------------------------------------------------------------------------------- the thread that listens

    def _listen(self) -> None:
        why = "it has ended"
        try:
            for line in self._lines:
                self._hear(json.loads(line))
        except (OSError, ValueError) as error:
            why = str(error)
        with self._changed:
            self.lost = why
            self._changed.notify_all()

    def _hear(self, message: dict[str, Any]) -> None:
        with self._changed:
            if "gone" in message:
                self.gone[message["gone"]] = message["about"]
            elif "go" in message:
                channel, number = message["group"], message["go"]
                if number >= self._wrong.get(channel, ("", number + 1))[1]:
                    return  # they say the same by chance: see `wait_for`
                self._agreed[channel] = number
                start = self._starts.pop((channel, number), None)
                if start is not None:
                    start()
            elif "wrong" in message:
                self._wrong.setdefault(message["group"], (message["wrong"], message["number"]))
            elif "came" in message:
                self._came = message["came"]
            self._changed.notify_all()


def _connected(address: tuple[str, int], patience: float) -> socket.socket:
    try:
        return reach(address, patience)
    except OSError as error:
        raise ProcessGroupError(
            f"init_process_group: nobody answers at {in_brackets(address[0])}:{address[1]} ({error}). Rank 0 listens "
            "there: it must have been started, with the same MASTER_ADDR and MASTER_PORT."
        ) from None


def _since(exchanges: int) -> str:
    """What to add to the error of a difference that lies so many exchanges back."""
    if exchanges <= 0:
        return ""
    ago = "1 exchange" if exchanges == 1 else f"{exchanges} exchanges"
    return (
        f" That was {ago} ago. Since then they are out of step, and nothing more is exchanged: mend what differs, and "
        "start all again."
    )
