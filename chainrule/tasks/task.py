"""What differs between learning from images, tables and texts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from chainrule.autodiff.mode import no_grad
from chainrule.data.dataset import Dataset
from chainrule.errors import DataError
from chainrule.nn.evaluation import evaluation_mode
from chainrule.nn.module import Module
from chainrule.optim.optimizer import Optimizer
from chainrule.tasks.settings import Settings
from chainrule.tensor import Tensor
from chainrule.train.callbacks import Callback
from chainrule.train.doctor import Doctor
from chainrule.train.trainer import Trainer


class Parts(NamedTuple):
    """The three parts of the data: to learn from, to choose by, and to look at once, at the end."""

    train: Dataset
    validation: Dataset
    test: Dataset


class Task(ABC):
    """A kind of data, and all that training on it needs beside the data themselves.

    A task is made from settings and *facts*: what was learned about the data (class names, means, a vocabulary), as a
    dictionary that JSON can hold. The facts are kept in the run's folder, so that a model predicts without its data.

    Attributes:
        kind: its name in files.
        defaults: values for the settings that are None.
        settings: all filled in.
        facts: see above.
    """

    kind: ClassVar[str]
    defaults: ClassVar[Mapping[str, Any]]
    #: What samples are called in sentences.
    samples: ClassVar[str] = "samples"
    #: What is asked about: "image" (the bytes of an image file), "row" (values by column) or "text"; "" for none.
    asks: ClassVar[str] = ""

    def __init__(self, settings: Settings, facts: dict[str, Any]) -> None:
        self.facts = facts
        self.settings = settings.with_defaults(self.defaults_for(settings, facts))

    @classmethod
    @abstractmethod
    def load(cls, settings: Settings) -> tuple[dict[str, Any], Parts]:
        """The facts and the parts of the data that the settings name."""

    def defaults_for(self, settings: Settings, facts: dict[str, Any]) -> dict[str, Any]:
        """The defaults, where they depend on the data."""
        return dict(self.defaults)

    @abstractmethod
    def build_model(self) -> Module:
        """The model, with its first weights."""

    @abstractmethod
    def build_loss(self) -> Callable[[Any, Any], Any]:
        """The loss function."""

    def metrics(self) -> list[Any]:
        """Metrics for the trainer."""
        return []

    def build_transform(self) -> Callable[[Any], Any] | None:
        """What is done to each training batch (augmentation)."""
        return None

    def build_trainer(self, model: Module, loss: Any, optimizer: Optimizer, **settings: Any) -> Trainer:
        """What trains the model; settings: as `Trainer` takes them."""
        return Trainer(model, loss, optimizer, **settings)

    def optimizer_options(self, model: Module) -> dict[str, Any]:
        """Further arguments of the optimiser."""
        return {}

    def callbacks(self, path: Path) -> list[Callback]:
        """What is done while a run in this folder trains."""
        return []

    def watching(self, doctor: Doctor, model: Module, parts: Parts) -> Callback:
        """The doctor as a callback of the trainer."""
        return doctor

    def report(self, model: Module, batches: Iterable[Any]) -> dict[str, Any]:
        """Fields of the `Report`: what the model does on the test data, sample by sample."""
        return {}

    def sample(self, model: Module) -> str:
        """Something that the model made, to be shown at the end; "" where it makes nothing."""
        return ""

    def example_input(self, count: int) -> Tensor:
        """So many samples of the form that the model takes; their numbers do not matter.

        Raises ValueError where the model is no function of samples.
        """
        raise ValueError(f"{self.settings.model} is no function of {self.samples} that could be exported.")

    def sample_from(self, given: Any, place: str) -> Any:
        """What `answers` takes, from what `asks` says; errors call it `place`. Raises DataError for a wrong one."""
        raise DataError(f"{self.settings.model} answers no questions about {self.samples}.")

    def answers(self, model: Any, samples: Sequence[Any], **options: Any) -> list[dict[str, Any]]:
        """A dictionary for each sample, computed together, by a model in evaluation mode, without gradients."""
        raise DataError(f"{self.settings.model} answers no questions about {self.samples}.")

    @abstractmethod
    def predict(self, model: Module, inputs: Sequence[str], **options: Any) -> list[dict[str, Any]]:
        """A dictionary for each of the inputs: file names, or texts. Raises DataError for one that cannot be read."""

    def predict_files(
        self, model: Module, files: Iterable[Path], then: Callable[[Path, Any], object] | None = None
    ) -> list[dict[str, Any]]:
        """`predict` for tasks that ask about images, which are read one by one; `then` is called with each sample."""
        from chainrule.data.readers.folder import MAX_IMAGE_BYTES
        from chainrule.data.readers.source import read_bytes

        rows = []
        with evaluation_mode(model), no_grad():
            for file in files:
                sample = self.sample_from(read_bytes(file, MAX_IMAGE_BYTES), str(file))
                rows += [{"file": str(file), **row} for row in self.answers(model, [sample])]
                if then is not None:
                    then(file, sample)
        return rows
