"""`chainrule launch`: start a script several times, on one machine or on several, and watch.

Each process finds in its environment which one it is (`RANK`, `LOCAL_RANK`), of how many (`WORLD_SIZE`), and where the
first one listens (`MASTER_ADDR`, `MASTER_PORT`). When one dies the launcher says which and how, gives the others a
moment to end by their own error, and ends them. On several machines each has a launcher; that of the first knows them
all (`Hosts`), and what happens on one ends all.
"""

from __future__ import annotations

import json
import operator
import os
import queue
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any, NamedTuple

from chainrule.distributed.coordinator import (
    LONGEST,
    free_port,
    in_brackets,
    keep_watch,
    line_of,
    listener_at,
    own_host,
    reach,
)
from chainrule.distributed.group import ProcessGroupError
from chainrule.distributed.objects import SECRET

#: Seconds that the other processes have to end by their own error, and then after being asked to (SIGTERM).
OWN_END, ASKED_END = 8.0, 2.0
#: The exit code of a process that was asked to stop, and seconds that the others then have to save what they have.
INTERRUPTED, SAVING = 130, 60.0
#: Seconds until the launchers of all machines must have come, and until one that has come must have said which it is.
GATHERING, HELLO = 300.0, 5.0


class Job(NamedTuple):
    """What is started.

    Attributes:
        command: the command of each process.
        processes: how many on this machine.
        nodes, node: how many machines, and which this is.
        address, port: where the launcher of the first machine listens, if there are several.
    """

    command: Sequence[str]
    processes: int
    nodes: int = 1
    node: int = 0
    address: str = "127.0.0.1"
    port: int = 29500


class Place(NamedTuple):
    """Where this machine's processes stand among all.

    Attributes:
        first: the rank of the first.
        size: how many there are in all.
        address, port: where rank 0 listens.
        secret: what the processes sign with; "" leaves it to the environment.
    """

    first: int
    size: int
    address: str
    port: int
    secret: str = ""


def run(job: Job) -> int:
    """Start, watch, and answer with the exit code: 0, or that of the first process that failed (not 0 in any case).

    Raises ProcessGroupError if not all machines come.
    """
    hosts = Hosts(job) if job.nodes > 1 else None
    place = hosts.gather() if hosts is not None else _here(job)
    children = [Child(job, place, local) for local in range(job.processes)]

    def pass_on(*_: Any) -> None:
        for child in children:
            child.end(signal.SIGTERM)

    handler = signal.signal(signal.SIGTERM, pass_on)
    try:
        code = _watched(children, hosts)
    finally:
        signal.signal(signal.SIGTERM, handler)
        for child in children:
            child.end(signal.SIGKILL)
        for child in children:
            child.close()
        if hosts is not None:
            hosts.close()
    return code


def _here(job: Job) -> Place:
    """All processes on this machine."""
    return Place(0, job.processes, "127.0.0.1", free_port("127.0.0.1"), secrets.token_hex(16))


def _watched(children: Sequence[Child], hosts: Hosts | None) -> int:
    """Until all have ended, or one has failed and the others have been ended."""
    done_said = False
    while True:
        try:
            failed = _first_failed(children)
            if failed is not None:
                text = failed.death()
                _say(f"{text}; the others are ended")
                if hosts is not None:
                    hosts.tell(text)
                _end_all(children, SAVING if failed.exit_code() == INTERRUPTED else OWN_END)
                return failed.exit_code()
            trouble = hosts.trouble() if hosts is not None else ""
            if trouble:
                _say(f"{trouble}; the processes here are ended")
                _end_all(children)
                return 1
            if all(child.process.poll() == 0 for child in children):
                if hosts is None or hosts.all_done(done_said):
                    return 0
                done_said = True
            time.sleep(0.05)
        except KeyboardInterrupt:  # the processes got it too, and stop where nothing is half done
            _say("interrupted; waiting for the processes (once more ends them)")
            try:
                for child in children:
                    child.process.wait()
            except KeyboardInterrupt:
                _end_all(children)
            return INTERRUPTED


def _first_failed(children: Sequence[Child]) -> Child | None:
    """Who failed; the others may have failed because of it, so one that was killed counts before one with an error."""
    codes = [(child.process.poll(), child) for child in children]
    failed = [(code >= 0, child.rank, child) for code, child in codes if code not in (None, 0) and code is not None]
    return min(failed, key=lambda entry: entry[:2])[2] if failed else None


