"""One run in a folder: a second one is refused, and what a killed one left half written is removed."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import IO

from chainrule.data.starting import keep_from_workers
from chainrule.errors import CheckpointError

#: What `write_atomically` writes to before it renames.
_HALF_WRITTEN = re.compile(r"\..*\.\d+\.writing(\..*)?")


class RunLock:
    """A lock on a folder, held by one process at a time. The system lets go of it when the process ends in any way.

    A loader's workers have no part in it. Another process that was forked while it was held has: it goes on until both
    have ended.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> first = RunLock(folder); first.take()
    >>> RunLock(folder).take()
    Traceback (most recent call last):
        ...
    chainrule.errors.CheckpointError: ...: another run is writing here (process ...). Wait for its end, or choose ...
    >>> first.release()
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / ".lock"
        self._file: IO[bytes] | None = None
        self._depth = 0

    def take(self) -> None:
        """Lock the folder, which is made; remove half-written files in it. Who has the lock may take it again.

        Raises CheckpointError if somebody else has it.
        """
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = self._locked()
            keep_from_workers(self._file)
            for path in self.folder.iterdir():
                if _HALF_WRITTEN.fullmatch(path.name):
                    path.unlink(missing_ok=True)
        self._depth += 1

    def release(self) -> None:
        """Let go of it, if this is the last of those who took it."""
        self._depth = max(self._depth - 1, 0)
        if self._file is None or self._depth:
            return
        if os.name == "posix":  # while it is held: after that the file may be another's
            self.path.unlink(missing_ok=True)
        self._file.close()
        self._file = None

    def _locked(self) -> IO[bytes]:
        while True:
            file = open(self.path, "a+b")  # noqa: SIM115  # it stays open as long as the lock is held
            try:
                _lock(file)
            except OSError as error:
                file.seek(0)
                process = file.read(20).decode("ascii", "replace") if os.name == "posix" else ""
                file.close()
                raise CheckpointError(
                    f"{self.folder}: another run is writing here (process {process or 'unknown'}). Wait for its end, "
                    "or choose another folder."
                ) from error
            if self._is_there(file):
                file.truncate(0)
                file.write(str(os.getpid()).encode())
                file.flush()
                return file
            file.close()  # its holder removed it in between

    def _is_there(self, file: IO[bytes]) -> bool:
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(file.fileno()))
        except FileNotFoundError:
            return False


if os.name == "posix":
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

else:
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
