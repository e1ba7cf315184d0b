"""Downloading a file once: checked, resumed where it was cut off, and never half under its own name."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from chainrule.data.readers.source import FilePath
from chainrule.errors import DataError

MAX_DOWNLOAD_BYTES = 2**33
"""How large a download may be unless told otherwise: 8 GiB."""

_CHUNK = 2**18

Progress = Callable[[int, int | None], None]
"""Called with the bytes so far and in all (None where the server does not say)."""


def download(
    urls: str | Sequence[str],
    path: FilePath,
    sha256: str | None = None,
    *,
    max_bytes: int = MAX_DOWNLOAD_BYTES,
    timeout: float = 30.0,
    progress: Progress | None = None,
) -> Path:
    """Download a file, unless it is there already.

    What arrives is written to `<path>.partial`, which becomes `path` when it is complete and its SHA-256 is right. If
    the connection breaks, the next call goes on from there.

    Args:
        urls: where from (http or https); several are tried in order.
        path: where to.
        sha256: the checksum, 64 hexadecimal digits; None takes what comes.
        max_bytes: how large the file may be.
        timeout: seconds without an answer after which a server is given up.
        progress: told about every piece.

    Returns:
        The path.

    Raises:
        DataError: no address could be reached, the connection broke, the file is too large, or has another checksum.
    """
    path = Path(path)
    addresses = [urls] if isinstance(urls, str) else list(urls)
    for url in addresses:
        if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            raise ValueError(f"an address begins with http:// or https://, got {url!r}.")
    try:
        if path.exists() and (sha256 is None or file_sha256(path) == sha256.lower()):
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}.") from error
    failures = []
    for url in addresses:
        try:
            _fetch_checked(url, path, sha256, max_bytes, timeout, progress)
            return path
        except (OSError, http.client.HTTPException, ValueError) as error:
            failures.append(_describe(url, error))
    raise DataError(
        f"{path.name} could not be downloaded. {' '.join(failures)} Without a connection, get the file by other "
        f"means and put it at {path}."
    )


def file_sha256(path: FilePath) -> str:
    """The SHA-256 of a file's content, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch_checked(
    url: str, path: Path, sha256: str | None, max_bytes: int, timeout: float, progress: Progress | None
) -> None:
    """Fetch into the partial file and give it its name if its checksum is right.

    What was begun earlier may be of another file, so that a wrong sum after going on is no verdict yet.
    """
    partial = path.with_name(path.name + ".partial")
    for _ in range(2):
        resumed = _fetch(url, partial, max_bytes, timeout, progress)
        found = sha256 and file_sha256(partial)
        if sha256 is None or found == sha256.lower():
            os.replace(partial, path)
            return
        partial.unlink()
        if not resumed:
            break
    raise DataError(f"what came has the SHA-256 {found}, expected {sha256}")


def _fetch(url: str, partial: Path, max_bytes: int, timeout: float, progress: Progress | None) -> bool:
    """Fetch what is not there yet. Whether something was there."""
    start = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "chainrule", "Accept-Encoding": "identity"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and start:  # nothing of that range: the partial file is whole, or of another file
            whole = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
            if whole and int(whole[1]) == start:
                return True
            partial.unlink()
            return _fetch(url, partial, max_bytes, timeout, progress)
        raise
    with response:
        begins = re.match(rf"bytes {start}-", response.headers.get("Content-Range", ""))
        if not (start and response.status == 206 and begins):
            start = 0  # a server that knows no ranges sends everything again
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdecimal() else None
        if (total or 0) > max_bytes:
            raise DataError(f"the file has {total:,} bytes, more than max_bytes = {max_bytes:,}")
        done = start
        with open(partial, "ab" if start else "wb") as file:
            while piece := response.read1(_CHUNK):
                done += len(piece)
                if done > max_bytes:
                    raise DataError(f"the file has more than max_bytes = {max_bytes:,}")
                file.write(piece)
                if progress is not None:
                    progress(done, total)
    if total is not None and done < total:
        raise DataError(f"the connection broke after {done:,} of {total:,} bytes; the next call goes on from there")
    return start > 0


def _describe(url: str, error: Exception) -> str:
    """One sentence on why an address gave nothing."""
    if isinstance(error, urllib.error.HTTPError):
        return f"{url} answered {error.code} ({error.reason})."
    if isinstance(error, urllib.error.URLError):
        host = urllib.parse.urlsplit(url).hostname
        return f"{url}: {host} cannot be reached ({error.reason}); is this machine online?"
    if isinstance(error, TimeoutError):
        return f"{url}: no answer in time."
    return f"{url}: {error}."
