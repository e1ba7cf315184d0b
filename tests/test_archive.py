"""Archives are unpacked whole or not at all, and never outside of their folder."""

from __future__ import annotations

import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chainrule.data.archive import members, unpack
from chainrule.errors import DataError

FILES = {"read me.txt": b"hello", "cats/1.bin": bytes(range(256)) * 20, "cats/old/2.bin": b"", "exact.bin": bytes(1024)}


def tar(files: dict[str, bytes], mode: str = "w", **attributes: Any) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for key, value in attributes.items():
                setattr(member, key, value)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def zip_(files: dict[str, bytes], mode: int = 0) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = mode << 16
            archive.writestr(member, content)
    return buffer.getvalue()


KINDS: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "zip": zip_,
    "tar": tar,
    "tar.gz": lambda files: tar(files, "w:gz"),
    "tar.xz": lambda files: tar(files, "w:xz"),
    "tar.bz2": lambda files: tar(files, "w:bz2"),
}


def refused(tmp_path: Path, content: bytes, says: str, **options: Any) -> None:
    """The archive is refused with these words, and nothing at all is left behind."""
    archive = tmp_path / "inner" / "pets.archive"
    archive.parent.mkdir(exist_ok=True)
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"pets\.archive.*" + says):
        unpack(archive, tmp_path / "inner" / "pets", **options)
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == [
        "inner",
        "inner/pets.archive",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_packed_comes_out(tmp_path: Path, kind: str) -> None:
    (tmp_path / "pets").mkdir()  # an empty folder may be there
    (tmp_path / "archive").write_bytes(KINDS[kind](FILES))
    folder = unpack(tmp_path / "archive", tmp_path / "pets")
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == FILES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "pets"]
    assert {member.name: member.file.read() for member in members(tmp_path / "archive")} == FILES
    assert [member.name for member in members(tmp_path / "archive")] == list(FILES), "also when they are not read"
    with pytest.raises(DataError, match="exists already and is not empty"):
        unpack(tmp_path / "archive", tmp_path / "pets")


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize(
    "name",
    ["../out.txt", "a/../../out.txt", "/tmp/out.txt", "..", "a\\..\\..\\out.txt", "\\out.txt", "C:\\out.txt", "a/.."],
)
def test_names_that_lead_outside_are_refused(tmp_path: Path, kind: str, name: str) -> None:
    refused(tmp_path, KINDS[kind]({"good.txt": b"1", name: b"2"}), "would be unpacked outside of the folder")


def test_links_and_devices_are_refused(tmp_path: Path) -> None:
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE):
        content = tar({"link": b""}, type=kind, linkname="/etc/passwd")
        refused(tmp_path, content, "link or a device|damaged")
    refused(tmp_path, zip_({"link": b"/etc/passwd"}, stat.S_IFLNK | 0o777), "'link': a link or a device")


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    refused(tmp_path, tar({"a": b"1", "./a": b"2"}), "cannot be unpacked")
    refused(tmp_path, tar({"a": b"1", "a/b": b"2"}), "cannot be unpacked")


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_holds_no_more_than_allowed(tmp_path: Path, kind: str) -> None:
    content = KINDS[kind]({f"{number}.bin": bytes(2**20) for number in range(20)})
    refused(tmp_path, content, "more than 2,000,000 bytes when unpacked", max_bytes=2_000_000)
    refused(tmp_path, KINDS[kind]({str(number): b"" for number in range(50)}), "more than 10 members", max_members=10)


def test_a_header_that_claims_to_be_huge_takes_no_memory(tmp_path: Path) -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 2**33 - 1
    content = header.tobuf(tarfile.USTAR_FORMAT) + bytes(2**20)
    refused(tmp_path, gzip.compress(content), "a header that claims to be|damaged")


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_archives_are_refused(tmp_path: Path, kind: str) -> None:
    whole = KINDS[kind](FILES)
    for length in (0, 3, 100, len(whole) // 3, len(whole) * 2 // 3):
        refused(tmp_path, whole[:length], "is no zip or tar archive, or is damaged|cut short")
    if kind != "tar":  # a plain tar file has no checksum of its content
        for place in range(60, len(whole) - 60, max(len(whole) // 25, 1)):
            flipped = bytearray(whole)
            flipped[place] ^= 0x10
            archive, folder = tmp_path / "flipped", tmp_path / f"flipped-{place}"
            archive.write_bytes(flipped)
            try:
                unpack(archive, folder)
            except DataError:
                assert not folder.exists()
            else:  # the flip hit what carries nothing: a time, a permission, padding
                assert {p.read_bytes() for p in folder.rglob("*") if p.is_file()} == set(FILES.values())


def test_a_damaged_header_in_the_middle_is_no_end(tmp_path: Path) -> None:
    whole = bytearray(tar({"a": b"1", "b": b"2"}))
    whole[1024 + 148] ^= 1  # the checksum of the second header, which tarfile alone takes for the end
    refused(tmp_path, bytes(whole), "damaged or cut short at byte")
    refused(tmp_path, bytes(whole[:1024]), "damaged or cut short at byte")
    for compress in (gzip.compress, lzma.compress):
        content = compress(tar(FILES))
        refused(tmp_path, content[:-6], "damaged")


def test_what_is_no_archive_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataError, match="is not a file|No such file"):
            unpack(path, tmp_path / "out")
    assert not list(tmp_path.iterdir())
