"""Segmentation, regression of pixels, keypoints and autoencoders as runs: their data, what is learned, what is answered."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import chainrule
from chainrule.data.scenes import digit_scenes, extremes
from chainrule.tasks import Settings, load_task, open_run, train_run


def squares(folder: Path, count: int = 40, size: int = 16) -> list[tuple[int, int, int]]:
    """Images with a bright square on dark noise; masks; brightness as targets; the square's corner in a table."""
    random = np.random.default_rng(0)
    for name in ("images", "masks", "targets"):
        (folder / name).mkdir(parents=True)
    rows = []
    for number in range(count):
        side = int(random.integers(4, 8))
        left, top = (int(x) for x in random.integers(0, size - side, 2))
        image, mask = random.integers(0, 60, (size, size, 3)), np.zeros((size, size), np.uint8)
        image[top : top + side, left : left + side] += 180
        mask[top : top + side, left : left + side] = 1
        Image.fromarray(image.astype(np.uint8)).save(folder / "images" / f"{number:03}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{number:03}.png")
        Image.fromarray(mask * 200).save(folder / "targets" / f"{number:03}.png")
        rows.append((left, top, side))
    with open(folder / "points.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "first_x", "first_y", "last_x", "last_y"])
        for number, (left, top, side) in enumerate(rows):
            writer.writerow([f"images/{number:03}.png", left, top, left + side - 1, top + side - 1])
    return rows


def test_segmentation_of_a_folder(tmp_path: Path) -> None:
    rows = squares(tmp_path / "data")
    settings = Settings(data=str(tmp_path / "data"), model="unet", model_options={"base": 4, "depth": 2}, epochs=12, batch_size=4, learning_rate=0.02)  # fmt: skip
    found = train_run(settings, tmp_path / "run")
    assert found.test["iou"] > 0.8 and found.test["accuracy"] > 0.9
    opened = open_run(tmp_path / "run")
    masks = tmp_path / "found"
    answers = opened.task.predict(opened.model, [str(tmp_path / "data" / "images")], masks=masks)
    for (_, _, side), answer in zip(rows, answers, strict=True):
        written = np.asarray(Image.open(masks / Path(answer["file"]).name))
        assert answer["1"] == pytest.approx((written == 1).mean()) and abs(answer["1"] - side**2 / 256) < 0.2


def test_regression_of_pixels(tmp_path: Path) -> None:
    squares(tmp_path / "data")
    settings = Settings(data=str(tmp_path / "data"), model="unet_regression", model_options={"base": 4, "depth": 2}, epochs=10, batch_size=4, learning_rate=0.02)  # fmt: skip
    found = train_run(settings, tmp_path / "run")
    assert found.test["mae"] < 0.08  # the mean of all pixels misses by 0.16
    opened = open_run(tmp_path / "run")
    row = opened.task.predict(opened.model, [str(tmp_path / "data" / "images" / "000.png")], masks=tmp_path / "out")[0]
    assert row["least"] < 0.3 < 0.5 < row["largest"] and (tmp_path / "out" / "000.png").exists()


def test_keypoints_of_a_table(tmp_path: Path) -> None:
    rows = squares(tmp_path / "data", 60)
    settings = Settings(data=str(tmp_path / "data" / "points.csv"), model="keypoints", model_options={"channels": [8, 16]}, epochs=25, batch_size=8)  # fmt: skip
    task, parts = load_task(settings)
    assert task.facts["names"] == ["first", "last"] and parts.train[0][1].shape == (2, 2)
    found = train_run(settings, tmp_path / "run")
    assert found.test["distance"] < 3  # a square's side is 4 to 7, and guessing the middle misses by about 4
    opened = open_run(tmp_path / "run")
    answers = opened.task.predict(opened.model, [str(tmp_path / "data" / "images")])
    errors = [abs(answer["first_x"] - left) for (left, _, _), answer in zip(rows, answers, strict=True)]
    assert np.mean(errors) < 2


def test_places_are_those_of_the_file_whatever_its_size(tmp_path: Path) -> None:
    """An image of 40×20 is seen as its middle 20×20: a point in the middle of the file is in the middle."""
    Image.new("RGB", (40, 20)).save(tmp_path / "a.png")
    lines = ["file,p_x,p_y", *["a.png,19.5,9.5"] * 12]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    _, parts = load_task(Settings(data=str(tmp_path / "t.csv"), model="keypoints", size=8))
    np.testing.assert_allclose(parts.train[0][1].numpy(), 0, atol=1e-6)


def test_an_autoencoder_reconstructs_and_notices_what_is_strange(tmp_path: Path) -> None:
    settings = Settings(data="digits", model="autoencoder_dense", model_options={"code": 12, "hidden": [48]}, epochs=15)
    found = train_run(settings, tmp_path / "run")
    assert found.test["loss"] < 0.35  # the mean explains nothing: 1
    noise = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    opened = open_run(tmp_path / "run")
    row = opened.task.predict(opened.model, [str(tmp_path / "noise.png")], masks=tmp_path / "out")[0]
    assert row["error"] > 3 * found.test["loss"] and (tmp_path / "out" / "noise.png").exists()


def test_scenes_say_what_is_in_them() -> None:
    train, _, test = digit_scenes(size=20, digits=1, digit_size=8)
    assert train.images.shape == (1258, 1, 20, 20) and len(test.images) == 359
    for image, mask, points in list(zip(*train))[:50]:
        assert (image[0][mask == 0] <= 128).all() and (image[0][mask > 0] >= 127).all()
        assert len(np.unique(mask[mask > 0])) == 1, "one digit, one class"
        rows, columns = np.nonzero(mask)
        want = [rows.min(), rows.max(), columns.min(), columns.max()]
        np.testing.assert_allclose([points[0, 1], points[1, 1], points[2, 0], points[3, 0]], want)
    with pytest.raises(ValueError, match="do not fit"):
        digit_scenes(size=8, digit_size=16)
    np.testing.assert_array_equal(extremes(np.zeros((4, 6))), np.tile([2.5, 1.5], (4, 1)))


def broken(folder: Path, what: str) -> Settings:
    squares(folder)
    if what == "no masks":
        (folder / "masks").rename(folder / "other")
    if what == "alone":
        (folder / "masks" / "003.png").unlink()
    if what == "colour":
        Image.new("RGB", (16, 16)).save(folder / "masks" / "003.png")
    if what == "another size":
        Image.new("L", (8, 16)).save(folder / "masks" / "003.png")
    return Settings(data=str(folder), model="unet", **({"shift": 2} if what == "moved" else {}))


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("no masks", "no folder masks; it should have images/ and masks/"),
        ("alone", "1 files have no partner .*images/003"),
        ("colour", "mode RGB; a file in masks/ has one number"),
        ("another size", r"003.png has \(8, 16\) pixels"),
        ("moved", "--shift and --flip move images only"),
    ],
)
def test_what_is_wrong_with_masks_is_said(tmp_path: Path, what: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        task, _ = load_task(broken(tmp_path / "data", what))
        task.build_transform()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("file,x,y\n", "two for each point: nose_x, nose_y"),
        ("file,a_x\n", "two for each point"),
        ("file,a_x,a_y\nb.png,1,2\n", "line 2: there is no file"),
        ("file,a_x,a_y\na.png,1\n", "line 2: 2 values, the first line has 3"),
        ("file,a_x,a_y\na.png,1,two\n", "line 2: could not convert"),
        ("file,a_x,a_y\na.png,1,nan\n", "finite"),
        ("", "first line"),
    ],
)
def test_what_is_wrong_with_points_is_said(tmp_path: Path, text: str, says: str) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(chainrule.DataError, match=says):
        load_task(Settings(data=str(tmp_path / "t.csv"), model="keypoints"))


