"""Transforms that move pixels, against slices, SciPy, Pillow and PyTorch; masks, keypoints and boxes that go along."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

import chainrule
from chainrule.data import transforms as T
from chainrule.data.transforms import functional as F
from tests.transform_images import bytes_, images, spots

# --------------------------------------------------------------------------------------------------- geometry


def test_flips() -> None:
    x = images()
    for flip, axis in ((F.hflip, 3), (F.vflip, 2), (F.horizontal_flip, 3), (F.vertical_flip, 2)):
        assert np.array_equal(flip(x).numpy(), np.flip(x.numpy(), axis)) and chainrule.equal(flip(flip(x)), x)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
def test_pad_is_that_of_numpy(mode: str) -> None:
    x = images()
    ours = F.pad(x, (1, 2, 3, 4), padding_mode=mode).numpy()
    assert np.array_equal(ours, np.pad(x.numpy(), [(0, 0), (0, 0), (2, 4), (1, 3)], mode=mode))  # type: ignore[call-overload]
    assert np.array_equal(F.pad(x, -2).numpy(), x.numpy()[:, :, 2:-2, 2:-2])


def test_pad_with_colours() -> None:
    y = F.pad(images(), 1, fill=(0.1, 0.2, 0.3)).numpy()
    assert np.allclose(y[:, :, 0, 5], [0.1, 0.2, 0.3]) and np.allclose(F.pad(images(), 1, [0.5]).numpy()[:, :, 0], 0.5)
    with pytest.raises(chainrule.errors.ShapeError, match="2 numbers for 3 channels"):
        F.pad(images(), 1, fill=(1, 2))


def test_crops_are_slices() -> None:
    x = images()
    assert np.array_equal(F.crop(x, 2, 3, 4, 5).numpy(), x.numpy()[:, :, 2:6, 3:8])
    outside = F.crop(x, -2, 8, 5, 5).numpy()
    expected = np.pad(x.numpy(), [(0, 0), (0, 0), (2, 0), (0, 3)])[:, :, :5, 8:13]
    assert np.array_equal(outside, expected) and F.crop(x, 50, 50, 2, 2).sum().item() == 0
    tops, lefts = np.array([0, 1, 8, 3]), np.array([5, 0, 2, 1])
    parts = F.crop(x, chainrule.tensor(tops), chainrule.tensor(lefts), 4, 5).numpy()
    for i in range(4):
        assert np.array_equal(parts[i], x.numpy()[i, :, tops[i] : tops[i] + 4, lefts[i] : lefts[i] + 5])


def test_center_and_five_and_ten_crops() -> None:
    x = images()
    assert np.array_equal(F.center_crop(x, (6, 4)).numpy(), x.numpy()[:, :, 3:9, 3:7])
    assert np.array_equal(F.center_crop(x, (14, 13)).numpy(), np.pad(x.numpy(), [(0, 0), (0, 0), (1, 1), (1, 2)]))
    parts = T.FiveCrop(4)(x)
    for part, (i, j) in zip(parts, [(0, 0), (0, 6), (8, 0), (8, 6), (4, 3)], strict=True):
        assert np.array_equal(part.numpy(), x.numpy()[:, :, i : i + 4, j : j + 4])
    ten = T.TenCrop(4)(x)
    assert len(ten) == 10 and all(chainrule.equal(a, b) for a, b in zip(ten[5:], F.five_crop(F.hflip(x), 4)))
    assert chainrule.equal(T.TenCrop(4, True)(x)[5], F.five_crop(F.vflip(x), 4)[0])


@pytest.mark.peer
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [True, False])
def test_resize_and_resized_crops_are_pytorch_interpolate(mode: str, antialias: bool) -> None:
    """Also those whose place and size differ from image to image: each is a slice, interpolated."""
    torch = pytest.importorskip("torch")
    x = images(5, 3, 20, 24)

    def theirs(part: Any, size: tuple[int, int]) -> Any:
        smooth = {"antialias": antialias} if mode.startswith("bi") else {}
        return torch.nn.functional.interpolate(torch.tensor(part), size, mode=mode, **smooth).numpy()

    for size in ((10, 12), (31, 9), (20, 24)):
        ours = T.Resize(size, mode, antialias=antialias)(x).numpy()
        np.testing.assert_allclose(ours, theirs(x.numpy(), size), atol=2e-6)
    tops, lefts, heights, widths = [0, 3, 1, 10, 19], [0, 5, 2, 14, 0], [20, 7, 15, 10, 1], [24, 9, 3, 10, 24]
    tensors = [chainrule.tensor(v) for v in (tops, lefts, heights, widths)]
    ours = F.resized_crop(x, *tensors, (8, 11), mode, antialias).numpy()
    for i, (t, l, h, w) in enumerate(zip(tops, lefts, heights, widths, strict=True)):
        part = x.numpy()[i : i + 1, :, t : t + h, l : l + w]
        np.testing.assert_allclose(ours[i : i + 1], theirs(part, (8, 11)), atol=2e-6)
        if i == 1:
            single = F.resized_crop(x[1], t, l, h, w, (8, 11), mode, antialias).numpy()
            np.testing.assert_allclose(single, ours[1], atol=2e-6)


def test_resize_of_pictures_is_pillows() -> None:
    x = bytes_(3, 30, 40)
    ours = np.asarray(T.Resize((11, 17))(F.to_pil_image(x))).astype(int)
    theirs = np.asarray(F.to_pil_image(x).resize((17, 11), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(ours - theirs).max() <= 1  # Pillow rounds between the two axes


def test_sizes_of_resize() -> None:
    x = images(1, 3, 20, 40)
    assert T.Resize(10)(x).shape[2:] == (10, 20) and T.Resize(10)(x.transpose(2, 3)).shape[2:] == (20, 10)
    assert T.Resize(10, max_size=16)(x).shape[2:] == (8, 16) and T.Resize([10])(x).shape[2:] == (10, 20)
    assert T.Resize(None, max_size=20)(x).shape[2:] == (10, 20)
    assert np.allclose(T.Resize((10, 20), "box")(x).numpy(), x.numpy().reshape(1, 3, 10, 2, 20, 2).mean((3, 5)))
    assert T.Resize(5, T.InterpolationMode.LANCZOS)(x).shape[2:] == (5, 10)


def test_rotations_by_right_angles() -> None:
    x = images(2, 3, 9, 9)
    for k in range(-4, 5):
        for mode in ("nearest", "bilinear"):
            np.testing.assert_allclose(
                F.rotate(x, 90 * k, mode).numpy(), np.rot90(x.numpy(), k, (2, 3)), atol=0 if mode == "nearest" else 1e-5
            )
    y = images(2, 3, 9, 6)
    assert np.array_equal(F.rotate(y, 90, expand=True).numpy(), np.rot90(y.numpy(), 1, (2, 3)))
    by_image = F.rotate(x, chainrule.tensor([90.0, 180.0])).numpy()
    assert np.array_equal(by_image[1], np.rot90(x.numpy()[1], 2, (1, 2)))
    assert np.array_equal(T.RandomRotation((90, 90), expand=True)(y).numpy(), np.rot90(y.numpy(), 1, (2, 3)))


def test_rotation_expanded_holds_everything() -> None:
    x = chainrule.ones(1, 1, 21, 31)
    for angle in (10, 33, 45, 77):
        whole = F.rotate(x, angle, "bilinear", expand=True)
        pixels = 21 * 31
        assert whole.sum().item() == pytest.approx(pixels, rel=0.01)
        turn = math.radians(angle)
        width, height = 31 * math.cos(turn) + 21 * math.sin(turn), 31 * math.sin(turn) + 21 * math.cos(turn)
        assert tuple(whole.shape[2:]) == (math.ceil(height), math.ceil(width))


@pytest.mark.parametrize("order", [0, 1])
def test_affine_is_scipys(order: int) -> None:
    """The inverse matrix, as the documentation of `affine_map` writes the map, handed to SciPy."""
    x = images(1, 1, 15, 19)
    angle, move, scale, shear = 20.0, (2.0, -1.0), 1.3, (8.0, -5.0)
    a, tx, ty = math.radians(angle), math.tan(math.radians(shear[0])), math.tan(math.radians(shear[1]))
    turn = np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
    matrix = scale * turn @ np.array([[1, 0], [-ty, 1]]) @ np.array([[1, -tx], [0, 1]])
    back = np.linalg.inv(matrix)[::-1, ::-1]  # SciPy counts (row, column)
    middle, shift = np.array([7.0, 9.0]), np.array(move[::-1])
    expected = ndimage.affine_transform(
        x.numpy()[0, 0].astype(float), back, middle - back @ (middle + shift), order=order, mode="grid-constant"
    )
    ours = F.affine(x, angle, move, scale, shear, ("nearest", "bilinear")[order]).numpy()[0, 0]
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    many = [chainrule.tensor([v]) for v in (angle, *move, scale, *shear)]
    each = F.affine(x, many[0], many[1:3], many[3], many[4:], ("nearest", "bilinear")[order]).numpy()[0, 0]
    np.testing.assert_allclose(each, ours, atol=1e-6)


def test_what_comes_in_has_the_fill() -> None:
    x = chainrule.ones(1, 3, 9, 9)
    y = F.affine(x, 0, (4, 0), 1.0, 0, fill=(0.1, 0.2, 0.3)).numpy()
    assert np.allclose(y[0, :, :, :4], np.reshape([0.1, 0.2, 0.3], (3, 1, 1))) and np.allclose(y[0, :, :, 4:], 1)
    assert np.allclose(F.rotate(x, 45, "bilinear", fill=[1.0]).numpy(), 1, atol=1e-6)
    assert np.allclose(F.rotate(x, 90, center=(0, 0)).numpy(), 0), "the image turns out of sight"


def test_perspective_takes_points_to_points() -> None:
    """A map that is affine is done by `affine` too; a marked pixel goes where its corner goes."""
    x = images(1, 1, 16, 16)
    square = [[0, 0], [15, 0], [15, 15], [0, 15]]
    moved = [[px + 3, py - 2] for px, py in square]
    np.testing.assert_allclose(
        F.perspective(x, square, moved).numpy(), F.affine(x, 0, (3, -2), 1.0, 0, "bilinear").numpy(), atol=1e-5
    )
    dot = chainrule.zeros(1, 1, 16, 16)
    dot[0, 0, 0, 15] = 1
    seen = F.perspective(dot, square, [[1, 2], [12, 3], [14, 13], [0, 15]], "nearest")
    assert seen[0, 0, 3, 12].item() == 1


def test_elastic_displacements_read_there() -> None:
    x = images(2, 3, 8, 10)
    shift = chainrule.zeros(1, 8, 10, 2)
    shift[..., 0] = 2 * 2 / 10  # two pixels to the right
    np.testing.assert_allclose(F.elastic_transform(x, shift).numpy()[..., :8], x.numpy()[..., 2:], atol=1e-6)
    assert np.allclose(T.ElasticTransform(0.0)(x).numpy(), x.numpy(), atol=1e-6)


# ---------------------------------------------------------------------------------------------- masks, keypoints

MOVES: dict[str, Any] = {
    "RandomHorizontalFlip": T.RandomHorizontalFlip(),
    "RandomVerticalFlip": T.RandomVerticalFlip(),
    "Pad": T.Pad((3, 1, 2, 5)),
    "CenterCrop": T.CenterCrop(30),
    "RandomCrop": T.RandomCrop(36, padding=2),
    "RandomCropSmall": T.RandomCrop(50, pad_if_needed=True),
    "Resize": T.Resize((60, 50)),
    "RandomResizedCrop": T.RandomResizedCrop(40, scale=(0.7, 1.0)),
    "RandomRotation": T.RandomRotation(60, "bilinear"),
    "RandomRotationExpanded": T.RandomRotation(60, "bilinear", expand=True),
    "RandomAffine": T.RandomAffine(30, (0.1, 0.1), (0.9, 1.3), (-10, 10, -10, 10), "bilinear"),
    "RandomPerspective": T.RandomPerspective(0.4, p=0.8),
    "ElasticTransform": T.ElasticTransform(8.0, 5.0),
    "RandomApply": T.RandomApply([T.RandomRotation(30), T.RandomHorizontalFlip()]),
    "RandomChoice": T.RandomChoice([T.RandomVerticalFlip(1.0), T.RandomRotation((90, 90))]),
    "RandomOrder": T.RandomOrder([T.RandomHorizontalFlip(), T.RandomRotation((90, 90))]),
    "RandAugment": T.RandAugment(interpolation="bilinear", num_ops=1, magnitude=3),
    "ColorJitter": T.ColorJitter((0.9, 1.0)),
}


@pytest.mark.parametrize("name", MOVES)
def test_keypoints_and_masks_go_with_the_image(name: str) -> None:
    """The centre of gravity of the spot is where the keypoint says, and the mask covers the spot."""
    pictures, places = spots(24)
    masks = (pictures > 0.5).long() * 7
    moved, mask, points = MOVES[name](pictures, masks, places)
    weights = moved.numpy()[:, 0].astype(float)
    assert set(np.unique(mask.numpy())) <= {0, 7} and mask.dtype is chainrule.int64 and points.dtype is places.dtype
    assert mask.shape == moved.shape
    rows, columns = np.mgrid[: weights.shape[1], : weights.shape[2]]
    points = points.numpy()[:, 0]
    for i in range(24):
        w = weights[i] * (weights[i] > 0.05 * weights[i].max())
        centre = np.array([(w * columns).sum(), (w * rows).sum()]) / w.sum()
        assert np.abs(centre - points[i]).max() < 0.6, (i, centre, points[i])
        spot = mask.numpy()[i, 0] == 7
        centre = np.array([columns[spot].mean(), rows[spot].mean()])
        assert np.abs(centre - points[i]).max() < 0.8


@pytest.mark.parametrize("name", ["ElasticTransform", "RandomAffine", "RandomPerspective", "RandomRotation"])
def test_keypoints_to_a_fraction_of_a_pixel(name: str) -> None:
    """An image that shows its own coordinates shows, where the keypoint has gone, where it came from."""
    transform = T.ElasticTransform(30.0, 4.0) if name == "ElasticTransform" else MOVES[name]
    transform = T.RandomPerspective(0.3, p=1.0) if name == "RandomPerspective" else transform
    rows, columns = np.mgrid[:40, :40].astype(float)
    x = chainrule.tensor(np.broadcast_to(np.stack([columns, rows]), (16, 2, 40, 40)).copy())
    places = np.random.default_rng(3).uniform(15, 25, (16, 5, 2))
    y, points = transform(x, chainrule.tensor(places))
    for i in range(16):
        for place, (column, row) in zip(places[i], points.numpy()[i], strict=True):
            found = [ndimage.map_coordinates(y.numpy()[i, k], [[row], [column]], order=1)[0] for k in range(2)]
            np.testing.assert_allclose(found, place, atol=0.1)


def test_a_marked_pixel_lands_exactly_where_its_keypoint_says() -> None:
    """For all that moves whole pixels, over many draws."""
    exact = T.Compose([
        T.RandomHorizontalFlip(), T.RandomVerticalFlip(), T.RandomCrop(24, padding=6), T.Pad((1, 2)),
        T.RandomChoice([T.RandomRotation((90, 90)), T.RandomAffine((180, 180), translate=(0.1, 0.1))]),
    ])  # fmt: skip
    x = chainrule.zeros(200, 1, 21, 21)
    rng = np.random.default_rng(0)
    place = rng.integers(5, 16, (200, 2))
    for i, (column, row) in enumerate(place):
        x[i, 0, int(row), int(column)] = 1
    y, points = exact(x, chainrule.tensor(place.astype(np.float32)).unsqueeze(1))
    found = 0
    for i, (column, row) in enumerate(points.numpy()[:, 0]):
        if 0 <= round(row) < y.shape[2] and 0 <= round(column) < y.shape[3]:
            assert y[i, 0, round(row), round(column)].item() == 1 and abs(row - round(row)) < 1e-4
            found += 1
    assert found > 120


def test_boxes_in_dictionaries() -> None:
    image = images(1, 3, 20, 30)[0]
    sample = {
        "image": image,
        "boxes": chainrule.tensor([[2.0, 3.0, 10.0, 8.0]]),
        "labels": chainrule.tensor([4]),
        "id": "a",
    }
    flipped = T.RandomHorizontalFlip(1.0)(sample)
    assert flipped["boxes"].tolist() == [[20.0, 3.0, 28.0, 8.0]] and flipped["labels"].tolist() == [4]
    assert flipped["id"] == "a" and set(flipped) == set(sample) and sample["boxes"].tolist() == [[2.0, 3.0, 10.0, 8.0]]
    assert T.Resize((10, 60))(sample)["boxes"].tolist() == [[4.0, 1.5, 20.0, 4.0]]
    assert T.CenterCrop(10)(sample)["boxes"].tolist() == [[0.0, 0.0, 0.0, 3.0]], "cut off at the border"
    turned = T.RandomRotation((90, 90), expand=True)(sample)["boxes"]
    np.testing.assert_allclose(turned.numpy(), [[3, 20, 8, 28]], atol=1e-4)


def test_forms_of_samples() -> None:
    flip, x = T.RandomHorizontalFlip(1.0), images(1)[0]
    mask, points = x[0] > 0.5, chainrule.tensor([[0.0, 0.0], [4.0, 2.0]])
    label = chainrule.tensor([1.0, 2.0])
    assert isinstance(flip(x), chainrule.Tensor)
    _, b, c, d = flip(x, mask, points, label)
    assert chainrule.equal(b, mask.flip(-1)) and c.tolist() == [[9.0, 0.0], [5.0, 2.0]] and d is label
    assert b.dtype is chainrule.bool
    nested = flip([x, {"masks": mask.unsqueeze(0), "keypoints": points.long(), "target": x}])
    assert isinstance(nested, list) and nested[1]["target"] is x and nested[1]["keypoints"].tolist()[0] == [9.0, 0.0]
    assert nested[1]["masks"].shape == (1, 12, 10) and flip(({"image": x}, 3))[1] == 3
    batch, labels = flip((images(4), chainrule.arange(4)))
    assert batch.shape == (4, 3, 12, 10) and labels.tolist() == [0, 1, 2, 3]
    soft = chainrule.rand(4, 2)
    assert flip(images(), soft)[1] is soft, "soft labels of two classes are no keypoints"
    assert flip(images(6).reshape(2, 3, 3, 12, 10)).shape == (2, 3, 3, 12, 10)


def test_pictures_as_masks_keep_palette_and_indices() -> None:
    picture = F.to_pil_image(bytes_(3, 12, 10))
    mask = Image.fromarray((np.arange(120).reshape(12, 10) % 3).astype(np.uint8))
    mask.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    a, b = T.RandomRotation((90, 90), expand=True)(picture, mask)
    assert a.size == (12, 10) and b.mode == "P" and set(np.unique(np.asarray(b))) == {0, 1, 2}
    assert b.getpalette()[:9] == [255, 0, 0, 0, 255, 0, 0, 0, 255]
    whole = T.Compose([T.RandomHorizontalFlip(1.0), T.ToTensor()])
    x, y = whole(picture, mask)
    assert x.shape == (3, 12, 10) and y.shape == (1, 12, 10) and y.dtype is chainrule.uint8
    assert np.array_equal(y.numpy()[0], np.asarray(mask)[:, ::-1])
    assert T.Grayscale()(mask.convert("RGB")).mode == "L" and T.Pad(1)(picture.convert("CMYK")).mode == "CMYK"