def _end_all(children: Sequence[Child], patience: float = OWN_END) -> None:
    """Wait a moment, ask, and then end them."""
    for seconds, number in (patience, signal.SIGTERM), (ASKED_END, signal.SIGKILL):
        until = time.monotonic() + seconds
        while time.monotonic() < until and any(child.process.poll() is None for child in children):
            time.sleep(0.05)
        for child in children:
            child.end(number)


def _say(text: str) -> None:
    print(f"chainrule launch: {text}.", file=sys.stderr, flush=True)


class Child:
    """One process, whose lines are passed on with its rank before them."""

    def __init__(self, job: Job, place: Place, local: int) -> None:
        self.rank = place.first + local
        self.process = subprocess.Popen(
            [*job.command], env=environment(job, place, local, os.environ), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        pairs = (self.process.stdout, sys.stdout), (self.process.stderr, sys.stderr)
        self.threads = [threading.Thread(target=self._pass_on, args=pair, daemon=True) for pair in pairs]
        for thread in self.threads:
            thread.start()

    def _pass_on(self, source: IO[bytes], target: Any) -> None:
        with source:
            for line in source:
                try:
                    target.write(f"[{self.rank}] {line.decode(errors='replace')}")
                    target.flush()
                except OSError:  # nobody reads any longer (`… | head`); closed, the process hears of it when it writes
                    return

    def end(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def close(self) -> None:
        """Wait for its end, and for its last lines (what it has started may hold the pipe open)."""
        self.process.wait()
        for thread in self.threads:
            thread.join(1.0)

    def death(self) -> str:
        """In words, how it ended."""
        code = self.process.poll() or 0
        name = f"rank {self.rank} (process {self.process.pid} on {socket.gethostname()})"
        if code >= 0:
            return f"{name} ended with exit code {code}"
        try:
            return f"{name} was killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"{name} was killed by signal {-code}"

    def exit_code(self) -> int:
        """As a shell says it: 128 and the signal's number."""
        code = self.process.poll() or 0
        return code if code > 0 else 128 - code


def environment(job: Job, place: Place, local: int, before: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process; the processors of the machine are shared out, unless that is said already."""
    threads = max(1, (os.cpu_count() or 1) // job.processes)
    return {
        **{"OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"},
        **({SECRET: place.secret} if place.secret else {}), **before,
        "RANK": str(place.first + local), "LOCAL_RANK": str(local), "WORLD_SIZE": str(place.size),
        "LOCAL_WORLD_SIZE": str(job.processes), "GROUP_RANK": str(job.node),
        "MASTER_ADDR": place.address, "MASTER_PORT": str(place.port),
    }  # fmt: skip


class Hello(NamedTuple):
    """What the launcher of another machine says first.

    Attributes:
        node, nodes: which machine it is, and of how many.
        processes: how many it starts.
        file: what it says afterwards.
    """

    node: int
    nodes: int
    processes: int
    file: IO[bytes]


def _greeting(connection: socket.socket) -> Hello:
    """The first line of a connection. Raises OSError, ValueError or the like if whoever came is no launcher."""
    connection.settimeout(HELLO)
    keep_watch(connection)
    file = connection.makefile("rb")
    said = json.loads(file.readline(LONGEST))
    node, nodes, processes = (operator.index(said[name]) for name in ("node", "nodes", "processes"))
    if processes < 1:
        raise ValueError(f"a launcher starts at least 1 process, got {processes}.")
    return Hello(node, nodes, processes, file)


class Hosts:
    """The launchers of all machines: the first one listens, the others are connected to it.

    Each says how many processes it has, and at the end "done" or what has died; the first one passes on what has died.
    A connection that closes before that is a launcher that has died with its machine, or by itself.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.connections: dict[int, socket.socket] = {}
        self.done: set[int] = set()
        self._heard: queue.SimpleQueue[tuple[int, dict[str, Any] | None]] = queue.SimpleQueue()

    def gather(self) -> Place:
        """Wait for all. Raises ProcessGroupError if they do not come."""
        return self._listen() if self.job.node == 0 else self._join()

    def _listen(self) -> Place:
        job = self.job
        host = own_host(job.address)
        try:
            listener = listener_at(host, job.port)
        except OSError as error:
            raise ProcessGroupError(
                f"launch: port {job.port}: {error.strerror}. Choose another --master-port."
            ) from None
        _say(f"waiting at port {job.port} for the launchers of all {job.nodes} machines")
        counts = {0: job.processes}
        files = {}
        until = time.monotonic() + GATHERING
        with listener:
            while len(counts) < job.nodes:
                listener.settimeout(max(until - time.monotonic(), 0.01))
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    missing = sorted(set(range(job.nodes)) - set(counts))
                    raise ProcessGroupError(f"launch: nodes {missing} did not come within {GATHERING:g} s.") from None
                try:
                    hello = _greeting(connection)
                    if hello.nodes != job.nodes or hello.node in counts or not 0 < hello.node < job.nodes:
                        there = " is there already and" if hello.node in counts else ""
                        text = f"node {hello.node} of {hello.nodes}{there} does not belong to these {job.nodes}"
                        connection.sendall(line_of(refused=text))
                        connection.close()
                        continue
                except (OSError, ValueError, KeyError, TypeError, RecursionError):
                    connection.close()  # not one of ours
                    continue
                counts[hello.node], self.connections[hello.node] = hello.processes, connection
                files[hello.node] = hello.file
        size, first = sum(counts.values()), 0
        port = free_port(host)
        for node in range(job.nodes):
            if node:
                self.connections[node].sendall(line_of(first=first, size=size, port=port))
                self._follow(node, files[node])
            first += counts[node]
        return Place(0, size, job.address, port)

    def _join(self) -> Place:
        job = self.job
        where = f"{in_brackets(job.address)}:{job.port}"
        _say(f"looking for the launcher of node 0 at {where}")
        try:
            connection = reach((job.address, job.port), GATHERING)
        except OSError as error:
            raise ProcessGroupError(
                f"launch: nobody answers at {where} ({error}). Start the same command there, with --node-rank 0."
            ) from None
        connection.settimeout(GATHERING)
        connection.sendall(line_of(node=job.node, nodes=job.nodes, processes=job.processes))
        file = connection.makefile("rb")
        try:
            answer = json.loads(file.readline(LONGEST) or "{}")
        except (OSError, ValueError) as error:
            raise ProcessGroupError(f"launch: the launcher of node 0 does not answer at {where} ({error}).") from None
        if "first" not in answer:
            raise ProcessGroupError(f"launch: {answer.get('refused', 'the launcher of node 0 has ended')}.")
        self.connections[0] = connection
        self._follow(0, file)
        return Place(answer["first"], answer["size"], job.address, answer["port"])

    def _follow(self, node: int, file: IO[bytes]) -> None:
        self.connections[node].settimeout(None)

        def follow() -> None:
            try:
                for line in file:
                    self._heard.put((node, json.loads(line)))
            except (OSError, ValueError) as error:
                self._heard.put((node, {"died": f"the connection to the launcher of node {node} broke: {error}"}))
            self._heard.put((node, None))

        threading.Thread(target=follow, daemon=True).start()

    def trouble(self) -> str:
        """What has died elsewhere since the last time; "" if nothing has."""
        while not self._heard.empty():
            node, message = self._heard.get()
            if message is None:
                if node in self.done:
                    continue
                text = f"the launcher of node {node} has ended"
            elif "done" in message:
                self.done.add(node)
                continue
            else:
                text = message["died"]
            self.tell(text)
            return text
        return ""

    def tell(self, text: str) -> None:
        """Say to the others what has died."""
        self._send(line_of(died=text))

    def all_done(self, said: bool) -> bool:
        """Whether the processes of all machines have ended well, as far as is known here; ours have."""
        if not said:
            self._send(line_of(done=True))
        return self.job.node != 0 or len(self.done) == self.job.nodes - 1

    def _send(self, line: bytes) -> None:
        for node, connection in self.connections.items():
            try:
                connection.sendall(line)
            except OSError as error:  # the thread that follows hears of its end
                self._heard.put((node, {"died": f"the launcher of node {node} does not answer: {error}"}))

    def close(self) -> None:
        """End the connections."""
        for connection in self.connections.values():
            connection.close()
