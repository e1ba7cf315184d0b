"""The process that all others of a group are connected to: it knows who is there, and who has gone.

The first process starts it beside itself (`python coordinator.py`, so that nothing of chainrule is loaded) and it ends
when the last connection closes. It outlives every member, the first one too, so whoever dies is named to all others.

It does three things:

- It waits until all have come, starts JAX's own service for them, and tells them where that is.
- Before each exchange every member says what it is about to do. When all have said the same they may begin; when
  somebody says something else, all are told who said what. So nobody sends what another one does not wait for. All hear
  in one order what may begin, and begin in that order: so two exchanges never wait for each other.
- When a connection closes, its process has ended: the system closes it, whatever the reason. All others are told.

Messages are lines of JSON. Members say hello, then call; see `member.py` for the other end.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import sys
import time
from typing import Any

#: Seconds without an answer of the other machine, asked by the system itself, until a connection counts as closed.
SILENCE = 8
#: What is said where a private name of JAX's is another one.
JAX_TRIED = "several processes were tried with JAX 0.10: pip install 'jax>=0.10,<0.11'"
#: Longest line that a member may send, in bytes.
LONGEST = 2**16


def keep_watch(connection: socket.socket) -> None:
    """Let the system ask whether the other machine is still there, and send small messages at once."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in ("TCP_KEEPIDLE", 2), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * SILENCE)


def reach(address: tuple[str, int], patience: float) -> socket.socket:
    """A connection to who listens there, or will within so many seconds. Raises OSError when these are over."""
    until = time.monotonic() + patience
    while True:
        try:
            connection = socket.create_connection(address, timeout=min(5.0, patience))
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            keep_watch(connection)
            return connection


def line_of(**message: Any) -> bytes:
    """A message as it is sent."""
    return json.dumps(message).encode() + b"\n"


def own_host(address: str) -> str:
    """Where to listen for those who come by this address: on this machine only, or ("") wherever they come from.

    >>> own_host("localhost"), own_host("::1"), own_host("10.0.0.1"), own_host("fd00::7")
    ('127.0.0.1', '::1', '', '')
    """
    if address == "localhost" or address.startswith("127."):
        return "127.0.0.1"
    return "::1" if address == "::1" else ""


def listener_at(host: str, port: int) -> socket.socket:
    """A socket that listens; everywhere ("") means by both kinds of addresses, where the machine has both."""
    if not host and socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


def free_port(host: str) -> int:
    """A port that nobody listens at now."""
    with listener_at(host, 0) as probe:
        return int(probe.getsockname()[1])


def in_brackets(host: str) -> str:
    """A host as it stands before a port: an IPv6 address has colons of its own."""
    return f"[{host}]" if ":" in host else host


