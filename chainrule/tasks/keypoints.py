"""The places of points in images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from chainrule import nn
from chainrule.data.readers.texts import read_rows
from chainrule.data.scenes import POINTS, digit_scenes
from chainrule.errors import DataError
from chainrule.functions.creation import from_numpy
from chainrule.functions.pieces import cat
from chainrule.models.keypoints import from_pixels, to_pixels
from chainrule.nn.module import Module
from chainrule.tasks.images import image_files
from chainrule.tasks.pictures import PictureTask, divide, is_known, read_pictures
from chainrule.tasks.segmentation import SCENE_SIZE, SegmentationTask
from chainrule.tasks.settings import Settings
from chainrule.tasks.task import Parts


class KeypointTask(PictureTask):
    """Images and the places of points in them, float32 (N, K, 2) from −1 to 1, x before y.

    A table (.csv) has a column with the image's file, relative to the table, and for each point two: nose_x, nose_y, in
    pixels of the file. Of "digits" and "mnist" scenes with one digit are composed; the points are where it is
    uppermost, lowest, farthest left and right. Facts: those of `PictureTask`, and "names" of the points.
    """

    kind = "keypoints"
    defaults: ClassVar[Mapping[str, Any]] = SegmentationTask.defaults

    @classmethod
    def load(cls, settings: Settings) -> tuple[dict[str, Any], Parts]:
        """See the class."""
        if is_known(settings.data):
            side = settings.size or SCENE_SIZE
            scenes = digit_scenes(settings.data, size=side, digits=1, root=settings.data_root)
            targets = [scaled(s.points, np.full(2, side)) for s in scenes]
            facts, parts = divide([s.images for s in scenes], targets, settings.seed)
            return {**facts, "names": list(POINTS)}, parts
        names, files, points = read_points(Path(settings.data))
        images = read_pictures(files, settings.size)
        facts, parts = divide([images], [_into_middle(points, files)], settings.seed)
        return {**facts, "names": names}, parts

    def build_model(self) -> Module:
        """See `Task`."""
        from chainrule import models

        entry = models.find(str(self.settings.model))
        options = entry.options_for(self.facts["shape"], len(self.facts["names"]))
        return models.create(entry.name, **{**options, **self.settings.model_options})

    def build_loss(self) -> Module:
        """The squared error."""
        return nn.MSELoss()

    def metrics(self) -> list[Any]:
        """The mean distance from the true place, in pixels of the network's images."""
        from chainrule.metrics import MeanOf

        half = self.facts["shape"][1] / 2

        def distance(output: Any, target: Any) -> Any:
            return ((output - target).norm(dim=-1) * half).mean(-1)

        return [MeanOf(distance, "distance")]

    def predict(self, model: Module, inputs: Sequence[str], **options: Any) -> list[dict[str, Any]]:
        """The places in each image, in pixels of its file."""
        return self.predict_files(model, image_files(inputs))

    def sample_from(self, given: Any, place: str) -> Any:
        """The image as the network wants it, and the size that it had."""
        from chainrule.data.readers.folder import decode_image

        image = decode_image(given, place, self._mode)
        return self._standardised(image), image.size

    def answers(self, model: Any, samples: Sequence[Any], **options: Any) -> list[dict[str, Any]]:
        """The places, in pixels of the image as it was given."""
        rows = []
        found = model(cat([image for image, _ in samples]))
        for places, (_, size) in zip(found, samples, strict=True):
            side = min(size)
            # The middle part was looked at.
            pixels = to_pixels(places, side, side).numpy() + (np.asarray(size) - side) / 2
            row: dict[str, Any] = {}
            for name, (x, y) in zip(self.facts["names"], pixels.tolist(), strict=True):
                row |= {f"{name}_x": x, f"{name}_y": y}
            rows.append(row)
        return rows


def scaled(points: np.ndarray, size: np.ndarray) -> np.ndarray:
    """From pixels to −1 … 1, float32; the size as (width, height)."""
    return from_pixels(from_numpy(points.astype(np.float32)), int(size[1]), int(size[0])).numpy()


def _into_middle(points: np.ndarray, files: Sequence[Path]) -> np.ndarray:
    """From pixels of the files to −1 … 1 in the largest square in their middles, which is what the network sees."""
    from chainrule.data.readers.folder import read_image

    targets = np.empty_like(points)
    for number, file in enumerate(files):
        size = np.asarray(read_image(file).size)
        side = size.min()
        targets[number] = scaled(points[number] - (size - side) / 2, np.full(2, side))
    return targets


def read_points(table: Path) -> tuple[list[str], list[Path], np.ndarray]:
    """The names of the points, the image files, and the places in pixels, float32 (N, K, 2), from a CSV file.

    Raises DataError for columns that are no points, rows of another length, numbers that are none, files that are not
    there.
    """
    heading, rows = read_rows(table)
    columns = [name for name in heading if name.endswith("_x")]
    names = [name.removesuffix("_x") for name in columns]
    others = [name for name in heading if not name.endswith(("_x", "_y"))]
    if not names or len(others) != 1 or any(f"{name}_y" not in heading for name in names):
        raise DataError(
            f"{table}: its first line should name one column of image files, and two for each point: nose_x, nose_y; "
            f"it has {', '.join(heading)[:200]}."
        )
    files, points = [], np.empty((len(rows), len(names), 2), np.float32)
    for number, row in enumerate(rows):
        place = f"{table}, line {number + 2}"
        values = dict(zip(heading, row, strict=True))
        path = table.parent / values[others[0]]
        if not path.is_file():
            raise DataError(f"{place}: there is no file {path}.")
        files.append(path)
        try:
            points[number] = [[float(values[f"{name}_{axis}"]) for axis in "xy"] for name in names]
        except ValueError as error:
            raise DataError(f"{place}: {error}.") from None
    if not np.isfinite(points).all():
        raise DataError(f"{table}: places are finite numbers.")
    return names, files, points
