"""Strangers at the ports of a launcher and a coordinator, what is signed, and who no longer reads."""

from __future__ import annotations

import json
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from chainrule.distributed import ProcessGroupError, launching
from chainrule.distributed.coordinator import Coordinator, free_port, line_of
from chainrule.distributed.launching import Hosts, Job
from chainrule.distributed.member import Member
from chainrule.distributed.objects import SECRET, packed, unpacked

#: What somebody may send who is none of ours.
STRANGE = [
    b"GET / HTTP/1.1\r\n\r\n", b"5\n", b"[]\n", b"{}\n", b"\xff\xfe\n", b"[" * 60_000 + b"\n", b"x" * 100_000,
    b'{"node": "1", "nodes": 2, "processes": 1}\n', b'{"node": 1, "nodes": 2, "processes": -1}\n',
    b'{"hello": [], "size": 2, "about": ""}\n', b'{"who": ["0,1", 1]}\n', b'{"group": "0,1", "number": 1, "call": {}}\n',
]  # fmt: skip


def send(port: int, data: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sendall(data)
    return connection


def answer(connection: socket.socket) -> dict[str, Any]:
    line = b""
    while not line.endswith(b"\n"):
        more = connection.recv(1)
        assert more, "the connection was closed"
        line += more
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_launcher_waits_for_its_own_whoever_else_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "HELLO", 0.2)
    monkeypatch.setattr(launching, "GATHERING", 60.0)
    port = free_port("127.0.0.1")
    found: list[Any] = []
    hosts = [Hosts(Job((), 2, 2, node, "127.0.0.1", port)) for node in (0, 1)]
    first = threading.Thread(target=lambda: found.append(hosts[0].gather()))
    first.start()
    strangers = []
    for data in [b"", *STRANGE]:  # the first of them says nothing at all
        while True:
            try:
                strangers.append(send(port, data))
                break
            except ConnectionRefusedError:
                assert first.is_alive()
            except OSError:  # sent away while it still spoke
                break
    refused = send(port, line_of(node=3, nodes=4, processes=1))
    assert "does not belong" in answer(refused)["refused"]
    second = hosts[1].gather()
    first.join(60)
    assert (found[0].first, second.first, found[0].size, second.size) == (0, 2, 4, 4)
    for connection in [*strangers, refused, *hosts]:
        connection.close()


def test_who_answers_a_launcher_must_be_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def talk() -> None:
            connection, _ = other.accept()
            with connection:
                connection.sendall(b"SSH-2.0-OpenSSH\r\n")

        threading.Thread(target=talk, daemon=True).start()
        port = other.getsockname()[1]
        with pytest.raises(ProcessGroupError, match=f"node 0 does not answer at 127.0.0.1:{port}"):
            Hosts(Job((), 1, 2, 1, "127.0.0.1", port)).gather()


@pytest.fixture
def coordinator(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of one for two members, without JAX's service."""

    def without_jax(self: Any) -> int:
        self.service = object()
        return 1

    monkeypatch.setattr(Coordinator, "_start_service", without_jax)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=Coordinator(listener, 2, "127.0.0.1", 60).serve, daemon=True)
    thread.start()
    with listener:
        yield listener.getsockname()[1]
        thread.join(60)
    assert not thread.is_alive()


def test_a_coordinator_serves_its_members_whoever_else_comes(coordinator: int) -> None:
    members = []
    for rank in (0, 1):
        for data in STRANGE:
            stranger = send(coordinator, data)
            stranger.close()
        members.append(send(coordinator, line_of(hello=rank, size=2, about=f"member {rank}")))
    assert [answer(member) for member in members] == [{"service": 1}] * 2
    late = send(coordinator, line_of(hello=1, size=2, about="late"))
    assert "is there already" in answer(late)["refused"]
    for rank, member in enumerate(members):
        for data in STRANGE:
            send(coordinator, data).close()
        member.sendall(line_of(group="0,1", number=1, call={"same": "a barrier"}))
        if rank == 0:
            member.sendall(line_of(who=["0,1", 1]))
            assert answer(member)["came"] == [0]
    assert [answer(member)["go"] for member in members] == [1, 1]
    for member in [late, *members]:
        member.close()


