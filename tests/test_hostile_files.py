"""Files that are well formed and meant to do harm, or that say two things at once: refused with one error, at once."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

import chainrule
from chainrule.data.archive import unpack
from chainrule.data.readers import read_array
from chainrule.errors import CheckpointError, DataError

#: Python's hash of an integer is its remainder by this prime, so all multiples share a bucket.
PRIME = 2**61 - 1
MANY = 100_000  # with all in one bucket, hours; the suite's limit is two minutes


def archive(content: bytes) -> io.BytesIO:
    """A file as `torch.save` writes it, with this pickle."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("archive/data.pkl", content)
    return io.BytesIO(stream.getvalue())


def integer(number: int) -> bytes:
    content = pickle.encode_long(number)
    return pickle.LONG1 + bytes([len(content)]) + content


def keys(kind: str) -> bytes:
    """Many keys of one hash, each followed by None where it is for a dictionary."""
    if kind == "integers":  # within 64 bits there are only a few of one hash: these are longer
        return b"".join(integer(PRIME * n) + b"N" for n in range(1, MANY))
    crowd = _tuples_of_one_hash(3000)
    return b"".join(integer(a) + integer(b) + pickle.TUPLE2 + b"N" for a, b in crowd)


def _tuples_of_one_hash(count: int) -> list[tuple[int, int]]:
    """Pairs with one hash: CPython's tuple hash (xxHash without its last step) solved for the second entry."""
    p1, p2, p5, mask = 11400714785074694791, 14029467366897019727, 2870177450012600261, 2**64 - 1
    inverse = pow(p2, -1, 2**64)

    def mixed(seed: int, lane: int) -> int:
        x = (seed + lane * p2) & mask
        return (((x << 31) | (x >> 33)) & mask) * p1 & mask

    target, found, a = 12345, [], 0
    while len(found) < count:
        b = (target - mixed(p5, a)) * inverse & mask
        if b < PRIME:
            found.append((a, b))
        a += 1
    assert len({hash(pair) for pair in found}) == 1
    return found


@pytest.mark.parametrize("kind", ["integers", "tuples"])
@pytest.mark.parametrize("protocol", ["dictionary", "one by one", "DICT", "frozenset"])
def test_keys_that_were_chosen_to_collide_are_refused(kind, protocol):
    pairs = keys(kind)
    if protocol == "dictionary":
        content = b"\x80\x02}(" + pairs + b"u."
    elif protocol == "one by one":
        ends = pairs.replace(b"N", b"Ns") if kind == "integers" else pairs.replace(b"\x86N", b"\x86Ns")
        content = b"\x80\x02}" + ends + b"."
    elif protocol == "DICT":
        content = b"\x80\x02(" + pairs + b"d."
    else:
        content = b"\x80\x04(" + pairs.replace(b"N", b"") + b"\x91."
    with pytest.raises(CheckpointError):
        chainrule.load(archive(content))


def test_usual_keys_are_read():
    kept = {n: None for n in range(-5, 1000)} | {(n, m): n for n in range(30) for m in range(30)} | {2.5: 1, None: 2}
    assert chainrule.load(archive(pickle.dumps(kept, 2))) == kept
    assert chainrule.load(archive(pickle.dumps({7, 8, "a"}, 4))) == {7, 8, "a"}


def test_numbers_of_the_memo_that_collide_are_refused():
    content = b"\x80\x02" + b"".join(b"N" + b"p%d\n" % (PRIME * n) + b"0" for n in range(1, MANY)) + b"N."
    with pytest.raises(CheckpointError, match="remembers"):
        chainrule.load(archive(content))


def test_a_nest_that_no_message_could_show_is_refused_at_once():
    nest = b"]" + b"q\0" + b"".join(b"](h%ch%ceq%c" % (n, n, n + 1) for n in range(60))  # 2⁶⁰ entries when written out
    with pytest.raises(CheckpointError):
        chainrule.load(archive(b"\x80\x02" + nest + b"Q."))


def test_our_own_files_refuse_colliding_keys_too(tmp_path):
    import zlib

    structure = {"dict": [[{"int": hex(PRIME * n)}, None] for n in range(1, MANY)]}
    record = {"version": 1, "checksum": zlib.crc32(json.dumps(structure).encode()), "object": structure}
    header = json.dumps({"__metadata__": {"chainrule": json.dumps(record)}}).encode()
    path = tmp_path / "keys.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(CheckpointError, match="64 bits"):
        chainrule.load(path)


# ---------------------------------------------------------------------------------------- safetensors


def safetensors(header: str, content: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header.encode() + content


@pytest.mark.parametrize("through", ["path", "stream"])
@pytest.mark.parametrize(
    ("header", "content", "message"),
    [
        (
            '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}}',
            bytes(4),
            "the name 'a' twice",
        ),
        ('{"a":{"dtype":"F32","dtype":"I32","shape":[1],"data_offsets":[0,4]}}', bytes(4), "the name 'dtype' twice"),
        ('{"a":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]}}', b"\1\0\2", "a: it has the byte 2 as a truth value"),
    ],
)
def test_a_safetensors_file_says_one_thing(tmp_path, through, header, content, message):
    whole = safetensors(header, content)
    (tmp_path / "file").write_bytes(whole)
    with pytest.raises(CheckpointError, match=message):
        chainrule.load(tmp_path / "file" if through == "path" else io.BytesIO(whole))


def test_truth_values_of_other_files(tmp_path):
    np.save(tmp_path / "a.npy", np.ones(3, bool))
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content[:-1] + b"\7")
    with pytest.raises(DataError, match="the byte 7 as a truth value"):
        read_array(tmp_path / "a.npy")


@pytest.mark.peer
@pytest.mark.parametrize("zipped", [True, False])
def test_truth_values_of_pytorch_files(tmp_path, zipped):
    torch = pytest.importorskip("torch")
    wrong = torch.tensor([1, 0, 5], dtype=torch.uint8).view(torch.bool)
    torch.save({"mask": wrong}, tmp_path / "file.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match="the byte 5 as a truth value"):
        chainrule.load(tmp_path / "file.pt")


# ------------------------------------------------------------------------------------------- archives


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_folders_2000_deep_are_not_made(tmp_path: Path, kind: str):
    name = "a/" * 2000 + "file"
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "deep", "w") as file:
            file.writestr(name, "x")
    else:
        with tarfile.open(tmp_path / "deep", "w") as file:
            file.addfile(tarfile.TarInfo(name))
    with pytest.raises(DataError, match="2,000 folders deep"):
        unpack(tmp_path / "deep", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep"]
