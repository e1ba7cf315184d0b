"""Files that were damaged at random: a reader reads them, or says what is wrong with them, and nothing else.

Each format starts from a sound file, of real data where there is one, and has bytes changed, cut, repeated, or set to
extreme numbers. `CHAINRULE_NIGHTLY=1` tries a thousand of each format instead of a hundred.
"""

from __future__ import annotations

import io
import os
import tarfile
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import chainrule
from chainrule.data.archive import unpack
from chainrule.data.optdigits import load_digits_arrays
from chainrule.data.readers import (
    ImageFolder,
    load_vocabulary,
    read_array,
    read_arrays,
    read_cifar10,
    read_csv,
    read_idx,
    read_image,
    read_parquet,
    read_text,
)
from chainrule.errors import CheckpointError, DataError
from tests.test_readers import idx

NIGHTLY = bool(os.environ.get("CHAINRULE_NIGHTLY"))
TRIES = 1000 if NIGHTLY else 100
#: What a file may decode to, and what reading it may take in all: tables and their texts are the dearest.
BOUND, MEMORY = 2**20, 2**26
pytestmark = pytest.mark.timeout(1200 if NIGHTLY else 120)


def digits_csv() -> bytes:
    """The shipped digits as a table, with a column of texts."""
    images, labels = load_digits_arrays()
    rows = ["class," + ",".join(f"p{i}" for i in range(64))]
    rows += [f"d{label}," + ",".join(f"{v:g}" for v in image.ravel()) for image, label in zip(images[:40], labels)]
    return "\n".join(rows).encode()


def picture(form: str) -> bytes:
    """A digit as an image file."""
    memory = io.BytesIO()
    Image.fromarray((load_digits_arrays()[0][0] * 15.9).astype(np.uint8)).convert("RGB").resize((24, 24)).save(
        memory, form
    )
    return memory.getvalue()


def saved(save: Callable[[Any], Any]) -> bytes:
    """What a function writes into a file."""
    memory = io.BytesIO()
    save(memory)
    return memory.getvalue()


def tar_of(content: bytes) -> bytes:
    """A compressed archive of two files."""
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w:gz") as archive:
        for name in ("a/one", "two"):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return memory.getvalue()


def zip_of(content: bytes) -> bytes:
    """The same as a zip file."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/one", content)
        archive.writestr("two", content)
    return memory.getvalue()


def parquet() -> bytes:
    """A table of numbers and texts."""
    import pandas

    frame = pandas.DataFrame({"x": np.arange(50.0), "kind": ["a", "b"] * 25, "y": range(50)})
    return saved(lambda file: frame.to_parquet(file))


def pytorch_file() -> bytes:
    """Weights as PyTorch saves them."""
    torch = pytest.importorskip("torch")
    return saved(lambda file: torch.save({"w": torch.arange(12.0).reshape(3, 4), "n": [3, "text"]}, file))


def vocabulary(folder: Path) -> bytes:
    """A vocabulary's file."""
    chainrule.data.readers.Characters.from_text("to be or not to be").save(folder / "vocabulary.json")
    return (folder / "vocabulary.json").read_bytes()


def unpacked(path: Path) -> None:
    """Unpack; what was unpacked is taken away again by the test's folder."""
    target = path.parent / f"unpacked-{path.name}"
    try:
        unpack(path, target, max_bytes=BOUND, max_members=100)
    finally:
        assert {p.name for p in path.parent.iterdir() if not p.name.startswith((".", "unpacked"))} <= {path.name}


STATE = {"model": {"w": chainrule.arange(12.0).reshape(3, 4), "n": 3}, "history": [1.5, None, "text"]}
FORMATS: dict[str, tuple[Callable[[Path], bytes], Callable[[Path], Any]]] = {
    "idx": (lambda _: idx(np.arange(600, dtype="u1").reshape(6, 10, 10), 8), lambda p: read_idx(p, BOUND)),
    "cifar": (lambda _: np.random.default_rng(0).integers(0, 10, 3073 * 3, dtype="u1").tobytes(), lambda p: read_cifar10(p, BOUND)),
    "csv": (lambda _: digits_csv(), lambda p: read_csv(p, target="class", max_bytes=BOUND)),
    "parquet": (lambda _: parquet(), lambda p: read_parquet(p, target="y", max_bytes=BOUND)),
    "text": (lambda _: ("To be, or nøt to be: " * 40).encode(), lambda p: read_text(p, BOUND)),
    "npy": (lambda _: saved(lambda f: np.save(f, np.arange(60.0).reshape(3, 20))), lambda p: read_array(p, BOUND)),
    "npz": (lambda _: saved(lambda f: np.savez_compressed(f, a=np.arange(60), b=np.ones(3))), lambda p: read_arrays(p, BOUND)),
    "png": (lambda _: picture("PNG"), lambda p: read_image(p, max_bytes=BOUND)),
    "jpeg": (lambda _: picture("JPEG"), lambda p: read_image(p, max_bytes=BOUND)),
    "gif": (lambda _: picture("GIF"), lambda p: read_image(p, max_bytes=BOUND)),
    "tiff": (lambda _: picture("TIFF"), lambda p: read_image(p, max_bytes=BOUND)),
    "vocabulary": (vocabulary, load_vocabulary),
    "tar": (lambda _: tar_of(b"0123456789" * 200), unpacked),
    "zip": (lambda _: zip_of(b"0123456789" * 200), unpacked),
    "safetensors": (lambda _: saved(lambda f: chainrule.save(STATE, f)), chainrule.load),
    "pytorch": (lambda _: pytorch_file(), chainrule.load),
}  # fmt: skip
#: Where the length is known, a file that is cut short must be noticed.
KNOWN_LENGTH = {"idx", "cifar", "parquet", "npy", "npz", "png", "tar", "zip", "safetensors", "pytorch"}