class Coordinator:
    """Who is there, and what they are about to do.

    Args:
        listener: where members come in.
        size: how many there will be.
        host: the address to listen at, for JAX's service too.
        patience: seconds until all must have come.
    """

    def __init__(self, listener: socket.socket, size: int, host: str, patience: float) -> None:
        self.listener, self.size, self.host = listener, size, host
        self.until = time.monotonic() + patience
        self.selector = selectors.DefaultSelector()
        self.selector.register(listener, selectors.EVENT_READ)
        self.pending: dict[socket.socket, bytes] = {}
        self.ranks: dict[socket.socket, int] = {}
        self.members: dict[int, socket.socket] = {}
        self.about: dict[int, str] = {}
        #: For each group and number of an exchange what each of its members said.
        self.calls: dict[tuple[str, int], dict[int, Any]] = {}
        self.service: Any = None
        self.failed = False

    def serve(self) -> None:
        """Until the last one has gone, somebody has not come in time, or JAX's service does not start."""
        while not self.failed and (self.service is None or self.members):
            for key, _ in self.selector.select(0.5):
                self._accept() if key.fileobj is self.listener else self._read(key.fileobj)  # type: ignore[arg-type]
            if self.service is None and time.monotonic() > self.until:
                missing = sorted(set(range(self.size)) - set(self.members))
                self._refuse(f"rank {', '.join(map(str, missing))} of {self.size} did not come in time")
                return

    def _accept(self) -> None:
        try:
            connection, _ = self.listener.accept()
            keep_watch(connection)
        except OSError:
            return  # it has gone already
        self.pending[connection] = b""
        self.selector.register(connection, selectors.EVENT_READ)

    def _read(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(2**16)
        except OSError:
            data = b""
        lines = (self.pending[connection] + data).split(b"\n")
        self.pending[connection] = lines.pop()
        try:
            for line in lines:
                self._hear(connection, json.loads(line))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            data = b""  # whoever does not speak as we do is sent away
        if not data or len(self.pending.get(connection, b"")) > LONGEST:
            self._leave(connection)

    def _hear(self, connection: socket.socket, message: dict[str, Any]) -> None:
        if "hello" in message:
            self._welcome(connection, message["hello"], message["size"], message["about"])
            return
        rank = self.ranks[connection]  # whoever has not said hello is sent away
        if "who" in message:
            group, number = message["who"]
            came = sorted(self.calls.get((group, number), {}))
            self._send(connection, line_of(who=[group, number], came=came))
        else:
            self._call(rank, message["group"], message["number"], message["call"])

    def _welcome(self, connection: socket.socket, rank: int, size: int, about: str) -> None:
        if self.service is not None or rank in self.members or size != self.size or not 0 <= rank < size:
            there = " is there already" if rank in self.members else ""
            text = f"rank {rank} of {size}{there} ({about}) does not belong to this group of {self.size}"
            self._send(connection, line_of(refused=text))
            return
        self.ranks[connection], self.members[rank], self.about[rank] = rank, connection, about
        if len(self.members) == self.size:
            try:
                port = self._start_service()
            except Exception as error:  # it has JAX's private names in it: see transport.py
                self._refuse(f"JAX's service does not start ({type(error).__name__}: {error}); {JAX_TRIED}")
                self.failed = True
                return
            for other in list(self.members.values()):
                self._send(other, line_of(service=port))

    def _start_service(self) -> int:
        from jaxlib import _jax

        port, long = free_port(self.host), 10**6
        # Who has died is seen here, sooner than by JAX, which would end all others without a word.
        self.service = _jax.get_distributed_runtime_service(
            f"{in_brackets(self.host or '::')}:{port}", self.size, heartbeat_timeout=long, shutdown_timeout=5
        )
        return port

    def _call(self, rank: int, group: str, number: int, call: dict[str, Any]) -> None:
        said = self.calls.setdefault((group, number), {})
        said[rank] = call
        ranks = [int(r) for r in group.partition(" ")[0].split(",")]
        text = difference(said)
        if text or len(said) == len(ranks):
            del self.calls[group, number]
            answer = line_of(wrong=text, group=group, number=number) if text else line_of(go=number, group=group)
            for r in ranks:
                if r in self.members:
                    self._send(self.members[r], answer)

    def _leave(self, connection: socket.socket) -> None:
        self.selector.unregister(connection)
        self.pending.pop(connection, None)
        connection.close()
        rank = self.ranks.pop(connection, None)
        if rank is None:
            return
        del self.members[rank]
        if self.service is None:
            self._refuse(f"rank {rank} ({self.about[rank]}) has ended before all had come")
            os._exit(1)
        for other in list(self.members.values()):
            self._send(other, line_of(gone=rank, about=self.about[rank]))

    def _refuse(self, text: str) -> None:
        for other in self.members.values():
            self._send(other, line_of(refused=text))

    def _send(self, connection: socket.socket, line: bytes) -> None:
        try:
            connection.sendall(line)
        except OSError:
            return  # it has gone; reading from it says so next


def difference(said: dict[int, dict[str, Any]]) -> str:
    """In words, who is about to do something else than the others; "" if all say the same.

    Everybody's `same` must be equal, and `details` must be where `given` (the form of the arguments, say) is.

    >>> difference({0: {"same": "sum of (3,)"}, 1: {"same": "sum of (3,)"}})
    ''
    >>> difference({0: {"same": "sum of (3,)"}, 2: {"same": "a barrier"}})
    'rank 0 asks for sum of (3,), rank 2 for a barrier'
    """
    first = min(said)
    for rank in sorted(said):
        a, b = said[first], said[rank]
        if a["same"] != b["same"]:
            return f"rank {first} asks for {a['same']}, rank {rank} for {b['same']}"
    known: dict[str, tuple[int, str]] = {}
    for rank in sorted(said):
        given, details = said[rank].get("given", ""), said[rank].get("details", "")
        earlier, expected = known.setdefault(given, (rank, details))
        if details != expected:
            return f"rank {earlier} asks for {said[rank]['same']}, version {expected}, rank {rank} for {details}"
    return ""


def main(host: str, port: int, size: int, patience: float) -> None:
    """Listen at the port, say so on the standard output, and serve."""
    try:
        listener = listener_at(host, port)
    except OSError as error:
        print(f"port {port} of {host or 'this machine'}: {error.strerror}", flush=True)
        sys.exit(1)
    print("ready", flush=True)
    os.close(1)  # nobody waits for the end of this output
    Coordinator(listener, size, host, patience).serve()
    os._exit(0)  # JAX's service would wait for goodbyes that nobody says


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
