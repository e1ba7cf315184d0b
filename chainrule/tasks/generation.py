"""Making images: generative models learn from images alone, or from images and classes, and draw new ones."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from chainrule import optim
from chainrule.autodiff.mode import no_grad
from chainrule.data.dataset import TensorDataset
from chainrule.data.split import stratified_split
from chainrule.errors import DataError
from chainrule.functions.creation import from_numpy, full
from chainrule.generative.makers import Adversaries, DiffusionMaker, Maker
from chainrule.nn.device_of import device_of
from chainrule.nn.module import Module
from chainrule.random import default_generator, manual_seed
from chainrule.tasks.images import image_files
from chainrule.tasks.making import AdversarialTrainer, PartsLoss, SampleGrids, WatchedAdversaries, grid_png
from chainrule.tasks.pictures import is_known, read_pictures
from chainrule.tasks.settings import Settings
from chainrule.tasks.task import Parts, Task
from chainrule.tensor import Tensor
from chainrule.train.callbacks import Callback
from chainrule.train.doctor import Doctor
from chainrule.train.trainer import Trainer

#: How many values a pixel of a data set can have; 256 where nothing is said.
LEVELS = {"digits": 17}


class GenerationTask(Task):
    """Images with pixels in [0, 1]. Data: known images, or a folder with images in it, in any order.

    Facts: "shape" (C, H, W), "levels" (how many values a pixel can have), "names" of the classes, [] for a folder.
    """

    kind = "generation"
    samples = "images"
    defaults: ClassVar[Mapping[str, Any]] = {
        "epochs": 30, "batch_size": 64, "optimizer": "adam", "learning_rate": 1e-3, "warmup": 0.0, "weight_decay": 0.0,
        "shift": 0, "flip": False,
    }  # fmt: skip

    @classmethod
    def load(cls, settings: Settings) -> tuple[dict[str, Any], Parts]:
        """See the class."""
        from chainrule import data

        if is_known(settings.data) or not Path(settings.data).exists():
            splits = data.load(settings.data, size=settings.size, root=settings.data_root)
            parts = [_pixels(part, splits.mean, splits.std) for part in splits[:3]]
            names = [str(name) for name in splits.names]
        else:
            images = read_pictures(image_files([settings.data]), settings.size)
            if len(images) < 10:
                raise DataError(f"there are {len(images)} images; to divide them at least 10 are needed.")
            none = np.zeros(len(images), np.int64)
            rows = stratified_split(none, (0.8, 0.1, 0.1), settings.seed)
            parts = [(from_numpy(images[row].astype(np.float32) / 255), from_numpy(none[row])) for row in rows]
            names = []
        told = bool(settings.model_options.get("conditional"))
        if told and not names:
            raise ValueError(f"{settings.data} has no classes, so no model can be told one: leave out conditional.")
        kind = _Told if told else TensorDataset
        levels = 256 if settings.size else LEVELS.get(settings.data, 256)
        facts = {"shape": list(parts[0][0].shape[1:]), "levels": levels, "names": names}
        return facts, Parts(*(kind(*part) for part in parts))

    def defaults_for(self, settings: Settings, facts: dict[str, Any]) -> dict[str, Any]:
        """Adversaries move with small steps, and each of several in a round sees its own images."""
        if settings.model in ("gan", "dcgan"):
            return {**self.defaults, "epochs": 60, "learning_rate": 2e-4}
        if settings.model == "wgan-gp":
            return {**self.defaults, "epochs": 100, "batch_size": 320, "learning_rate": 2e-4}
        if settings.model == "ddpm":  # many small steps: what is drawn in each, time and noise, is noise of its own
            return {**self.defaults, "batch_size": 32, "learning_rate": 2e-3, "warmup": 0.02}
        if settings.model == "realnvp":
            return {**self.defaults, "clip_norm": 1.0}
        return dict(self.defaults)

    def build_model(self) -> Maker:
        """See `Task`."""
        from chainrule import models

        entry = models.find(str(self.settings.model))
        outputs = self.facts["levels"] if "levels" in entry.options else len(self.facts["names"])
        options = entry.options_for(self.facts["shape"], outputs)
        return self.as_maker(models.create(entry.name, **{**options, **self.settings.model_options}))

    def build_loss(self) -> Module:
        """What the parts of the model's loss come to, logged each."""
        return PartsLoss(self.build_model())

    def build_trainer(self, model: Module, loss: Any, optimizer: optim.Optimizer, **settings: Any) -> Trainer:
        """Adversaries take turns."""
        if self.settings.precision != "float32" and not isinstance(model, DiffusionMaker):
            raise ValueError(f"{self.settings.model} learns in float32; of what generates ddpm alone has bfloat16.")
        if self.settings.average is not None and isinstance(model, Adversaries):
            raise ValueError("adversaries keep a mean of the generator by themselves: --set average=… is its decay.")
        if isinstance(model, Adversaries):
            if self.settings.gradient_flow:
                raise ValueError("--gradient-flow follows one network's loss, and adversaries have one each.")
            return AdversarialTrainer(model, loss, optimizer, **settings)
        return Trainer(model, loss, optimizer, **settings)

    def optimizer_options(self, model: Module) -> dict[str, Any]:
        """Adversaries are moving targets for each other: what was long ago counts little."""
        adam = self.settings.optimizer in ("adam", "adamw", "nadam")
        return {"betas": (0.5, 0.9)} if adam and isinstance(model, Adversaries) else {}

    def build_transform(self) -> None:
        """None: moved images are other data."""
        if self.settings.shift or self.settings.flip:
            raise ValueError(f"--shift and --flip make other data, and {self.settings.model} is to learn these.")

    def callbacks(self, path: Path) -> list[Callback]:
        """Samples while it learns."""
        return [SampleGrids(path / "samples", self.draw)]

    def watching(self, doctor: Doctor, model: Module, parts: Parts) -> Callback:
        """Adversaries are watched as what they are."""
        return WatchedAdversaries(doctor, parts.validation) if isinstance(model, Adversaries) else doctor

    def report(self, model: Module, batches: Iterable[Any]) -> dict[str, Any]:
        """Samples of the weights that were chosen, beside real ones."""
        model = self.as_maker(model)
        inputs = next(iter(batches))[0]
        images = inputs[0] if isinstance(inputs, tuple | list) else inputs
        return {
            "pictures": {
                "Samples": grid_png(self.draw(model, model.grid)),
                "Real ones": grid_png(images[: model.grid]),
            }
        }

    def as_maker(self, model: Module) -> Maker:
        """The model of a run of this task, as what it is."""
        assert isinstance(model, Maker)
        return model

    def draw(self, model: Maker, count: int, label: int | None = None, seed: int = 0, **options: Any) -> Tensor:
        """New images, (count, C, H, W) in [0, 1], of one class or of all in turn; the same for the same seed.

        The generator of random numbers is as before afterwards. Raises ValueError for a class or an option that there
        is not.
        """
        known = list(inspect.signature(model.draw).parameters)[2:]
        for name in options:
            if name not in known:
                raise ValueError(f"{self.settings.model} draws with {', '.join(known) or 'no options'}, not {name!r}.")
        before, mode = default_generator.get_state(), model.training
        try:
            manual_seed(seed)
            with no_grad():
                drawn: Tensor = model.eval().draw(count, self._labels(model, count, label), **options)
                return drawn
        finally:
            model.train(mode)
            default_generator.set_state(before)

    def _labels(self, model: Maker, count: int, label: int | None) -> Tensor | None:
        if not model.classes:
            if label is not None:
                raise ValueError(f"this {self.settings.model} knows no classes; --set conditional=true teaches them.")
            return None
        if label is not None and not 0 <= label < model.classes:
            raise ValueError(f"the classes are 0 to {model.classes - 1}, got {label}.")
        labels = from_numpy(np.arange(count) % model.classes) if label is None else full((count,), label)
        return labels.to(device_of(model))

    def predict(self, model: Module, inputs: Sequence[str], **options: Any) -> list[dict[str, Any]]:
        """Nothing. Raises ValueError that says what it does instead."""
        raise ValueError(f"{self.settings.model} predicts nothing, it draws: chainrule sample RUN.")


class _Told(TensorDataset):
    """Samples ((image, class), class): the model is given the class too."""

    def __getitem__(self, index: Any) -> Any:
        image, label = super().__getitem__(index)
        return (image, label), label

    def read_batch(self, places: Any) -> Any:
        """A batch of such."""
        images, labels = super().read_batch(places)
        return [(images, labels), labels]


def _pixels(part: Any, mean: Any, std: Any) -> tuple[Tensor, Tensor]:
    """A standardised part of known data as pixels in [0, 1], with labels."""
    images, labels = part[:]
    return (images * std + mean).clamp(0, 1), labels