def damaged(content: bytes, random: np.random.Generator) -> bytes:
    """One to four changes, each of another kind."""
    found = bytearray(content)
    for _ in range(int(random.integers(1, 5))):
        size = len(found)
        if not size:
            break
        start = int(random.integers(size))
        count = int(random.integers(1, 1 + min(64, size - start)))
        kind = int(random.integers(7))
        if kind == 0:
            found[start] ^= 1 << int(random.integers(8))
        elif kind == 1:
            found[start : start + count] = random.bytes(count)
        elif kind == 2:
            del found[start : start + count]
        elif kind == 3:
            found[start:start] = found[start : start + count] * int(random.integers(1, 4))
        elif kind == 4:  # a number that is far too large, in one of the usual forms
            extreme = int(random.choice([2**31 - 1, 2**32 - 1, 2**63 - 1, 0, 2**40]))
            found[start : start + 8] = extreme.to_bytes(8, "big" if random.integers(2) else "little")
        elif kind == 5:
            del found[start:]
        else:
            found[start:start] = bytes(count)
    return bytes(found)


def cases(names: Any) -> list[Any]:
    """The formats; PyTorch's needs PyTorch to be written."""
    return [pytest.param(name, marks=[pytest.mark.peer] if name == "pytorch" else []) for name in names]


@pytest.mark.parametrize("name", cases(FORMATS))
def test_damaged_files_are_read_or_named(name: str, tmp_path: Path) -> None:
    make, read = FORMATS[name]
    content = make(tmp_path)
    for path in tmp_path.iterdir():
        path.unlink()
    random = np.random.default_rng(int.from_bytes(os.urandom(4), "little") if NIGHTLY else 7)
    refused, path = 0, tmp_path / "file"
    tracemalloc.start()
    try:
        for attempt in range(TRIES):
            path = tmp_path / f"{attempt}.parquet" if name == "parquet" else tmp_path / f"{attempt}"
            broken = damaged(content, random)
            path.write_bytes(broken)
            tracemalloc.reset_peak()
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # Pillow's, about what it could still read
                    read(path)
            except (DataError, CheckpointError) as error:
                refused += 1
                assert str(path) in str(error) or path.name in str(error), f"which file? {error}"
            except Exception as error:
                raise AssertionError(
                    f"{name}, attempt {attempt}: {type(error).__name__}: {error}; {broken!r}"
                ) from error
            assert tracemalloc.get_traced_memory()[1] < MEMORY, f"{name}, attempt {attempt}: {broken!r}"
            path.unlink()
    finally:
        tracemalloc.stop()
    assert refused > TRIES // 10 or name in ("text", "cifar"), "most damage shows"


@pytest.mark.parametrize("name", cases(sorted(KNOWN_LENGTH)))
def test_files_cut_short_are_refused(name: str, tmp_path: Path) -> None:
    make, read = FORMATS[name]
    content = make(tmp_path)
    for path in tmp_path.iterdir():
        path.unlink()
    # What is behind the last block of a tar file, or of an image, is only padding.
    end = {"tar": 0.8, "png": 0.9}.get(name, 1.0)
    for length in sorted(
        {int(end * len(content) * k / 25) for k in range(25)} | ({len(content) - 1} if end == 1 else set())
    ):
        path = tmp_path / (f"{length}.parquet" if name == "parquet" else f"{length}")
        path.write_bytes(content[:length])
        if name == "cifar" and length % 3073 == 0 and length:
            continue  # whole images
        with pytest.raises((DataError, CheckpointError)):
            read(path)
        path.unlink()


def test_a_folder_with_a_broken_image_names_it(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(picture("PNG"))
    (tmp_path / "dog" / "2.png").write_bytes(picture("PNG")[:60])
    images = ImageFolder(tmp_path)
    with pytest.raises(DataError, match=r"dog.2\.png"):
        [images[i] for i in range(len(images))]