def test_jax_still_has_the_private_names_that_processes_need() -> None:
    """If this fails, JAX has changed: `transport.py` and `coordinator.py` use what is called here, in this way."""
    pytest.importorskip("jax")
    code = f"""
from jax._src import distributed, xla_bridge
from jax._src.lib import _jax
import jaxlib._jax
state = distributed.global_state
assert state.client is None and not xla_bridge.backends_are_initialized()
assert {{"process_id", "num_processes", "coordinator_address"}} <= set(dir(state))
address = "127.0.0.1:{free_port("127.0.0.1")}"
service = jaxlib._jax.get_distributed_runtime_service(address, 1, heartbeat_timeout=10**6, shutdown_timeout=5)
client = _jax.get_distributed_runtime_client(
    address, 0, init_timeout=60, heartbeat_timeout=10**6, shutdown_on_destruction=False, use_compression=True
)
client.connect()
print("connected", flush=True)
import os; os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "connected\n", done.stderr


def test_a_service_that_does_not_start_is_told_to_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_its_name(self: Any) -> int:
        raise AttributeError("no such function")

    monkeypatch.setattr(Coordinator, "_start_service", without_its_name)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=Coordinator(listener, 1, "127.0.0.1", 60).serve, daemon=True)
        thread.start()
        member = send(listener.getsockname()[1], line_of(hello=0, size=1, about="member 0"))
        assert "does not start (AttributeError: no such function)" in answer(member)["refused"]
        thread.join(60)
    member.close()


def test_nothing_is_opened_that_the_group_has_not_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    monkeypatch.setattr(pickle, "loads", lambda data: opened.append(data))
    monkeypatch.setenv(SECRET, "of strangers")
    row = packed({"a": 1})
    monkeypatch.setenv(SECRET, "ours")
    for wrong in (row, b"", b"\xff" * 40, row[:-1], packed([1])[:-1] + b"?"):
        with pytest.raises(ProcessGroupError, match=f"rank 3 is not signed.*{SECRET}"):
            unpacked(wrong, rank=3)
    assert not opened
    unpacked(packed([1]), rank=3)
    assert len(opened) == 1


def test_an_exchange_that_never_ends_is_told() -> None:
    member = Member.__new__(Member)
    member._changed, member.gone, member.lost = threading.Condition(), {}, ""
    with pytest.raises(ProcessGroupError, match=r"a sum: all have begun .* within 0\.1 seconds .*`timeout`"):
        member.watch((0, 1), "a sum", lambda: True, threading.Event(), 0.1)


def test_a_launcher_whose_reader_has_gone_ends() -> None:
    """As in `chainrule launch … | head -1`: the process must not wait for ever with a full pipe."""
    code = "import sys\nfor i in range(10**6): print('x' * 100)"
    command = [
        sys.executable,
        "-c",
        f"from chainrule.distributed.launching import *; sys.exit(run(Job([sys.executable, '-c', {code!r}], 1)))",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"[0] " + b"x" * 100 + b"\n"
    try:
        assert process.wait(60) != 0
    finally:
        process.kill()
        process.wait()


def test_who_was_out_of_step_once_exchanges_nothing_more(coordinator: int) -> None:
    """One of both has a barrier too many: what both say afterwards is the same again, and belongs to different things."""
    said = {0: ["a sum", "a barrier", "a sum", "a sum"], 1: ["a sum", "a sum", "a sum", "a barrier"]}
    errors: dict[int, list[str]] = {0: [], 1: []}

    def take_part(rank: int) -> None:
        member = Member(("127.0.0.1", coordinator), rank, 2, 30)
        for what in said[rank]:
            try:
                member.agree((0, 1), {"same": what}, 30)
            except ProcessGroupError as error:
                errors[rank].append(str(error))
        member.agree((rank,), {"same": "something alone"}, 30)  # others are not concerned
        member._socket.shutdown(socket.SHUT_RDWR)

    threads = [threading.Thread(target=take_part, args=(rank,)) for rank in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    different = "processes do different things: rank 0 asks for a barrier, rank 1 for a sum."
    for found in errors.values():
        assert len(found) == 3 and found[0] == different
        assert found[1].startswith(f"{different} That was 1 exchange ago") and "start all again" in found[1]
        assert found[2].startswith(f"{different} That was 2 exchanges ago")
