"""Readers of files: what they read, compared with what was written by other means, and what they say of bad files."""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import chainrule
from chainrule.data.readers import (
    ImageFolder,
    decode_image,
    from_frame,
    read_array,
    read_arrays,
    read_bytes,
    read_cifar10,
    read_cifar100,
    read_csv,
    read_idx,
    read_image,
    read_parquet,
)
from chainrule.errors import DataError

IDX_TYPES = {8: "u1", 9: "i1", 11: "i2", 12: "i4", 13: "f4", 14: "f8"}


def idx(array: np.ndarray, code: int) -> bytes:
    """An IDX file, written from the definition of the format."""
    big_endian = array.astype(array.dtype.newbyteorder(">")).tobytes()
    return bytes([0, 0, code, array.ndim]) + b"".join(struct.pack(">I", n) for n in array.shape) + big_endian


def write(folder: Path, content: bytes | str, name: str = "file") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# --- bytes ---


def test_plain_and_compressed_files_read_alike(tmp_path: Path) -> None:
    content = np.random.default_rng(0).bytes(300_000)
    assert read_bytes(write(tmp_path, content)) == content
    assert read_bytes(write(tmp_path, gzip.compress(content))) == content
    in_parts = gzip.compress(content[:1000]) + gzip.compress(content[1000:]) + bytes(512)
    assert read_bytes(write(tmp_path, in_parts)) == content
    assert read_bytes(write(tmp_path, b"")) == b""


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda g: g[:-9], "is cut short: .* by byte"),
        (lambda g: g[:2], "is cut short"),
        (lambda g: g[:-5] + bytes([g[-5] ^ 1]) + g[-4:], "near byte 0: the gzip compression is damaged"),
        (lambda g: g + b"rest", "gzip compression is damaged"),
    ],
)
def test_damaged_compression_is_named(tmp_path: Path, damage: Any, says: str) -> None:
    path = write(tmp_path, damage(gzip.compress(b"some text, and more of it")), "text.gz")
    with pytest.raises(DataError, match=r"text\.gz.*" + says):
        read_bytes(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")  # opening it would wait for a writer for ever
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / "pipe", Path("/dev/zero"), "a\0b"):
        with pytest.raises(DataError, match="is not a file|cannot be read"):
            read_bytes(path)


def peak_bytes(call: Any, *arguments: Any, **options: Any) -> int:
    """The memory taken at the most while a reader refuses a file."""
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="more than|cut short"):
            call(*arguments, **options)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_files_that_grow_beyond_measure_take_little_memory(tmp_path: Path) -> None:
    limit = 2**20
    compressor = zlib.compressobj(9, wbits=31)
    pieces = [compressor.compress(bytes(2**20)) for _ in range(256)]
    bomb = write(tmp_path, b"".join(pieces) + compressor.flush(), "bomb.gz")
    assert peak_bytes(read_bytes, bomb, max_bytes=limit) < 4 * limit
    assert peak_bytes(read_idx, bomb, max_bytes=limit) < 4 * limit
    assert peak_bytes(read_csv, bomb, max_bytes=limit) < 4 * limit
    terabytes = write(tmp_path, bytes([0, 0, 14, 4]) + struct.pack(">4I", *[2**31] * 4), "terabytes.idx")
    assert peak_bytes(read_idx, terabytes) < limit
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"shape": (2**40,), "fortran_order": False, "descr": "<f8"})
    assert peak_bytes(read_array, write(tmp_path, header.getvalue(), "terabytes.npy")) < limit
    with io.BytesIO() as buffer:
        np.savez_compressed(buffer, a=np.zeros(2**25))
        zip_bomb = write(tmp_path, buffer.getvalue(), "bomb.npz")
    assert peak_bytes(read_arrays, zip_bomb, max_bytes=limit) < 8 * limit
    chunk = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    png = (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + chunk + struct.pack(">I", zlib.crc32(b"IHDR" + chunk))
    )
    with pytest.raises(DataError, match=r"huge\.png"):
        read_image(write(tmp_path, png, "huge.png"))
    small = io.BytesIO()
    Image.new("RGB", (600, 600)).save(small, "PNG")
    assert peak_bytes(read_image, write(tmp_path, small.getvalue(), "large.png"), max_bytes=limit) < 4 * limit


