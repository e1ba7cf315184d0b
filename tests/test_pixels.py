"""Images of more than eight bits, turned cameras, and what systems leave among pictures."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from chainrule.data.readers import ImageFolder, decode_image
from chainrule.errors import DataError
from chainrule.functions.creation import from_numpy
from chainrule.tasks.images import image_files
from chainrule.vision import io as io_of_vision
from chainrule.vision.datasets import ImageFolder as VisionFolder

RAMP = np.arange(64).reshape(8, 8)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def read(content: bytes, mode: str = "L") -> np.ndarray:
    return np.asarray(decode_image(content, "picture", mode))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_sixteen_bits_are_scaled_by_their_range(kind, mode):
    pixels = (RAMP * 1040).astype(np.uint16)
    found = read(encoded(Image.fromarray(pixels), kind), mode)
    found = found if mode == "L" else found[:, :, 0]
    np.testing.assert_array_equal(found, np.rint(pixels / 257))


@pytest.mark.parametrize("largest", [65535, 1023])
def test_a_wide_pgm_is_scaled_by_the_maximum_in_its_heading(largest):
    pixels = RAMP * (largest // 63)
    content = b"P5 8 8 %d\n" % largest + pixels.astype(">u2").tobytes()
    np.testing.assert_allclose(read(content), 255 * pixels / largest, atol=0.51)


@pytest.mark.parametrize(
    ("pixels", "low", "high"),
    [
        (RAMP.astype(np.int32), 0, 255),  # fits into bytes: as it is
        ((RAMP * 1000).astype(np.int32), 0, 65535),
        ((RAMP * 10**6).astype(np.int32), 0, 63 * 10**6),
        ((RAMP - 20).astype(np.int32), -20, 43),
        ((RAMP / 63).astype(np.float32), 0, 1),
        ((RAMP / 50).astype(np.float32), 0, np.float32(63 / 50)),
        ((RAMP * 1e30).astype(np.float32), 0, np.float32(63e30)),
        (np.full((2, 2), -3.0, np.float32), -3, -2),
    ],
)
def test_wide_values_are_scaled_and_never_cut_off(pixels, low, high):
    found = read(encoded(Image.fromarray(pixels), "TIFF"))
    np.testing.assert_allclose(found, 255 * (pixels.astype(float) - low) / (high - low), atol=0.51)


def test_a_pixel_that_is_no_number_is_named():
    pixels = np.zeros((3, 4), np.float32)
    pixels[1, 2] = np.nan
    with pytest.raises(DataError, match="picture: the pixel in row 1, column 2 is nan"):
        read(encoded(Image.fromarray(pixels), "TIFF"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_up_is_up(kind, orientation):
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8, :16] = 250
    pixels[8:, :16] = 120
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = orientation
    content = encoded(image, kind, exif=exif)
    wanted = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB"))
    np.testing.assert_array_equal(read(content, "RGB"), wanted)
    assert read(content, "RGB").shape == ((16, 32, 3) if orientation < 5 else (32, 16, 3))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_as_stored_or_turned_once(kind):
    """As PyTorch-vision: as it is stored, unless it is asked for."""
    pixels = np.full((8, 16, 3), 250, np.uint8)
    pixels[:, 8:] = 0  # bright to the left as it is stored, bright above when it is turned
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = 6
    content = from_numpy(np.frombuffer(encoded(image, kind, exif=exif), np.uint8))
    for read_it in (io_of_vision.decode_image, io_of_vision.decode_jpeg):
        stored, turned = read_it(content), read_it(content, apply_exif_orientation=True)
        np.testing.assert_allclose(stored, pixels.transpose(2, 0, 1), atol=8)
        np.testing.assert_allclose(turned, np.rot90(pixels, -1).transpose(2, 0, 1), atol=8)


def test_damaged_exif_data_say_nothing():
    content = encoded(Image.new("RGB", (4, 2), "red"), "JPEG", exif=b"Exif\0\0no TIFF header")
    assert read(content, "RGB").shape == (2, 4, 3)


def test_what_systems_leave_among_pictures_is_left_out(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name / "@eaDir").mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name / "1.JPG", "JPEG")
        (tmp_path / name / "._1.JPG").write_bytes(b"\0\5\x16\7Mac OS X")
        (tmp_path / name / "@eaDir" / "1.jpg").write_bytes(b"thumbnail")
        (tmp_path / name / "Thumbs.db").write_bytes(b"thumbnails")
    (tmp_path / "__MACOSX" / "cat").mkdir(parents=True)
    (tmp_path / "__MACOSX" / "cat" / "._1.jpg").write_bytes(b"x")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    for folder in (ImageFolder(tmp_path), VisionFolder(str(tmp_path))):
        assert folder.classes == ["cat", "dog"]
        assert [folder[i][1] for i in range(len(folder))] == [0, 1]
    assert [path.name for path in image_files([str(tmp_path)])] == ["1.JPG", "1.JPG"]
    everything = VisionFolder(str(tmp_path), is_valid_file=lambda path: True)
    assert [path.rsplit("/", 1)[1] for path, _ in everything.samples] == ["1.JPG", "1.JPG"]
