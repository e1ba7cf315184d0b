"""Classifying images: known data sets by name, or a folder of images with one folder for each class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from chainrule import nn
from chainrule.errors import DataError
from chainrule.functions.creation import from_numpy, zeros
from chainrule.nn.module import Module
from chainrule.tasks.settings import Settings
from chainrule.tasks.task import Parts, Task
from chainrule.tensor import Tensor
from chainrule.train.classifier import classify

#: The side that images of a folder get unless told otherwise, if they are not smaller.
FOLDER_SIZE = 64
#: Networks that flatten the pixels at once: 8×8 do as well, and moving the images would be harder than useful.
FLAT = ("mlp", "logistic_regression", "autoencoder_dense")


class ImageTask(Task):
    """Images (N, C, H, W), standardised, and their classes.

    Facts: "shape" (C, H, W); "mean" and "std" of the training pixels in [0, 1], one for each channel; "names".
    """

    kind = "images"
    samples = "images"
    asks = "image"
    defaults: ClassVar[Mapping[str, Any]] = {
        "epochs": 30, "batch_size": 32, "optimizer": "adam", "warmup": 0.0, "weight_decay": 0.0,
    }  # fmt: skip

    @classmethod
    def load(cls, settings: Settings) -> tuple[dict[str, Any], Parts]:
        """See `Task`."""
        from chainrule import data

        if Path(settings.data).is_dir() and settings.data not in data.names():
            splits = _load_folder(Path(settings.data), settings.size, settings.seed)
        else:
            # The digits' 8 pixels become 32 for convolutions; others stay as they are.
            size = settings.size or (32 if settings.data == "digits" and settings.model not in FLAT else None)
            splits = data.load(settings.data, size=size, root=settings.data_root)
            least = _smallest(settings)
            if settings.size is None and splits.train[0][0].shape[-1] < least:
                splits = data.load(settings.data, size=least, root=settings.data_root)
        facts = {
            "shape": list(splits.train[0][0].shape),
            "mean": np.asarray(splits.mean, float).reshape(-1).tolist(),
            "std": np.asarray(splits.std, float).reshape(-1).tolist(),
            "names": [str(name) for name in splits.names],
        }
        return facts, Parts(splits.train, splits.validation, splits.test)

    def defaults_for(self, settings: Settings, facts: dict[str, Any]) -> dict[str, Any]:
        """Small grey images get LeNet-5, colour ones a residual network, shifts and mirror images."""
        colour = facts["shape"][0] == 3
        model = settings.model or ("resnet10" if colour else "lenet5")
        plain = model in FLAT
        rate = {"sgd": 0.05, "adagrad": 0.01, "rmsprop": 1e-3}.get(settings.optimizer or "adam", 2e-3)
        return {
            **self.defaults, "model": model, "learning_rate": rate,
            "shift": 0 if plain else 4 if colour else 2, "flip": colour and not plain,
        }  # fmt: skip

    def build_model(self) -> Module:
        """See `Task`."""
        from chainrule import models

        entry = models.find(str(self.settings.model))
        options = entry.options_for(self.facts["shape"], len(self.facts["names"]))
        return models.create(entry.name, **{**options, **self.settings.model_options})

    def build_loss(self) -> Module:
        """Cross-entropy."""
        return nn.CrossEntropyLoss(label_smoothing=self.settings.label_smoothing)

    def metrics(self) -> list[Any]:
        """Accuracy."""
        return ["accuracy"]

    def build_transform(self) -> Callable[[Any], Any] | None:
        """Shifts and mirror images; what comes in at the border is black."""
        from chainrule.data.transforms import Compose, RandomCrop, RandomHorizontalFlip

        parts: list[Any] = []
        if self.settings.shift:
            black = [-mean / std for mean, std in zip(self.facts["mean"], self.facts["std"], strict=True)]
            parts.append(RandomCrop(tuple(self.facts["shape"][1:]), padding=self.settings.shift, fill=black))
        if self.settings.flip:
            parts.append(RandomHorizontalFlip())
        return Compose(parts) if parts else None

    def report(self, model: Module, batches: Iterable[Any]) -> dict[str, Any]:
        """Confusions, figures for each class, the best and the worst images."""
        results = classify(model, batches, self.facts["names"])
        return {
            "confusion": (results.confusion, self.facts["names"]),
            "tables": {"Classes": results.per_class},
            "worst": results.examples(results.worst, self._show),
            "best": results.examples(results.best, self._show),
        }

    def _show(self, image: np.ndarray) -> np.ndarray:
        """Pixels in [0, 1] again: (H, W) grey or (H, W, 3)."""
        mean, std = (np.asarray(self.facts[name]).reshape(-1, 1, 1) for name in ("mean", "std"))
        pixels = np.asarray(image) * std + mean
        return pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1)

    def example_input(self, count: int) -> Tensor:
        """See `Task`."""
        return zeros(count, *self.facts["shape"])

    def predict(self, model: Module, inputs: Sequence[str], **options: Any) -> list[dict[str, Any]]:
        """The class of each image file; folders stand for the images in them."""
        return self.predict_files(model, image_files(inputs))

    def sample_from(self, given: Any, place: str) -> np.ndarray:
        """An image file's bytes as the network wants it, float32 (C, H, W)."""
        from chainrule.data.readers.folder import channels_first, decode_image

        channels, height, width = self.facts["shape"]
        picture = fitted(decode_image(given, place, "L" if channels == 1 else "RGB"), height, width)
        mean, std = (np.asarray(self.facts[name]).reshape(-1, 1, 1) for name in ("mean", "std"))
        return ((channels_first(picture) / 255 - mean) / std).astype(np.float32)

    def answers(self, model: Any, samples: Sequence[Any], **options: Any) -> list[dict[str, Any]]:
        """The likeliest class and the next, with their probabilities."""
        names, rows = self.facts["names"], []
        for shares in model(from_numpy(np.stack(samples))).softmax(1).numpy():
            order = np.argsort(-shares)
            row = {"class": names[order[0]], "probability": float(shares[order[0]])}
            if len(order) > 1:
                row |= {"next": names[order[1]], "its probability": float(shares[order[1]])}
            rows.append(row)
        return rows