# --- IDX ---


@pytest.mark.parametrize("code", IDX_TYPES)
@pytest.mark.parametrize("shape", [(), (3,), (0, 4), (2, 3, 4), (1,) * 7])
def test_idx_of_every_type(tmp_path: Path, code: int, shape: tuple[int, ...]) -> None:
    array = np.asarray(np.random.default_rng(0).normal(size=shape) * 50).astype(IDX_TYPES[code])
    for content in (idx(array, code), gzip.compress(idx(array, code))):
        result = read_idx(write(tmp_path, content))
        assert result.dtype == array.dtype and result.dtype.isnative and np.array_equal(result, array)
    assert result.flags.writeable


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "0 bytes, where an IDX header needs at least 4"),
        (b"\0\0\x08", "3 bytes"),
        (b"PK\3\4", "byte 0: 50 4b 03 04 is no IDX header"),
        (b"\0\0\x0a\1", "byte 0: 00 00 0a 01"),
        (b"\0\0\x08\x41" + bytes(260), "byte 3: 65 dimensions"),
        (b"\0\0\x08\x02\0\0\0\1", "the header alone takes 12"),
        (b"\0\0\x08\x01\0\0\0\5abc", "is cut short: 11 bytes, but the header announces 5 of uint8, which makes 13"),
        (b"\0\0\x08\x01\0\0\0\2abc", "goes on after its last value: 11 bytes.* makes 10"),
        (b"\0\0\x08\x02\0\0\0\0\xff\xff\xff\xff", "byte 4: the header announces 0 × 4,294,967,295"),
    ],
)
def test_bad_idx_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(DataError, match=r"digits\.idx.*" + says):
        read_idx(write(tmp_path, content, "digits.idx"))


# --- CIFAR ---


def test_cifar_records(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32)).astype(np.uint8)
    ten = b"".join(bytes([label]) + image.tobytes() for label, image in zip((7, 0, 9), images))
    result, labels = read_cifar10(write(tmp_path, ten))
    assert np.array_equal(result, images) and labels.tolist() == [7, 0, 9] and labels.dtype == np.int64
    hundred = b"".join(bytes([3, label]) + image.tobytes() for label, image in zip((99, 0, 50), images))
    result, fine, coarse = read_cifar100(write(tmp_path, gzip.compress(hundred)))
    assert np.array_equal(result, images) and fine.tolist() == [99, 0, 50] and coarse.tolist() == [3, 3, 3]


@pytest.mark.parametrize(
    ("reader", "content", "says"),
    [
        (read_cifar10, b"", "has 0 bytes"),
        (read_cifar10, bytes(3073 + 3), "1 records of 3,073 and 3 bytes more"),
        (
            read_cifar10,
            bytes(3073) + b"\x0a" + bytes(3072),
            r"byte 3,073 \(record 1\): the class is 10; expected 0 to 9",
        ),
        (read_cifar100, b"\x14" + bytes(3073), r"byte 0 \(record 0\): the superclass is 20"),
        (read_cifar100, b"\0\x64" + bytes(3072), r"byte 1 \(record 0\): the class is 100"),
    ],
)
def test_bad_cifar_is_named(tmp_path: Path, reader: Any, content: bytes, says: str) -> None:
    with pytest.raises(DataError, match=r"batch\.bin.*" + says):
        reader(write(tmp_path, content, "batch.bin"))


