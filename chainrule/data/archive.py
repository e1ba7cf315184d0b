"""Unpacking zip and tar archives that may come from anybody.

An archive's members have names, and a name may be meant to reach outside: absolute, with `..`, or through a link that
the archive brings along. Nothing of the kind is unpacked. Nor is more than allowed, and what is unpacked stands under
its final name only when it is complete.
"""

from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple, cast

from chainrule.data.readers.source import FilePath
from chainrule.errors import DataError

MAX_UNPACKED_BYTES = 2**33
"""How much an archive may hold unless told otherwise: 8 GiB."""
MAX_MEMBERS = 2_000_000
"""How many files and folders an archive may hold unless told otherwise."""

_CHUNK = 2**20
_DEEPEST = 100  # folders in folders


class Member(NamedTuple):
    """A file in an archive: its name, with `/` between folders, and a way to read it before the next one comes."""

    name: str
    file: IO[bytes]


def unpack(
    archive: FilePath, folder: FilePath, *, max_bytes: int = MAX_UNPACKED_BYTES, max_members: int = MAX_MEMBERS
) -> Path:
    """Unpack a zip or tar archive (plain or compressed by gzip, xz or bzip2) into a folder that does not exist yet.

    It is unpacked beside the folder under a temporary name, which becomes the folder's when all is there. Only
    ordinary files and folders are unpacked, with ordinary permissions.

    Args:
        archive: the file, whatever its name ends in.
        folder: where to; an empty folder may exist there.
        max_bytes: how much it may hold, unpacked.
        max_members: how many files and folders.

    Returns:
        The folder.

    Raises:
        DataError: it cannot be read, is damaged, holds too much, or has a member that is a link or a device or whose
            name would leave the folder; then nothing is left behind.

    >>> with tempfile.TemporaryDirectory() as where:
    ...     with zipfile.ZipFile(f"{where}/pets.zip", "w") as pets:
    ...         pets.writestr("cats/1.txt", "meow")
    ...     unpack(f"{where}/pets.zip", f"{where}/pets").joinpath("cats", "1.txt").read_text()
    'meow'
    """
    folder = Path(folder)
    temporary = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists() and any(folder.iterdir()):
            raise DataError(f"{folder} exists already and is not empty; {archive} is not unpacked into it.")
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", suffix=".partial", dir=folder.parent))
        for member in members(archive, max_bytes=max_bytes, max_members=max_members):
            target = temporary.joinpath(*PurePosixPath(member.name).parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(target, "xb") as file:  # x: two members of one name are an error
                shutil.copyfileobj(member.file, file, _CHUNK)
        temporary.chmod(0o755)  # mkdtemp's is for the owner alone
        if folder.exists():
            folder.rmdir()
        temporary.rename(folder)
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{archive!s} cannot be unpacked into {folder}: {error}.") from error
    finally:
        if temporary is not None and temporary.exists():
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def members(
    archive: FilePath, *, max_bytes: int = MAX_UNPACKED_BYTES, max_members: int = MAX_MEMBERS
) -> Iterator[Member]:
    """The files in a zip or tar archive one after the other, without unpacking it. Errors as `unpack`."""
    try:
        if not stat.S_ISREG(os.stat(archive).st_mode):
            raise DataError(f"{archive} is not a file.")
        with open(archive, "rb") as file:
            beginning = file.read(6)
            file.seek(0)
            walk = _zip_members if beginning[:2] == b"PK" else _tar_members
            for number, member in enumerate(walk(file, str(archive), beginning, max_bytes)):
                if number >= max_members:
                    raise DataError(f"{archive} has more than {max_members:,} members.")
                if member is not None:
                    yield member
    except DataError:
        raise
    except Exception as error:
        raise _damaged(str(archive), error) from error


def _zip_members(file: IO[bytes], place: str, _: bytes, max_bytes: int) -> Iterator[Member | None]:
    left = max_bytes
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            name = _safe_name(member.filename, place)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise DataError(f"{place}, {member.filename!r}: a link or a device, which is not unpacked.")
            if member.is_dir():
                yield None
                continue
            with archive.open(member) as content:
                limited = _Limited(content, left, f"{place}, {member.filename!r}", max_bytes)
                yield Member(name, io.BufferedReader(limited, _CHUNK))
                left -= limited.position


def _tar_members(file: IO[bytes], place: str, beginning: bytes, max_bytes: int) -> Iterator[Member | None]:
    # Headers of 512 bytes, and padding, come on top of the content.
    stream = _Limited(_decompressed(file, beginning), max_bytes + max_bytes // 4 + _CHUNK, place, max_bytes)
    with tarfile.open(fileobj=stream, mode="r:") as archive:
        for member in archive:
            archive.members.clear()  # type: ignore[attr-defined]  # else it remembers every one
            name = _safe_name(member.name, place)
            if member.isdir():
                yield None
                continue
            if not member.isreg() or member.issparse():
                raise DataError(f"{place}, {member.name!r}: a link or a device; only files and folders are unpacked.")
            content = archive.extractfile(member)
            assert content is not None
            limited = _Limited(content, member.size, f"{place}, {member.name!r}", max_bytes)
            yield Member(name, io.BufferedReader(limited, _CHUNK))
        # tarfile takes a damaged header for the end; the true end is a block of zeros. What follows is read too, since
        # the checksum of the compression stands behind everything.
        if stream.latest != bytes(tarfile.BLOCKSIZE):
            raise DataError(f"{place} is damaged or cut short at byte {stream.position:,} of what is inside.")
        while stream.read(_CHUNK):
            pass


def _decompressed(file: IO[bytes], beginning: bytes) -> IO[bytes]:
    import bz2  # only here: with few archives, and not in every build of Python
    import gzip
    import lzma

    if beginning[:2] == b"\x1f\x8b":
        return cast(IO[bytes], gzip.GzipFile(fileobj=file))
    if beginning == b"\xfd7zXZ\0":
        return lzma.LZMAFile(file)
    return bz2.BZ2File(file) if beginning[:3] == b"BZh" else file


def _safe_name(name: str, place: str) -> str:
    """The member's name if it stays inside on every system: Windows' separators and drives count too."""
    parts = name.replace("\\", "/").rstrip("/").split("/")
    if name[:1] in ("/", "\\") or ".." in parts or ":" in name or "\0" in name or not name.strip("./\\"):
        if name in (".", "./"):
            return name
        raise DataError(f"{place}: the member {name!r} would be unpacked outside of the folder.")
    if len(parts) > _DEEPEST:
        raise DataError(
            f"{place}: the member {name[:60]!r}… lies {len(parts) - 1:,} folders deep; at most {_DEEPEST} are made."
        )
    return "/".join(part for part in parts if part not in ("", "."))


def _damaged(place: str, error: Exception) -> DataError:
    """The error for an archive that something failed to read: two formats and four decompressors have many ways."""
    return DataError(f"{place} is no zip or tar archive, or is damaged ({error or type(error).__name__}).")


class _Limited(io.RawIOBase):
    """A stream read from beginning to end, of which only so many bytes may be read, and only so many at once.

    tarfile reads an extended header as a whole, however large it says it is: the limit at once refuses that.
    It also goes back by one byte after each member, which a compressed stream does by beginning anew; here the last
    byte is kept.
    """

    _AT_ONCE = 2**24

    def __init__(self, source: IO[bytes], limit: int, place: str, max_bytes: int) -> None:
        self.source, self.limit, self.place, self.max_bytes = source, limit, place, max_bytes
        self.position = 0
        self.latest = b""
        self._behind = False

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position - self._behind

    def read(self, size: int = -1) -> bytes:
        if size == 0:
            return b""
        if self._behind:
            self._behind = False
            return self.latest[-1:] + (self.read(size - 1) if size != 1 else b"")
        if size < 0 or size > self._AT_ONCE:
            raise DataError(f"{self.place}, byte {self.position:,}: a header that claims to be {size:,} bytes long.")
        try:
            content = self.source.read(size)
        except DataError:
            raise
        except Exception as error:
            raise _damaged(self.place, error) from error
        self.position += len(content)
        if self.position > self.limit:
            raise DataError(
                f"{self.place}: more than {self.max_bytes:,} bytes when unpacked. If it is meant to be so large, raise "
                "max_bytes."
            )
        self.latest = content
        return content

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        content = self.read(min(len(buffer), _CHUNK))
        buffer[: len(content)] = content
        return len(content)

    def seek(self, position: int, whence: int = 0) -> int:
        if whence != 0 or position < self.position - 1:
            raise DataError(f"{self.place}: the archive goes backwards at byte {self.position:,}.")
        self._behind = False
        if position == self.position - 1:
            self._behind = True
        while self.position < position:
            if not self.read(min(position - self.position, _CHUNK)):
                break
        return self.tell()
