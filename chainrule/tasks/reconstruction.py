"""Making the input again: autoencoders learn from images alone, labels or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from chainrule import nn
from chainrule.data.dataset import TensorDataset
from chainrule.functions.pieces import cat
from chainrule.nn.module import Module
from chainrule.tasks.images import ImageTask, image_files
from chainrule.tasks.pictures import PictureTask, divide, is_known, read_pictures
from chainrule.tasks.settings import Settings
from chainrule.tasks.task import Parts


class ReconstructionTask(PictureTask):
    """Images, and the same images as targets. Data: known images, or a folder with images in it, in any order.

    Facts: those of `PictureTask`.
    """

    kind = "reconstruction"
    defaults: ClassVar[Mapping[str, Any]] = {
        "epochs": 30, "batch_size": 64, "optimizer": "adam", "learning_rate": 2e-3, "warmup": 0.0, "weight_decay": 0.0,
        "shift": 0, "flip": False,
    }  # fmt: skip

    @classmethod
    def load(cls, settings: Settings) -> tuple[dict[str, Any], Parts]:
        """See the class."""
        if is_known(settings.data):
            facts, parts = ImageTask.load(settings)
            facts = {name: facts[name] for name in ("shape", "mean", "std")}
        else:
            images = read_pictures(image_files([settings.data]), settings.size)
            facts, parts = divide([images], [np.zeros(len(images))], settings.seed)
        pairs = [TensorDataset(part[:][0], part[:][0]) for part in parts]
        return facts, Parts(*pairs)

    def build_model(self) -> Module:
        """See `Task`."""
        from chainrule import models

        entry = models.find(str(self.settings.model))
        return models.create(entry.name, **{**entry.options_for(self.facts["shape"], 0), **self.settings.model_options})

    def build_loss(self) -> Module:
        """The squared error, in units of the pixels' variance: 1 for who says the mean."""
        return nn.MSELoss()

    def predict(
        self, model: Module, inputs: Sequence[str], masks: Path | None = None, **options: Any
    ) -> list[dict[str, Any]]:
        """The error of each image: large ones are unlike what was learned. The reconstructions as files in `masks`."""
        from PIL import Image

        def write(file: Path, sample: Any) -> None:
            if masks is not None:
                masks.mkdir(parents=True, exist_ok=True)
                pixels = (self.pixels(model(sample).numpy())[0] * 255).round().astype(np.uint8)
                Image.fromarray(pixels).save(masks / f"{file.stem}.png")

        return self.predict_files(model, image_files(inputs), write)

    def answers(self, model: Any, samples: Sequence[Any], **options: Any) -> list[dict[str, Any]]:
        """The mean squared error."""
        x = cat(samples)
        return [{"error": float(error)} for error in (model(x) - x).square().flatten(1).mean(1).numpy()]
