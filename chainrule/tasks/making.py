"""What runs of generative models need beside their task: losses by parts, turns, grids of samples, a doctor."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from chainrule import optim
from chainrule.data.dataset import Dataset
from chainrule.files import write_atomically
from chainrule.generative.makers import Adversaries, Maker
from chainrule.nn.device_of import device_of
from chainrule.nn.losses.generative import WeightedSum
from chainrule.nn.module import Module
from chainrule.random import default_generator
from chainrule.tensor import Tensor
from chainrule.train.callbacks import Callback
from chainrule.train.doctor import Doctor
from chainrule.train.trainer import Batch, Trainer

#: The trainer's step below reads what counts when it is compiled, as in a user's code.
__observed__ = True

#: Grids are drawn after the first epoch, and so often in all.
GRIDS = 6


class PartsLoss(Module):
    """The mean of each part of a model's loss, kept by name for the log, and their weighted sum."""

    def __init__(self, model: Maker) -> None:
        super().__init__()
        self.names = model.parts
        self.total = WeightedSum(**dict(zip(model.parts, model.weights, strict=True)))

    def forward(self, output: Tensor, targets: Any) -> Tensor:
        """output: (N, parts)."""
        return self.total(**{name: output[:, i].mean() for i, name in enumerate(self.names)})


class AdversarialTrainer(Trainer):
    """A trainer whose batch is a round: the discriminator's steps, each on a part of it, then the generator's.

    One optimiser holds the parameters of both networks; only what has a gradient moves. The gradients' norm in a
    `Batch` is the generator's. Raises ValueError for clipped or accumulated gradients.
    """

    def __init__(self, model: Adversaries, loss: Any, optimizer: optim.Optimizer, **settings: Any) -> None:
        if settings.get("accumulate", 1) > 1 or settings.get("clip_norm") is not None:
            raise ValueError("adversaries take turns, with their gradients as they are: no --clip-norm, no accumulate.")
        self._turns = model.turns(optimizer)
        super().__init__(model, loss, optimizer, **settings)

    def _training_step(self, inputs: Any, targets: Any, last: bool, inside: bool) -> Any:
        real, labels = self.model.split(inputs)
        judged, made, _, push = self._turns.run(real, labels).unbind()
        output = self.model.measured(real[-1], None if labels is None else labels[-1], judged, made)
        return self.loss(output, targets), output, push, None


class WatchedAdversaries(Callback):
    """Tells a doctor what rounds measured, and shows it samples at the end.

    Args:
        doctor: looks at losses and samples only, not into the networks.
        data: real images, which samples are compared with.
    """

    def __init__(self, doctor: Doctor, data: Dataset) -> None:
        self.doctor, self.data = doctor, data

    def on_batch_end(self, trainer: Trainer, batch: Batch) -> None:
        """A round."""
        model = trainer.model
        assert isinstance(model, Adversaries)
        judged = float(batch.output[0, model.parts.index("discriminator")].item())
        self.doctor.observe_adversaries(model.loss, judged, batch.gradient_norm)

    def on_fit_end(self, trainer: Trainer) -> None:
        """Compare samples with real images; the draws change nothing for what comes after."""
        model, (inputs, labels) = trainer.model, self.data[:]
        assert isinstance(model, Adversaries)
        images = inputs[0] if isinstance(inputs, tuple | list) else inputs
        if trainer.epoch:
            state = default_generator.get_state()
            told = labels.to(device_of(model)) if model.classes else None
            self.doctor.observe_generator(model.draw(len(images), told), images)
            default_generator.set_state(state)
        self.doctor.write()

    def state_dict(self) -> dict[str, Any]:
        """The doctor's."""
        return self.doctor.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The doctor goes on."""
        self.doctor.load_state_dict(state)


class SampleGrids(Callback):
    """Draws a grid of samples now and then, always from the same random numbers, as files in a folder.

    Args:
        folder: of the files epoch-0001.png, ….
        draw: from a model and a count to images in [0, 1].
    """

    def __init__(self, folder: Path, draw: Callable[[Any, int], Tensor]) -> None:
        self.folder, self.draw = folder, draw

    def on_epoch_end(self, trainer: Trainer, row: dict[str, Any]) -> None:
        """After the first epoch, the last, and some between."""
        every, epoch = max(1, math.ceil(trainer.epochs / GRIDS)), trainer.epoch
        if epoch == 1 or epoch % every == 0 or epoch == trainer.epochs:
            self.folder.mkdir(parents=True, exist_ok=True)
            model: Any = trainer.model
            write_grid(self.draw(model, model.grid), self.folder / f"epoch-{epoch:04}.png")


def write_grid(images: Tensor, path: Path, columns: int | None = None) -> None:
    """Images (N, C, H, W) in [0, 1] side by side in one file, atomically."""
    data = grid_png(images, columns)
    write_atomically(path, lambda temporary: temporary.write_bytes(data))


def grid_png(images: Tensor, columns: int | None = None) -> bytes:
    """Images (N, C, H, W) in [0, 1] as a PNG file, in a square unless told otherwise; small ones are enlarged."""
    from PIL import Image

    from chainrule.vision.utils import make_grid

    grid = make_grid(images, nrow=columns or math.ceil(math.sqrt(len(images))), pad_value=0.5).cpu().numpy()
    pixels = (np.clip(np.moveaxis(grid, 0, -1), 0, 1) * 255).round().astype(np.uint8)
    picture = Image.fromarray(pixels)
    times = max(1, 400 // picture.width)
    memory = io.BytesIO()
    picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST).save(memory, "PNG")
    return memory.getvalue()
