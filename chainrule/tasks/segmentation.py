"""A decision about every pixel: its class (segmentation) or a number (regression of pixels)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from chainrule import nn
from chainrule.autodiff.mode import no_grad
from chainrule.data.scenes import digit_scenes
from chainrule.errors import DataError
from chainrule.functions.pieces import cat
from chainrule.nn.evaluation import evaluation_mode
from chainrule.nn.module import Module
from chainrule.tasks.images import fitted, image_files
from chainrule.tasks.pictures import PictureTask, divide, files_by_stem, is_known, read_pictures
from chainrule.tasks.settings import Settings
from chainrule.tasks.task import Parts

#: Pixels of a mask with this value belong to no class and do not count.
IGNORED = 255
#: The side of composed scenes unless told otherwise.
SCENE_SIZE = 32


class SegmentationTask(PictureTask):
    """Images and the class of each pixel, int64 (N, H, W).

    A folder has `images/` and `masks/`, in them files of the same names: a mask's values are classes, 255 counts for
    none. Of "digits", "mnist" and "fashion-mnist" scenes are composed, two of them in each; class 0 is the background.
    Facts: those of `PictureTask`, and "names" of the classes.
    """

    kind = "segmentation"
    defaults: ClassVar[Mapping[str, Any]] = {
        "epochs": 30, "batch_size": 32, "optimizer": "adam", "learning_rate": 2e-3, "warmup": 0.0, "weight_decay": 0.0,
        "shift": 0, "flip": False,
    }  # fmt: skip

    @classmethod
    def load(cls, settings: Settings) -> tuple[dict[str, Any], Parts]:
        """See the class."""
        if is_known(settings.data):
            scenes = digit_scenes(settings.data, size=settings.size or SCENE_SIZE, root=settings.data_root)
            facts, parts = divide([s.images for s in scenes], [s.masks for s in scenes], settings.seed)
            return {**facts, "names": ["background", *map(str, range(10))]}, parts
        images, masks = _read_pairs(Path(settings.data), "masks", settings.size)
        targets = masks.astype(np.int64)
        classes = int(targets[targets != IGNORED].max(initial=0)) + 1
        facts, parts = divide([images], [targets], settings.seed)
        return {**facts, "names": list(map(str, range(classes)))}, parts

    def build_model(self) -> Module:
        """See `Task`."""
        from chainrule import models

        entry = models.find(str(self.settings.model))
        options = entry.options_for(self.facts["shape"], len(self.facts["names"]))
        return models.create(entry.name, **{**options, **self.settings.model_options})

    def build_loss(self) -> Module:
        """Cross-entropy, the mean over pixels."""
        return nn.CrossEntropyLoss(ignore_index=IGNORED, label_smoothing=self.settings.label_smoothing)

    def metrics(self) -> list[Any]:
        """The share of pixels that are right, and the mean over classes of intersection over union."""
        from chainrule.metrics import Accuracy, IoU

        return [Accuracy(ignore_index=IGNORED), IoU(ignore_index=IGNORED)]

    def report(self, model: Module, batches: Iterable[Any]) -> dict[str, Any]:
        """Intersection over union of each class."""
        from chainrule.metrics import IoU

        iou = IoU(average=None, ignore_index=IGNORED, num_classes=len(self.facts["names"]))
        with evaluation_mode(model), no_grad():
            for inputs, targets in batches:
                iou.update(model(inputs), targets)
        values = np.asarray(iou.compute())
        rows = [{"class": name, "IoU": float(v)} for name, v in zip(self.facts["names"], values, strict=True)]
        return {"tables": {"Classes": rows}}

    def predict(
        self, model: Module, inputs: Sequence[str], masks: Path | None = None, **options: Any
    ) -> list[dict[str, Any]]:
        """The share of each class in each image; the classes of its pixels as a PNG file in the folder `masks`."""

        def write(file: Path, sample: Any) -> None:
            if masks is not None:
                _write_mask(model(sample).argmax(1)[0].numpy(), masks / f"{file.stem}.png")

        return self.predict_files(model, image_files(inputs), write)

    def answers(self, model: Any, samples: Sequence[Any], **options: Any) -> list[dict[str, Any]]:
        """The share of each class."""
        names = self.facts["names"]
        rows = []
        for classes in model(cat(samples)).argmax(1).numpy():
            shares = np.bincount(classes.ravel(), minlength=len(names)) / classes.size
            rows.append(dict(zip(names, shares.tolist(), strict=True)))
        return rows


class PixelRegressionTask(PictureTask):
    """Images and a number for each pixel, float32 (N, 1, H, W), such as a depth.

    A folder has `images/` and `targets/`, in them files of the same names; a target's grey values 0 … 255 are the
    numbers 0 … 1.
    """

    kind = "pixels"
    defaults = SegmentationTask.defaults

    @classmethod
    def load(cls, settings: Settings) -> tuple[dict[str, Any], Parts]:
        """See the class."""
        if is_known(settings.data):
            raise DataError(f"{settings.data} has no numbers for its pixels; give a folder with images/ and targets/.")
        images, targets = _read_pairs(Path(settings.data), "targets", settings.size)
        return divide([images], [targets[:, None].astype(np.float32) / 255], settings.seed)

    def build_model(self) -> Module:
        """See `Task`."""
        from chainrule import models

        entry = models.find(str(self.settings.model))
        return models.create(entry.name, **{**entry.options_for(self.facts["shape"], 1), **self.settings.model_options})

    def build_loss(self) -> Module:
        """The squared error, the mean over pixels."""
        return nn.MSELoss()

    def metrics(self) -> list[Any]:
        """The mean absolute error, which outliers move less, and the root of the mean squared one."""
        return ["mae", "rmse"]

    def predict(
        self, model: Module, inputs: Sequence[str], masks: Path | None = None, **options: Any
    ) -> list[dict[str, Any]]:
        """The least, mean and largest number of each image; all of them as a grey PNG file in the folder `masks`."""

        def write(file: Path, sample: Any) -> None:
            if masks is not None:
                values = model(sample)[0, 0].numpy()
                _write_mask(np.round(np.clip(values, 0, 1) * 255), masks / f"{file.stem}.png")

        return self.predict_files(model, image_files(inputs), write)

    def answers(self, model: Any, samples: Sequence[Any], **options: Any) -> list[dict[str, Any]]:
        """The least, the mean and the largest number."""
        return [
            {"least": float(values.min()), "mean": float(values.mean()), "largest": float(values.max())}
            for values in model(cat(samples))[:, 0].numpy()
        ]


def _read_pairs(root: Path, second: str, size: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, 3, H, W) and what belongs to them, uint8 (N, H, W), from two folders with the same names."""
    from PIL import Image

    from chainrule.data.readers.folder import read_image

    for name in ("images", second):
        if not (root / name).is_dir():
            raise DataError(f"{root} has no folder {name}; it should have images/ and {second}/.")
    images, others = files_by_stem(root / "images"), files_by_stem(root / second)
    alone = sorted(set(images) ^ set(others))
    if alone:
        where = "images" if alone[0] in images else second
        raise DataError(f"{root}: {len(alone)} files have no partner of their name, first is {where}/{alone[0]}.")
    pictures = read_pictures(list(images.values()), size)
    side = pictures.shape[2]
    maps = np.empty((len(others), side, side), np.uint8)
    for number, (name, file) in enumerate(others.items()):
        picture = read_image(file, None)
        if read_image(images[name]).size != picture.size:
            raise DataError(f"{file} has {picture.size} pixels, its image another number.")
        if picture.mode not in ("L", "P", "1"):
            raise DataError(f"{file} is of mode {picture.mode}; a file in {second}/ has one number for each pixel.")
        picture = picture.convert("L") if picture.mode == "1" else picture
        maps[number] = np.asarray(fitted(picture, side, side, Image.Resampling.NEAREST))
    return pictures, maps


def _write_mask(values: np.ndarray, path: Path) -> None:
    from PIL import Image

    from chainrule.files import write_atomically

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda temporary: Image.fromarray(values.astype(np.uint8)).save(temporary))