def _smallest(settings: Settings) -> int:
    """The least side of images that the network takes."""
    from chainrule.models import find

    return 1 if settings.model is None else find(settings.model).smallest


def fitted(picture: Any, height: int, width: int, method: Any = None) -> Any:
    """The largest middle part of that shape, resized: bicubic, or by another of Pillow's methods."""
    from PIL import Image, ImageOps

    if picture.size == (width, height):
        return picture
    return ImageOps.fit(picture, (width, height), Image.Resampling.BICUBIC if method is None else method)


def image_files(inputs: Sequence[str]) -> list[Path]:
    """The files, and those in the folders. Raises DataError for a folder without images."""
    from chainrule.data.readers.folder import IMAGE_ENDINGS, image_paths

    files: list[Path] = []
    for name in inputs:
        path = Path(name)
        if path.is_dir():
            found = [Path(found) for found in image_paths(path)]
            if not found:
                raise DataError(f"{path} has no images in it ({', '.join(IMAGE_ENDINGS)}).")
            files += found
        else:
            files.append(path)
    return files


def _load_folder(root: Path, size: int | None, seed: int) -> Any:
    """A folder with a folder for each class, divided 80 : 10 : 10; or one with `train` and `test` in it."""
    from chainrule.data.known import divide_images
    from chainrule.data.readers.folder import ImageFolder
    from chainrule.data.split import stratified_split

    if (root / "train").is_dir() and (root / "test").is_dir():
        folders = [ImageFolder(root / "train"), ImageFolder(root / "test")]
        if folders[0].classes != folders[1].classes:
            raise DataError(f"{root}: train and test have not the same classes.")
        size = size or _usual_size(folders[0])
        (images, labels), (test_images, test_labels) = (_read_folder(folder, size) for folder in folders)
    else:
        folders = [ImageFolder(root)]
        images, labels = _read_folder(folders[0], size or _usual_size(folders[0]))
        rest, test = stratified_split(labels, (0.9, 0.1), seed)
        test_images, test_labels, images, labels = images[test], labels[test], images[rest], labels[rest]
    if not len(test_labels):
        raise DataError(f"{root} has too few images to divide: at least 10 of each class are needed.")
    return divide_images(images, labels, test_images, test_labels, None, seed, folders[0].classes)


def _usual_size(folder: Any) -> int:
    return min(FOLDER_SIZE, *folder[0][0].shape[1:])


def _read_folder(folder: Any, size: int) -> tuple[np.ndarray, np.ndarray]:
    from chainrule.data.readers.folder import channels_first, read_image
    from chainrule.data.readers.source import MAX_BYTES

    if len(folder) * 3 * size * size > MAX_BYTES:
        raise DataError(
            f"{folder.root}: {len(folder):,} images of {size} × {size} pixels are too many to hold; choose a smaller "
            "size, or train from Python with an ImageFolder and a DataLoader with workers."
        )
    images = np.empty((len(folder), 3, size, size), np.uint8)
    for number, (path, _) in enumerate(folder.samples):
        images[number] = channels_first(fitted(read_image(path), size, size))
    return images, folder.labels
