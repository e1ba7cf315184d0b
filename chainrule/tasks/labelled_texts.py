"""Classifying texts: a table of texts and what each is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from chainrule import nn
from chainrule.autodiff.mode import no_grad
from chainrule.data.dataset import TensorDataset
from chainrule.data.readers.texts import read_pairs
from chainrule.data.split import stratified_split
from chainrule.errors import DataError
from chainrule.functions.creation import from_numpy, zeros
from chainrule.models.recurrent import RecurrentClassifier
from chainrule.models.registry import create_fitting
from chainrule.nn.evaluation import evaluation_mode
from chainrule.nn.module import Module
from chainrule.tasks.settings import Settings
from chainrule.tasks.task import Parts, Task
from chainrule.tasks.tokens import END, TextRows, text_of, texts_of
from chainrule.tensor import Tensor
from chainrule.train.classifier import classify


class LabelledTextTask(Task):
    """Texts (N, L), integers, and their classes. Facts: "texts", the vocabulary; "names" of the classes.

    A text longer than the setting `length` is cut off there, in training and afterwards alike.
    """

    kind = "labelled texts"
    samples = "texts"
    asks = "text"
    defaults: ClassVar[Mapping[str, Any]] = {
        "tokens": "words", "length": 128, "epochs": 10, "batch_size": 32, "optimizer": "adam", "learning_rate": 2e-3,
        "warmup": 0.05, "weight_decay": 0.0, "clip_norm": 1.0,
    }  # fmt: skip

    @classmethod
    def load(cls, settings: Settings) -> tuple[dict[str, Any], Parts]:
        """Divided 80 : 10 : 10 at random, class by class; the vocabulary is that of the training texts."""
        if settings.target is None:
            raise DataError(f"which column of {settings.data} has the classes? Give --target.")
        texts, labels = read_pairs(settings.data, settings.target, settings.ignore)
        names, numbers = np.unique(np.asarray(labels), return_inverse=True)
        if len(texts) < 20 or len(names) < 2:
            raise DataError(
                f"{settings.data} has {len(texts)} texts of {len(names)} classes; expected at least 20 of 2."
            )
        parts = stratified_split(numbers, (0.8, 0.1, 0.1), settings.seed)
        kind, length = settings.tokens or str(cls.defaults["tokens"]), settings.length or int(cls.defaults["length"])
        # A word that training does not know has a number of its own; a character that nobody knows could not be read.
        everything = texts if kind == "characters" else [texts[place] for place in parts[0]]
        rows = TextRows.from_texts(kind, everything)
        rows.longest = min(rows.longest, length)
        encoded = rows.encode(texts, cut=True)
        sets = [TensorDataset(from_numpy(encoded[part]), from_numpy(numbers[part])) for part in parts]
        return {"texts": rows.facts(), "names": names.tolist()}, Parts(*sets)

    def __init__(self, settings: Settings, facts: dict[str, Any]) -> None:
        super().__init__(settings, facts)
        self.rows = TextRows.from_facts(facts["texts"])

    def build_model(self) -> Module:
        """The network that the settings name, within what finds the end of each text."""
        usual = {"vocabulary": len(self.rows), "num_classes": len(self.facts["names"]), "context": self.rows.longest}
        return EndsFound(create_fitting(str(self.settings.model), usual, self.settings.model_options))

    def build_loss(self) -> Module:
        """Cross-entropy."""
        return nn.CrossEntropyLoss(label_smoothing=self.settings.label_smoothing)

    def metrics(self) -> list[Any]:
        """Accuracy."""
        return ["accuracy"]

    def report(self, model: Module, batches: Iterable[Any]) -> dict[str, Any]:
        """Confusions, figures for each class, and the texts with the largest loss."""
        results = classify(model, batches, self.facts["names"])
        worst = [
            {"truth": s.truth, "said": s.said, "probability": s.share, "text": self.rows.decode(s.content)}
            for s in results.worst
        ]
        return {
            "confusion": (results.confusion, self.facts["names"]),
            "tables": {"Classes": results.per_class, "Worst texts": worst},
        }

    def example_input(self, count: int) -> Tensor:
        """See `Task`."""
        return zeros(count, self.rows.longest, dtype="int64")

    def predict(self, model: Module, inputs: Sequence[str], **options: Any) -> list[dict[str, Any]]:
        """The class of each text, or of each line of a .txt file, and its probability."""
        texts = texts_of(inputs)
        with evaluation_mode(model), no_grad():
            answers = self.answers(model, [self.sample_from(text, "the text") for text in texts])
        return [{"text": text, **answer} for text, answer in zip(texts, answers, strict=True)]

    def sample_from(self, given: Any, place: str) -> np.ndarray:
        """A text as tokens (L,)."""
        row: np.ndarray = self.rows.encode([text_of(given, place)], cut=True)[0]
        return row

    def answers(self, model: Any, samples: Sequence[Any], **options: Any) -> list[dict[str, Any]]:
        """The likeliest class and its probability."""
        shares = model(from_numpy(np.stack(samples))).softmax(1).numpy()
        names = self.facts["names"]
        return [{"class": names[row.argmax()], "probability": float(row.max())} for row in shares]


class EndsFound(nn.Module):
    """A classifier that is told where each row of tokens (N, L) ends: recurrent ones by lengths, others by a mask."""

    def __init__(self, network: Callable[..., Tensor]) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: Tensor) -> Tensor:
        """Scores (N, classes)."""
        present = tokens != END
        return self.network(tokens, present.sum(1) if isinstance(self.network, RecurrentClassifier) else present)