# --- images ---


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(height: int = 5, width: int = 7, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8))


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    for number, (name, ending) in enumerate([("dog", "png"), ("cat", "bmp"), ("cat", "PNG"), ("cat/old", "ppm")]):
        (tmp_path / "pets" / name).mkdir(parents=True, exist_ok=True)
        noise(seed=number).save(tmp_path / "pets" / name / f"{number}.{ending}")
    write(tmp_path / "pets" / "cat", b"not an image, by its name", "notes.txt")
    return tmp_path / "pets"


def test_a_folder_is_a_class(pets: Path) -> None:
    folder = ImageFolder(pets)
    assert folder.classes == ["cat", "dog"] and folder.labels.tolist() == [0, 0, 0, 1] and len(folder) == 4
    assert [Path(sample.path).name for sample in folder.samples] == ["1.bmp", "2.PNG", "3.ppm", "0.png"]
    image, label = folder[3]
    assert label == 1 and np.array_equal(image, np.asarray(noise(seed=0)).transpose(2, 0, 1))
    images, labels = folder.arrays()
    assert images.shape == (4, 3, 5, 7) and images.dtype == np.uint8 and labels.tolist() == [0, 0, 0, 1]
    assert ImageFolder(pets, mode="L")[0][0].shape == (1, 5, 7)


