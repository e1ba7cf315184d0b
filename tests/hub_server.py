"""A hub of one repository on this machine: what Hugging Face's client asks for, answered from a folder."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def hub(folder: Path, name: str) -> Iterator[tuple[str, list[str]]]:
    """The address of a server that has the files of `folder` as the repository `name`, and the paths asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(body=True)

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def log_message(self, *args: Any) -> None:
            pass

        def answer(self, body: bool) -> None:
            path = self.path.partition("?")[0]
            asked.append(path)
            files = sorted(file.name for file in folder.iterdir())
            if path.startswith(f"/api/models/{name}"):
                about = {"id": name, "sha": COMMIT, "siblings": [{"rfilename": file} for file in files]}
                listed = [
                    {"type": "file", "path": f, "size": (folder / f).stat().st_size, "oid": COMMIT} for f in files
                ]
                content = json.dumps(listed if "/tree/" in path else about).encode()
                self.reply(200, content, body, "application/json")
                return
            prefix = f"/{name}/resolve/"
            file = folder / path.rpartition("/")[2]
            if path.startswith(prefix) and file.is_file():
                content = file.read_bytes()
                self.reply(200, content, body, "application/octet-stream", hashlib.sha256(content).hexdigest())
                return
            self.reply(
                404, b"", body, "text/plain", error="EntryNotFound" if path.startswith(prefix) else "RepoNotFound"
            )

        def reply(self, code: int, content: bytes, body: bool, kind: str, tag: str = "", error: str = "") -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("X-Repo-Commit", COMMIT)
            if tag:
                self.send_header("ETag", f'"{tag}"')
            if error:
                self.send_header("X-Error-Code", error)
            self.end_headers()
            if body:
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