@pytest.mark.parametrize(
    ("model", "options", "says"),
    [
        ("linear_regression", {"classify": True}, "gives numbers"),
        ("logistic_regression", {}, "gives classes"),
        ("keypoints", {"data": "shakespeare"}, "learns from points, and 'shakespeare' is a text"),
        ("unet_regression", {"data": "digits"}, "no numbers for its pixels"),
    ],
)  # fmt: skip
def test_networks_and_data_that_do_not_go_together(
    tmp_path: Path, model: str, options: dict[str, Any], says: str
) -> None:
    table = tmp_path / "t.csv"
    table.write_text("a,b\n" + "\n".join(f"{i},{i % 7}" for i in range(40)) + "\n")
    with pytest.raises(ValueError, match=says):
        task, _ = load_task(Settings(**{"data": str(table), "target": "b", "model": model, **options}))
        task.build_model()


def test_linear_regression_on_a_table_comes_near_the_closed_form(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal((200, 3))
    y = x @ [1.0, -2.0, 0.5] + 3 + 0.1 * random.standard_normal(200)
    np.savetxt(tmp_path / "t.csv", np.column_stack([x, y]), delimiter=",", header="a,b,c,y", comments="")
    found = train_run(Settings(data=str(tmp_path / "t.csv"), target="y", model="linear_regression", epochs=60, learning_rate=0.02), tmp_path / "run")  # fmt: skip
    assert found.test["r2"] > 0.98
    model = chainrule.models.LinearRegression(3).solve(chainrule.tensor(x), chainrule.tensor(y))
    np.testing.assert_allclose(model.linear.weight.detach().numpy()[0], np.linalg.lstsq(np.c_[x, np.ones(200)], y)[0][:3], rtol=1e-4)  # fmt: skip