def test_bad_image_folders_are_named(pets: Path, tmp_path: Path) -> None:
    noise(6, 9).save(pets / "dog" / "9.png")
    with pytest.raises(DataError, match=r"9\.png has 9 × 6 pixels, but the first image, .*1\.bmp, has 7 × 5"):
        ImageFolder(pets).arrays()
    with pytest.raises(DataError, match=r"pets: 5 images of 7 × 5 pixels: more than 100 bytes"):
        ImageFolder(pets).arrays(max_bytes=100)
    (pets / "fish").mkdir()
    with pytest.raises(DataError, match="fish has no images in it"):
        ImageFolder(pets)
    with pytest.raises(DataError, match="old has no folders in it"):
        ImageFolder(pets / "cat" / "old")
    with pytest.raises(DataError, match="cannot be read"):
        ImageFolder(tmp_path / "nowhere")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_images_cut_short_are_named(tmp_path: Path, kind: str) -> None:
    content = encoded(noise(40, 40), kind)
    read_image(write(tmp_path, content, "whole"))
    for length in (0, 5, 20, len(content) // 2):
        with pytest.raises(DataError, match="half(.png)? is not an image|half: the image cannot be decoded"):
            read_image(write(tmp_path, content[:length], "half"))


def test_only_formats_of_photographs_are_decoded() -> None:
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n"
    with pytest.raises(DataError, match=r"page\.eps is not an image in a known format .* begins with 25 21"):
        decode_image(postscript, "page.eps")  # Pillow would start Ghostscript


def test_modes_become_what_is_asked_for() -> None:
    for mode in ("1", "L", "P", "RGBA", "CMYK", "I;16"):
        kind = "TIFF" if mode == "CMYK" else "PNG"
        image = decode_image(encoded(Image.new(mode, (3, 2)), kind), "image")
        assert image.mode == "RGB" and image.size == (3, 2)
    assert decode_image(encoded(Image.new("P", (3, 2)), "PNG"), "image", mode=None).mode == "P"


# --- tables ---

CSV = """sepals,colour,"the, species"
5.1,blue,setosa
4.9,red,virginica
6.0,blue,"setosa"
"""


def test_csv_columns_become_features(tmp_path: Path) -> None:
    path = write(tmp_path, CSV)
    table = read_csv(path, target="the, species")
    assert table.names == ["sepals", "colour=blue", "colour=red"] and table.classes == ["setosa", "virginica"]
    assert table.features.dtype == np.float32 and table.target is not None and table.target.dtype == np.int64
    np.testing.assert_array_equal(table.features, np.float32([[5.1, 1, 0], [4.9, 0, 1], [6, 1, 0]]))
    assert table.target.tolist() == [0, 1, 0] and table.categories == {"colour": ["blue", "red"]}
    coded = read_csv(path, categorical="codes", ignore=["the, species"])
    assert coded.names == ["sepals", "colour"] and coded.features[:, 1].tolist() == [0, 1, 0] and coded.target is None
    regression = read_csv(path, target="sepals", ignore=["colour", "the, species"][:1])
    assert regression.target is not None and regression.target.dtype == np.float32 and regression.classes is None
    features, target = table.dataset().tensors
    assert features.dtype is chainrule.float32 and target.dtype is chainrule.int64 and len(table) == 3


def test_csv_in_other_forms(tmp_path: Path) -> None:
    table = read_csv(write(tmp_path, gzip.compress(b"\xef\xbb\xbf1;2\r\n3;4\r\n\r\n")), header=False, delimiter=";")
    assert table.names == ["column 1", "column 2"] and table.features.tolist() == [[1, 2], [3, 4]]
    digits = read_csv(write(tmp_path, "pixel,label\n0.5,7\n1,3\n2,7\n"), target="label", target_classes=True)
    assert digits.classes == ["3", "7"] and digits.target is not None and digits.target.tolist() == [1, 0, 1]
    assert digits.names == ["pixel"]
    with pytest.raises(ValueError, match="one character"):
        read_csv(tmp_path / "file", delimiter="::")
    with pytest.raises(ValueError, match="one-hot"):
        read_csv(tmp_path / "file", categorical="hash")


def test_missing_values(tmp_path: Path) -> None:
    path = write(tmp_path, "a,b,c\n1,x,5\nNA,y,6\n3,,7\n8,x,9\n", "gaps.csv")
    with pytest.raises(DataError, match=r"gaps\.csv, line 3, column 'a': the value is missing"):
        read_csv(path)
    dropped = read_csv(path, missing="drop")
    assert dropped.names == ["a", "b=x", "c"] and dropped.features.tolist() == [[1, 1, 5], [8, 1, 9]]
    mean = read_csv(path, missing="mean", ignore=["b"])
    assert mean.features.tolist() == [[1, 5], [4, 6], [3, 7], [8, 9]]
    with pytest.raises(DataError, match="line 4, column 'b': the value is missing"):
        read_csv(path, missing="mean")
    with pytest.raises(DataError, match="line 3, column 'a'"):
        read_csv(path, missing="mean", target="a", ignore=["b"])
    with pytest.raises(DataError, match="no rows are left"):
        read_csv(write(tmp_path, "a\nNA\n"), missing="drop")


def test_a_test_table_is_coded_like_the_training_table(tmp_path: Path) -> None:
    train = read_csv(write(tmp_path, "size,kind\nS,cat\nL,dog\n"), target="kind")
    test = read_csv(write(tmp_path, "size,kind\nL,dog\n"), target="kind", like=train)
    assert test.names == ["size=L", "size=S"] and test.features.tolist() == [[1, 0]] and test.classes == ["cat", "dog"]
    with pytest.raises(DataError, match="line 2, column 'size': 'M' is not among the known values"):
        read_csv(write(tmp_path, "size,kind\nM,dog\n"), target="kind", like=train)
    with pytest.raises(DataError, match="line 2, column 'kind': 'cow' is not among"):
        read_csv(write(tmp_path, "size,kind\nS,cow\n"), target="kind", like=train)
    with pytest.raises(DataError, match="has a column 'weight', which the earlier table has not; leave it out"):
        read_csv(write(tmp_path, "size,weight,kind\nS,2,cat\n"), target="kind", like=train)
    with pytest.raises(DataError, match="has no column 'size', which the earlier table has; it has 'kind'"):
        read_csv(write(tmp_path, "kind\ncat\n"), target="kind", like=train)
    pair = read_csv(write(tmp_path, "weight,size\n2,S\n3,L\n"))
    turned = read_csv(write(tmp_path, "size,weight\nL,5\n"), like=pair)
    assert turned.names == pair.names and turned.features.tolist() == [[5, 1, 0]], "columns may come in another order"
    weights = read_csv(write(tmp_path, "weight\n2\n"))
    with pytest.raises(DataError, match="line 2, column 'weight': 'heavy' is a text, not a number"):
        read_csv(write(tmp_path, "weight\nheavy\n"), like=weights)
    numbers = read_csv(write(tmp_path, "size,kind\n7,cat\nL,dog\n"), target="kind", as_categories=["size"])
    again = read_csv(write(tmp_path, "size,kind\n7,cat\n"), target="kind", like=numbers)
    assert again.features.tolist() == [[1, 0]], "a column of texts stays one, also where all are numbers"


@pytest.mark.parametrize(
    ("content", "options", "says"),
    [
        ("a,b\n1,2\n3\n", {}, "line 3: 1 fields, but the first line has 2"),
        ("a,b\n1,2\n3,4,5\n", {}, "line 3: 3 fields"),
        ('a,b\n"1\n2",2\n3\n', {}, "line 4: 1 fields"),
        ('a,b\n1,"2\n', {}, "line 2: unexpected end of data"),
        ("a\n" + "x" * 200_000 + "\n", {}, "line 2: field larger than field limit"),
        ("a,b\n1,inf\n", {}, "line 2, column 'b': inf is no finite"),
        ("a,b\n1,2\n1,1e39\n", {}, r"line 3, column 'b': 1e\+39 is no finite float32"),
        ("a,a\n1,2\n", {}, "two columns are called 'a'"),
        ("a,b\n", {}, "no rows after its heading"),
        ("", {}, "has no rows"),
        ("a,b\n1,2\n", {"target": "c"}, "has no column 'c'; it has 'a', 'b'"),
        ("a,b\n1,x\n", {"target": "b", "target_classes": False}, "line 2, column 'b': 'x' is no number"),
        ("a\n1\n", {"ignore": ["a"]}, "no columns are left"),
        ("name\n" + "".join(f"n{i}\n" for i in range(600)), {"max_bytes": 10**6}, r"600 rows of 600 features \(600 of"),
        (b"a,b\n1,2\n\xff,3\n", {}, r"byte 8 \(line 3\): not UTF-8"),
    ],
)
def test_bad_csv_is_named(tmp_path: Path, content: Any, options: Any, says: str) -> None:
    with pytest.raises(DataError, match=r"bad\.csv.*" + says):
        read_csv(write(tmp_path, content, "bad.csv"), **options)


@given(
    st.lists(
        st.tuples(st.floats(-1e6, 1e6, width=32), st.text("abc,\"'é \n", min_size=1).map(lambda s: f"<{s}>")),
        min_size=1,
    )
)
def test_what_python_writes_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, str]]) -> None:
    import csv

    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([("x", "text"), *rows])
    table = read_csv(write(tmp_path_factory.getbasetemp(), buffer.getvalue(), "written.csv"), target="text")
    assert table.classes is not None and table.target is not None
    assert [(x, table.classes[y]) for (x,), y in zip(table.features.tolist(), table.target)] == rows


