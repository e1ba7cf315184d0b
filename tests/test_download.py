"""Downloads from a server on this machine: checked, resumed, and complete under their name or not there."""

from __future__ import annotations

import hashlib
import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chainrule.data.download import download, file_sha256
from chainrule.errors import DataError

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT at any path; what it does wrong is set by the test."""

    content = CONTENT
    knows_ranges = True
    breaks_after: int | None = None
    says_length = True
    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/data.bin"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        content, size = self.server.content, len(self.server.content)
        if self.server.status != 200:
            self.send_error(self.server.status)
            return
        if wanted and self.server.knows_ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= size:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{size}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            content = content[start:]
        else:
            self.send_response(200)
        if self.server.says_length:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.server.breaks_after is not None and self.server.breaks_after < len(content):
            content = content[: self.server.breaks_after]
            self.server.breaks_after = None
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_file_comes_once_and_is_checked(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    path = download(server.url, tmp_path / "new" / "data.bin", SHA256, progress=lambda *now: seen.append(now))
    assert path.read_bytes() == CONTENT and [p.name for p in path.parent.iterdir()] == ["data.bin"]
    assert seen[-1] == (len(CONTENT), len(CONTENT)) and file_sha256(path) == SHA256
    assert download(server.url, path, SHA256.upper()) == path and len(server.ranges) == 1, "it is there already"
    path.write_bytes(b"damaged")
    download(server.url, path, SHA256)
    assert path.read_bytes() == CONTENT and len(server.ranges) == 2


def test_a_broken_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.breaks_after = 300_000
    path = tmp_path / "data.bin"
    with pytest.raises(DataError, match="the connection broke after 300,000 of 1,024,000 bytes; the next call goes on"):
        download(server.url, path, SHA256)
    assert [p.name for p in tmp_path.iterdir()] == ["data.bin.partial"]
    download(server.url, path, SHA256)
    assert server.ranges == [None, "bytes=300000-"] and path.read_bytes() == CONTENT
    assert [p.name for p in tmp_path.iterdir()] == ["data.bin"]


def test_a_server_without_ranges_sends_everything_again(server: Server, tmp_path: Path) -> None:
    server.knows_ranges = False
    (tmp_path / "data.bin.partial").write_bytes(CONTENT[:1000])
    assert download(server.url, tmp_path / "data.bin", SHA256).read_bytes() == CONTENT


def test_a_partial_file_of_something_else_is_thrown_away(server: Server, tmp_path: Path) -> None:
    for old in (b"something else", CONTENT + b"more", bytes(len(CONTENT))):
        (tmp_path / "data.bin.partial").write_bytes(old)
        path = download(server.url, tmp_path / "data.bin", SHA256)
        assert path.read_bytes() == CONTENT
        path.unlink()
    (tmp_path / "data.bin.partial").write_bytes(CONTENT)  # whole already: only its name was missing
    assert download(server.url, tmp_path / "data.bin", SHA256).read_bytes() == CONTENT


def test_a_wrong_checksum_is_an_error_and_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT[:-1] + b"!"
    with pytest.raises(DataError, match=rf"what came has the SHA-256 [0-9a-f]{{64}}, expected {SHA256}"):
        download(server.url, tmp_path / "data.bin", SHA256)
    assert not list(tmp_path.iterdir())


def test_too_much_is_refused_announced_or_not(server: Server, tmp_path: Path) -> None:
    for server.says_length in (True, False):
        with pytest.raises(DataError, match=r"more than max_bytes = 1,000"):
            download(server.url, tmp_path / "data.bin", max_bytes=1000)
        assert not (tmp_path / "data.bin").exists()
        assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= 1000


def test_the_next_address_is_tried(server: Server, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}/data.bin"
    path = download([nobody, server.url], tmp_path / "data.bin", SHA256)
    assert path.read_bytes() == CONTENT
    with pytest.raises(DataError) as caught:
        download([nobody, nobody], tmp_path / "other.bin", SHA256)
    message = str(caught.value)
    assert "other.bin could not be downloaded" in message and "is this machine online?" in message
    assert str(tmp_path / "other.bin") in message and message.count(nobody) == 2


def test_what_a_server_refuses_is_told(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(DataError, match=r"data\.bin answered 404 \(Not Found\)"):
        download(server.url, tmp_path / "data.bin")


def test_a_server_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(DataError, match="no answer in time|timed out"):
            download(url, tmp_path / "data.bin", timeout=0.2)


def test_only_the_web_is_an_address(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="begins with http"):
        download("file:///etc/passwd", tmp_path / "data.bin")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="cannot be written"):
        download("http://127.0.0.1:1/", tmp_path / "file" / "data.bin")
