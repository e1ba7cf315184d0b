"""Learning to answer one text with another: pairs of lines, a model that reads and then writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from chainrule import nn
from chainrule.data.dataset import TensorDataset
from chainrule.data.dates import date_pairs
from chainrule.data.readers.texts import read_pairs
from chainrule.data.split import grouped_split
from chainrule.errors import DataError
from chainrule.functions.creation import from_numpy, zeros
from chainrule.functions.pieces import cat
from chainrule.metrics import MeanOf
from chainrule.models.generation import SequenceToSequence
from chainrule.models.registry import create_fitting
from chainrule.nn.functional import cross_entropy
from chainrule.nn.module import Module
from chainrule.tasks.settings import Settings
from chainrule.tasks.task import Parts, Task
from chainrule.tasks.tokens import END, START, TextRows, text_of, texts_of
from chainrule.tensor import Tensor

DATES = "dates"
#: Pairs that are made of them.
DATE_COUNT = 12000


class TranslationTask(Task):
    """Pairs of texts. A sample is the source and the answer up to each token, one row (L + K,); the target the answer.

    Facts: "source" and "answer", each with what one token is, all tokens, and the longest text's length.
    """

    kind = "translation"
    samples = "pairs of texts"
    asks = "text"
    defaults: ClassVar[Mapping[str, Any]] = {
        "model": "rnn_translator", "tokens": "characters", "epochs": 5, "batch_size": 64, "optimizer": "adam",
        "learning_rate": 4e-3, "warmup": 0.05, "weight_decay": 0.0, "clip_norm": 1.0,
    }  # fmt: skip

    @classmethod
    def load(cls, settings: Settings) -> tuple[dict[str, Any], Parts]:
        """Divided 80 : 10 : 10 at random, such that no source is in two parts."""
        if settings.data == DATES:
            sources, answers = date_pairs(DATE_COUNT, settings.seed)
        else:
            sources, answers = read_pairs(settings.data, settings.target, settings.ignore)
        if len(sources) < 20:
            raise DataError(f"{settings.data} has {len(sources)} pairs; to divide them at least 20 are needed.")
        kind = settings.tokens or str(cls.defaults["tokens"])
        rows = [TextRows.from_texts(kind, texts) for texts in (sources, answers)]
        longest = max(side.longest for side in rows)
        if settings.length is not None and longest > settings.length:
            raise DataError(
                f"{settings.data}: the longest text has {longest} {kind}, more than --length {settings.length}; leave "
                "such pairs out of the file."
            )
        groups = np.unique(np.asarray(sources), return_inverse=True)[1]
        read, written = rows[0].encode(sources), rows[1].encode(answers, rows[1].longest + 1)  # and END, always
        behind = np.concatenate([np.full((len(written), 1), START, np.int64), written[:, :-1]], 1)
        inputs = np.concatenate([read, behind], 1)
        parts = [
            TensorDataset(from_numpy(inputs[part]), from_numpy(written[part]))
            for part in grouped_split(groups, (0.8, 0.1, 0.1), settings.seed)
        ]
        return {"source": rows[0].facts(), "answer": rows[1].facts()}, Parts(*parts)

    def __init__(self, settings: Settings, facts: dict[str, Any]) -> None:
        super().__init__(settings, facts)
        self.source, self.answer = TextRows.from_facts(facts["source"]), TextRows.from_facts(facts["answer"])

    def build_model(self) -> Module:
        """The translator that the settings name, for these vocabularies, within what splits a sample."""
        usual = {
            "source_vocabulary": len(self.source), "target_vocabulary": len(self.answer),
            "context": max(self.source.longest, self.answer.longest) + 1,
        }  # fmt: skip
        translator = create_fitting(str(self.settings.model), usual, self.settings.model_options)
        return TeacherForced(translator, self.source.longest)

    def build_loss(self) -> Module:
        """Cross-entropy for each token of the answer and its end."""
        return AnswerLoss(self.settings.label_smoothing)

    def metrics(self) -> list[Any]:
        """The share of answers that the best token at each step writes without a mistake.

        Each token is asked for behind the right ones before it. As a text is without a mistake exactly if its first
        token is right, and the second behind that, and so on, this is what the model itself would write.
        """

        def right(scores: Any, tokens: Any) -> Any:
            ended = tokens == END
            return ((scores.argmax(-1) == tokens) | (ended & _before(ended))).all(-1)

        return [MeanOf(right, "right")]

    def report(self, model: Module, batches: Iterable[Any]) -> dict[str, Any]:
        """A dozen answers beside those that were wanted."""
        inputs, wanted = next(iter(batches))
        read, wanted = inputs[:12, : self.source.longest].cpu(), wanted[:12].tolist()
        written = self.write(model.cpu(), read)  # a device would make programs for each length
        rows = [
            {"source": self.source.decode(source), "wanted": self.answer.decode(want), "answer": answer}
            for source, want, answer in zip(read.tolist(), wanted, written, strict=True)
        ]
        return {"tables": {"Answers": rows}}

    def example_input(self, count: int) -> Tensor:
        """See `Task`."""
        return zeros(count, self.source.longest + self.answer.longest + 1, dtype="int64")

    def predict(self, model: Module, inputs: Sequence[str], **options: Any) -> list[dict[str, Any]]:
        """The answer to each text, or to each line of a .txt file; `beams` may be given."""
        texts = texts_of(inputs)
        answers = self.answers(model, [self.sample_from(text, "the text") for text in texts], **options)
        return [{"source": text, **answer} for text, answer in zip(texts, answers, strict=True)]

    def sample_from(self, given: Any, place: str) -> np.ndarray:
        """A text as tokens (L,)."""
        row: np.ndarray = self.source.encode([text_of(given, place)])[0]
        return row

    def answers(self, model: Any, samples: Sequence[Any], **options: Any) -> list[dict[str, Any]]:
        """What each text is answered with."""
        written = self.write(model, from_numpy(np.stack(samples)), int(options.get("beams", 1)))
        return [{"answer": text} for text in written]

    def write(self, model: Any, sources: Tensor, beams: int = 1) -> list[str]:
        """The answers to sources (N, L): the best token at each step, or the best of several beginnings."""
        found = model.translator.generate(
            sources, self.answer.longest + 1, START, END, sources == END, beams=beams
        )  # fmt: skip
        return [self.answer.decode(row) for row in found.tolist()]


class TeacherForced(nn.Module):
    """A translator whose source and answer so far come as one row of tokens: (N, L + K) to scores (N, K, words).

    While it learns, every token is asked for behind the right ones before it: nothing that the model writes is read.
    """

    def __init__(self, translator: Module, source_length: int) -> None:
        super().__init__()
        if not isinstance(translator, SequenceToSequence):
            raise ValueError(f"{type(translator).__name__} does not answer one sequence with another.")
        self.translator, self.source_length = translator, source_length

    def forward(self, tokens: Tensor) -> Tensor:
        """See the class."""
        source, behind = tokens[:, : self.source_length], tokens[:, self.source_length :]
        return self.translator(source, behind, source == END)


class AnswerLoss(nn.Module):
    """Cross-entropy of scores (N, K, V) and tokens (N, K), in nats: the mean over all tokens up to the first END."""

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, scores: Tensor, tokens: Tensor) -> Tensor:
        """See the class."""
        ended = tokens == END
        counted = tokens.masked_fill(ended & _before(ended), -100)  # behind the first END, which is learned
        return cross_entropy(
            scores.reshape(-1, scores.shape[-1]), counted.reshape(-1), label_smoothing=self.label_smoothing
        )


def _before(ended: Tensor) -> Tensor:
    """Whether the token before each of (N, K) was the end; none was before the first."""
    return cat([ended.new_zeros(len(ended), 1), ended[:, :-1]], 1)