def test_parquet_and_data_frames_agree_with_csv(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({
        "x": [1.5, None, 3.0], "n": pandas.array([1, 2, 3], "Int64"), "ok": [True, False, True],
        "kind": ["b", "a", "b"], "group": pandas.Categorical(["u", "v", "u"]),
    })  # fmt: skip
    frame.to_parquet(tmp_path / "frame.parquet")
    frame.assign(ok=frame.ok.astype(int)).to_csv(tmp_path / "frame.csv", index=False)
    options = {"target": "kind", "missing": "mean"}
    for table in (
        read_parquet(tmp_path / "frame.parquet", **options),
        from_frame(frame, **options),
        read_csv(tmp_path / "frame.csv", **options),
    ):
        assert table.names == ["x", "n", "ok", "group=u", "group=v"] and table.classes == ["a", "b"]
        assert table.features.tolist() == [[1.5, 1, 1, 1, 0], [2.25, 2, 0, 0, 1], [3, 3, 1, 1, 0]]
        assert table.target is not None and table.target.tolist() == [1, 0, 1]
    with pytest.raises(DataError, match=r"frame\.parquet, row 1, column 'x': the value is missing"):
        read_parquet(tmp_path / "frame.parquet")
    with pytest.raises(DataError, match="the data frame, row 1, column 'x'"):
        from_frame(frame)


def test_bad_parquet_is_named(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    path = tmp_path / "bad.parquet"
    pandas.DataFrame({"when": pandas.to_datetime(["2020-01-01"]), "x": [1]}).to_parquet(path)
    with pytest.raises(DataError, match=r"bad\.parquet, column 'when': values of type timestamp.*ignore=\['when'\]"):
        read_parquet(path)
    assert read_parquet(path, ignore=["when"]).features.tolist() == [[1]]
    with pytest.raises(DataError, match="data frame has values of datetime64"):
        from_frame(pandas.read_parquet(path))
    content = path.read_bytes()
    for damaged in (b"", b"PAR1", content[:-20], content[: len(content) // 2]):
        with pytest.raises(DataError, match=r"bad\.parquet is no Parquet file, or is damaged"):
            read_parquet(write(tmp_path, damaged, "bad.parquet"))
    pandas.DataFrame({"x": np.zeros(10**6)}).to_parquet(path)  # a few bytes on disk
    assert path.stat().st_size < 100_000
    with pytest.raises(DataError, match="1,000,000 rows of 1 columns: more than 100,000 bytes"):
        read_parquet(path, max_bytes=100_000)
    pandas.DataFrame({"x": []}).to_parquet(path)
    with pytest.raises(DataError, match="has no rows"):
        read_parquet(path)


# --- NumPy's files ---


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.array(5), np.zeros((0, 3)),
        np.array(["ab", "c"]), np.array([True]), np.arange(3, dtype=">i4"), np.zeros(2, [("x", "f4"), ("y", "i8")]),
    ],
)  # fmt: skip
def test_arrays_come_back(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    result = read_array(tmp_path / "a.npy")
    assert result.dtype == array.dtype and np.array_equal(result, array)
    np.savez_compressed(tmp_path / "a.npz", first=array, second=np.ones(2))
    both = read_arrays(tmp_path / "a.npz")
    assert list(both) == ["first", "second"] and np.array_equal(both["first"], array)


def test_bad_arrays_are_named(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"objects\.npy: values of type object. Python objects are stored as pickles"):
        read_array(tmp_path / "objects.npy")
    np.save(tmp_path / "a.npy", np.arange(5))
    content = (tmp_path / "a.npy").read_bytes()
    cases = [
        (content[:-3], "is cut short: 165 bytes, but the header announces"),
        (content + b"x", "goes on after its last value"),
        (content[:40], "byte 0: no header"),
        (b"", "byte 0: no header"),
        (content.replace(b"(5,)", b"(-5,)"), "byte 0: no header|announces the shape"),
        (content.replace(b"\x93NUMPY\x01", b"\x93NUMPY\x09"), "version 9.0"),
    ]
    for damaged, says in cases:
        with pytest.raises(DataError, match=r"bad\.npy.*" + says):
            read_array(write(tmp_path, damaged, "bad.npy"))
    np.savez(tmp_path / "a.npz", a=np.arange(5))
    whole = (tmp_path / "a.npz").read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(b"\x93NUMPY") + 130] ^= 1
    for damaged in (whole[:-5], b"", b"PK", bytes(flipped)):
        with pytest.raises(DataError, match=r"bad\.npz is no \.npz file, or is damaged"):
            read_arrays(write(tmp_path, damaged, "bad.npz"))
