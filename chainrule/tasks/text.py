"""Learning to write: the next character of a text, by a decoder Transformer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from chainrule import nn
from chainrule.autodiff.mode import no_grad
from chainrule.data.dataset import Dataset
from chainrule.data.readers.text import Characters, read_text
from chainrule.errors import DataError
from chainrule.functions.creation import from_numpy, make, zeros
from chainrule.models.registry import create_fitting
from chainrule.nn.functional import cross_entropy
from chainrule.nn.module import Module
from chainrule.random import randint
from chainrule.tasks.settings import Settings
from chainrule.tasks.task import Parts, Task
from chainrule.tasks.tokens import text_of
from chainrule.tensor import Tensor


class TextTask(Task):
    """Pieces of a text (N, length) and the same one character later. Facts: "characters", all that occur."""

    kind = "text"
    samples = "pieces"
    asks = "text"
    defaults: ClassVar[Mapping[str, Any]] = {
        "model": "decoder", "length": 128, "epochs": 7, "batch_size": 16, "optimizer": "adamw", "learning_rate": 3e-3,
        "warmup": 0.03, "weight_decay": 0.1, "clip_norm": 1.0,
    }  # fmt: skip

    @classmethod
    def load(cls, settings: Settings) -> tuple[dict[str, Any], Parts]:
        """The first 80 % of the text for training, 10 % for validation, the last 10 % for testing."""
        if settings.data == "shakespeare":
            from chainrule.data.shakespeare import load_shakespeare_text

            text = load_shakespeare_text(settings.data_root)
        else:
            text = read_text(settings.data)
        length = settings.length or int(cls.defaults["length"])
        if len(text) < 20 * length:
            raise DataError(f"{settings.data} has {len(text):,} characters; pieces of {length} need {20 * length:,}.")
        vocabulary = Characters.from_text(text)
        numbers = vocabulary.encode(text)
        first, second = len(numbers) * 8 // 10, len(numbers) * 9 // 10
        train, validation, test = np.split(numbers, [first, second])
        parts = Parts(Pieces(train, length, moved=True), Pieces(validation, length), Pieces(test, length))
        return {"characters": "".join(vocabulary.tokens)}, parts

    def __init__(self, settings: Settings, facts: dict[str, Any]) -> None:
        super().__init__(settings, facts)
        self.vocabulary = Characters(facts["characters"])

    def build_model(self) -> Module:
        """The network that the settings name, for this vocabulary and pieces of this length."""
        usual = {"vocabulary": len(self.vocabulary), "context": self.settings.length}
        return create_fitting(str(self.settings.model), usual, self.settings.model_options)

    def build_loss(self) -> nn.Module:
        """Cross-entropy for each character."""
        return TokenLoss(self.settings.label_smoothing)

    def sample(self, model: Module) -> str:
        """400 characters."""
        return self.write(model, self.start, 400)

    @property
    def start(self) -> str:
        """What a text may begin with where no beginning is given: a new line, or else the first character known."""
        return "\n" if "\n" in self.facts["characters"] else self.facts["characters"][0]

    def example_input(self, count: int) -> Tensor:
        """See `Task`."""
        return zeros(count, int(self.settings.length or 1), dtype="int64")

    def predict(self, model: Module, inputs: Sequence[str], **options: Any) -> list[dict[str, Any]]:
        """Each text continued; `length`, `temperature` and `top_k` may be given."""
        return [{"prompt": prompt, **self.answers(model, [prompt], **options)[0]} for prompt in inputs]

    def sample_from(self, given: Any, place: str) -> str:
        """A text of characters that the model knows."""
        text = text_of(given, place)
        self.vocabulary.encode(text)
        return text

    def answers(self, model: Any, samples: Sequence[Any], **options: Any) -> list[dict[str, Any]]:
        """Each text continued."""
        return [{"text": self.write(model, prompt, **options)} for prompt in samples]

    @no_grad()
    def write(
        self, model: Any, prompt: str, length: int = 400, temperature: float = 0.8, top_k: int | None = None
    ) -> str:
        """The prompt continued by `length` characters. Where the context is full, its second half is taken along.

        Raises DataError for characters that the model has never seen.
        """
        tokens = self.vocabulary.encode(prompt or self.start).tolist()
        context, done = model.context or len(tokens) + length, 0
        while done < length:
            begin = tokens[-max(1, context // 2) :]
            steps = min(length - done, context - len(begin))
            new = model.generate(make(np.asarray([begin])), steps, temperature, top_k)
            tokens += new[0, len(begin) :].tolist()
            done += steps
        return self.vocabulary.decode(tokens)


class Pieces(Dataset):
    """Pieces of a text (length,), and the same one character later.

    moved: each piece begins up to a length later than its place says, anew each time, so that the model meets the
    text cut in ever new ways.
    """

    def __init__(self, numbers: np.ndarray, length: int, moved: bool = False) -> None:
        self.numbers, self.length, self.moved = numbers, length, moved

    def __len__(self) -> int:
        return (len(self.numbers) - 1) // self.length - self.moved

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        inputs, targets = self.read_batch(np.asarray([place]))
        return inputs[0], targets[0]

    def read_batch(self, places: Any) -> list[Tensor]:
        """Inputs and targets, int64 (N, length)."""
        starts = np.asarray(places) * self.length
        if self.moved:
            starts = starts + randint(0, self.length, (len(starts),)).numpy()
        rows = self.numbers[starts[:, None] + np.arange(self.length + 1)]
        return [from_numpy(np.ascontiguousarray(rows[:, :-1])), from_numpy(np.ascontiguousarray(rows[:, 1:]))]


class TokenLoss(nn.Module):
    """Cross-entropy of scores (N, L, V) and tokens (N, L), the mean over all N·L, in nats."""

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, scores: Tensor, tokens: Tensor) -> Tensor:
        """See the class."""
        flat = scores.reshape(-1, scores.shape[-1])
        return cross_entropy(flat, tokens.reshape(-1), label_smoothing=self.label_smoothing)
