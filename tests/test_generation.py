"""Choosing the next token, and beam search, against plain versions of themselves and trying out everything."""

from __future__ import annotations

import copy
import gc
import itertools
import os
import pickle
import weakref
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import models, nn
from chainrule.models.generation import Choice, LanguageModel, beam_search, step_of, tensors_of

NIGHTLY = bool(os.environ.get("CHAINRULE_NIGHTLY"))


def random_tokens(*shape: int, seed: int = 0) -> Any:
    return chainrule.tensor(np.random.default_rng(seed).integers(0, 5, shape))


def loud(model: Any) -> Any:
    """With larger weights, so that scores differ clearly."""
    with chainrule.no_grad():
        for parameter in model.parameters():
            parameter *= 8.0
    return model.eval()


def language_models() -> dict[str, Any]:
    sizes = {"vocabulary": 5, "layers": 2, "width": 8, "heads": 2, "context": 70}
    return {
        "decoder": models.DecoderTransformer(**sizes),
        "gpt2": models.GPT2(**sizes),
        "llama": models.Llama(**sizes, key_heads=1, hidden=12),
        "lstm": models.RecurrentLanguageModel(5, 4, "lstm", 8, layers=2),
        "gru": models.RecurrentLanguageModel(5, 4, "gru", 8),
        "rnn": models.RecurrentLanguageModel(5, 4, "rnn", 8),
    }


@pytest.mark.parametrize("name", list(language_models()))
def test_with_the_state_as_without(name: str) -> None:
    """The greedy continuation is the one that asking for everything again gives; beyond 64 tokens too."""
    model = loud(language_models()[name])
    prompt = random_tokens(2, 3)
    found = prompt
    with chainrule.no_grad():
        for _ in range(66):
            found = chainrule.cat([found, model(found)[:, -1].argmax(-1, keepdim=True)], 1)
    assert chainrule.equal(model.generate(prompt, 66, temperature=0), found)
    assert chainrule.equal(model.generate(prompt, 66, temperature=0, compile=True), found)
    count = 66 if NIGHTLY else 5
    assert chainrule.equal(model.generate(prompt, count, top_k=1), found[:, : 3 + count])
    assert chainrule.equal(model.generate(prompt, count, top_p=1e-9), found[:, : 3 + count])


@pytest.mark.parametrize("name", ["gpt2", "lstm"])
def test_a_stream_is_what_generate_gives_and_leaves_all_as_it_was(name: str) -> None:
    model = language_models()[name]
    prompt = random_tokens(2, 3)
    whole = model.generate(prompt, 6, generator=chainrule.Generator(3))
    made = []
    for token in model.stream(prompt, 6, generator=chainrule.Generator(3)):
        assert chainrule.is_grad_enabled() and model.training, "between the tokens all is as it was"
        made.append(token)
    assert chainrule.equal(chainrule.cat([prompt, *made], 1), whole)


def test_behind_the_end_there_is_nothing_else() -> None:
    model = loud(language_models()["gpt2"])
    found = model.generate(random_tokens(6, 2), 60, end=3, generator=chainrule.Generator(0))[:, 2:].numpy()
    for row in found:
        if 3 in row:
            assert (row[row.tolist().index(3) :] == 3).all()
    assert found.shape[1] == 60 or (found[:, -1] == 3).all(), "it stopped early only if all had ended"
    assert (found == 3).any()


def test_a_compiled_step_stores_its_rows_where_the_cache_lies() -> None:
    """After the first step nothing moves; what is generated is what draws, beams and eager steps give."""
    model = loud(language_models()["llama"])
    state = model.empty_state(2, 40)
    step = step_of(model, True, 40, Choice(0.0))
    token, state = step(random_tokens(2, 3), state)
    token, state = step(token, state)

    def addresses() -> list[Any]:
        return [np.asarray(x).__array_interface__["data"][0] for x in tensors_of(state)]

    before = addresses()
    for _ in range(20):
        token, state = step(token, state)
    assert addresses() == before and [cache.length.item() for cache in state] == [24, 24]
    assert not state[0].keys[:, :, 24:].any() and state[0].keys[:, :, :24].any(-1).all()


def test_scores_are_the_same_bits_for_any_number_of_threads() -> None:
    """Large enough that the threads share the work: products of one row, and attention of one query."""
    chainrule.manual_seed(1)
    model = models.GPT2(vocabulary=3000, layers=1, width=512, heads=8, context=64).eval()
    prompt, before, found = random_tokens(1, 20), chainrule.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            chainrule.set_num_threads(threads)
            step = step_of(model, True, 10)
            _, state = step(prompt, model.empty_state(1, 64))
            found.append([step(random_tokens(1, 1), state)[0].numpy() for _ in range(3)])
    finally:
        chainrule.set_num_threads(before)
    for others in found[1:]:
        np.testing.assert_array_equal(others, found[0])


def test_a_full_cache_is_an_error_that_changes_nothing() -> None:
    model = loud(language_models()["gpt2"])
    step = step_of(model, True, 5)
    _, state = step(random_tokens(2, 3), model.empty_state(2, 5))
    for _ in range(2):
        _, state = step(random_tokens(2, 1), state)
    before = [x.numpy() for x in tensors_of(state)]
    with pytest.raises(chainrule.ShapeError, match="room for 5 tokens and holds 5; 1 more"):
        step(random_tokens(2, 1), state)
    for x, y in zip(tensors_of(state), before, strict=True):
        np.testing.assert_array_equal(x.numpy(), y)


@pytest.mark.parametrize("name", ["decoder", "llama", "gru"])
def test_compiled_draws_and_beams_are_the_eager_ones(name: str) -> None:
    model, prompt = loud(language_models()[name]), random_tokens(3, 2)
    draws = {"top_k": 4, "top_p": 0.9, "temperature": 1.5, "end": 2}
    for options in (draws, {"beams": 3, "end": 2}):
        found = [
            model.generate(prompt, 20, compile=native, generator=chainrule.Generator(5), **options)
            for native in (False, True)
        ]
        assert chainrule.equal(*found)


def test_a_model_that_cannot_be_compiled_writes_all_the_same() -> None:
    """From 64 steps on a program is made without being asked for, where that is possible."""

    class Asking(models.DecoderTransformer):
        asked = 0

        def features(self, tokens: Any, state: Any) -> Any:
            Asking.asked += int(tokens.sum().item())  # a trace has no numbers
            return super().features(tokens, state)

    model = loud(Asking(vocabulary=5, layers=1, width=8, heads=2, context=80))
    prompt = random_tokens(1, 3)
    found = model.generate(prompt, 70, temperature=0)
    assert Asking.asked > 0 and found.shape == (1, 73)
    assert chainrule.equal(found, model.generate(prompt, 70, temperature=0, compile=False))
    with pytest.raises(chainrule.TraceError):
        model.generate(prompt, 2, temperature=0, compile=True)


def test_a_program_goes_with_its_model_and_stays_behind_in_copies(tmp_path: Any) -> None:
    model = loud(language_models()["gpt2"])
    prompt, tokens = random_tokens(2, 3), {}
    for other in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        tokens[id(other)] = other.generate(prompt, 5, temperature=0, compile=True)
        chainrule.save(other, tmp_path / "model.pt")
    first, *others = tokens.values()
    assert all(chainrule.equal(first, found) for found in others)
    gone = [weakref.ref(x) for x in (model, other, model.lm_head.weight)]
    del model, other
    gc.collect()
    assert [x() for x in gone] == [None] * 3


def sequence_log_probability(table: np.ndarray, words: tuple[int, ...], end: int | None) -> tuple[float, int]:
    """Of a Markov chain that begins in state 0: (log-probability, how many words count)."""
    total, state = 0.0, 0
    for count, word in enumerate(words):
        total += table[state, word]
        state = word
        if word == end:
            return total, count + 1
    return total, len(words)


@pytest.mark.parametrize("penalty", [0.0, 1.0])
@pytest.mark.parametrize("end", [None, 2])
def test_a_wide_beam_search_finds_the_best_of_all(end: int | None, penalty: float) -> None:
    rng = np.random.default_rng(7)
    for _ in range(10):
        logits = rng.standard_normal((4, 4)) * 2
        table = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        best = max(
            total / length**penalty
            for total, length in (
                sequence_log_probability(table, words, end) for words in itertools.product(range(4), repeat=4)
            )
        )
        scores = chainrule.tensor(table)
        found, value = beam_search(
            lambda new, state, scores=scores: (scores[new], state), lambda state, places: state, None,
            chainrule.tensor([[0], [0]]), 4, beams=64, end=end, length_penalty=penalty,
        )  # fmt: skip
        assert value.numpy() == pytest.approx([best, best])
        total, length = sequence_log_probability(table, tuple(found[0].tolist()), end)
        assert total / length**penalty == pytest.approx(best)


def test_one_beam_is_the_greedy_choice_and_more_are_no_less_probable() -> None:
    model = loud(language_models()["llama"])
    prompt = random_tokens(3, 4)
    greedy = model.generate(prompt, 8, temperature=0)

    def log_probability(whole: Any) -> Any:
        scores = model(whole[:, :-1]).log_softmax(-1).detach()
        return scores.gather(2, whole[:, 1:].unsqueeze(2)).squeeze(2)[:, 3:].sum(1).numpy()

    state = model.empty_state(3, 16)
    with chainrule.no_grad():
        one, value = beam_search(model.continued, model.state_rows, state, prompt, 8, beams=1)
    assert chainrule.equal(one, greedy[:, 4:])
    np.testing.assert_allclose(value.numpy() * 8, log_probability(greedy), rtol=1e-4)
    wide = model.generate(prompt, 8, beams=125)
    assert (log_probability(wide) >= log_probability(greedy) - 1e-4).all()


def test_the_fewest_tokens_with_a_share_of_the_probability() -> None:
    scores = chainrule.tensor([[0.5, 0.3, 0.15, 0.05], [0.05, 0.15, 0.3, 0.5]]).log()
    for share, kept in [(0.4, 1), (0.5001, 2), (0.79, 2), (0.9, 3), (1.0, 4)]:
        found = Choice(top_p=share).filtered(scores).isfinite().sum(1)
        assert found.tolist() == [kept, kept], share
    assert Choice(top_k=99).filtered(scores).isfinite().all()


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        lambda: models.EncoderDecoderTransformer(5, 6, 2, 8, 2, 12),
        lambda: models.EncoderDecoderTransformer(5, 6, 2, 8, 2, 12, positions="learned", norm_first=True),
        lambda: models.RecurrentTranslator(5, 6, 4, "lstm", 8, layers=2),
        lambda: models.RecurrentTranslator(5, 6, 4, "gru", 8, attention="additive"),
        lambda: models.RecurrentTranslator(5, 6, 4, "rnn", 8, bidirectional=False, attention=None),
    ],
)
def test_answers_are_written_step_by_step_as_at_once(make: Any, padded: bool) -> None:
    model = loud(make())
    source = random_tokens(3, 4)
    padding = chainrule.tensor([[False] * 4, [False, False, True, True], [False, True, True, True]]) if padded else None
    given = () if padding is None else (padding,)
    found = chainrule.zeros(3, 1, dtype="int64")
    with chainrule.no_grad():
        for _ in range(7):
            found = chainrule.cat([found, model(source, found, *given)[:, -1].argmax(-1, keepdim=True)], 1)
    assert chainrule.equal(model.generate(source, 7, padding=padding), found[:, 1:])
    assert chainrule.equal(model.generate(source, 7, padding=padding, compile=True), found[:, 1:])
    if padded:  # what is padding has no influence
        other = source.masked_fill(padding, 1)
        assert chainrule.equal(model.generate(other, 7, padding=padding), found[:, 1:])

    # A beam as wide as all beginnings finds the best of all answers to the first source.
    answers = chainrule.tensor(list(itertools.product(range(6), repeat=3)))
    many = len(answers)
    rows = [source[:1].expand(many, 4), *(p[:1].expand(many, 4) for p in given)]
    before = chainrule.cat([chainrule.zeros(many, 1, dtype="int64"), answers[:, :-1]], 1)
    scores = model(rows[0], before, *rows[1:]).log_softmax(-1).detach()
    totals = scores.gather(2, answers.unsqueeze(2)).squeeze(2).sum(1)
    wide = model.generate(source, 3, padding=padding, beams=36)[0].tolist()
    place = answers.tolist().index(wide)
    assert totals[place].item() == pytest.approx(totals.max().item(), rel=1e-4, abs=1e-4)


class AllTokens(LanguageModel):
    """Its state is all tokens so far: it grows."""

    context = None

    def __init__(self) -> None:
        super().__init__()
        self.vocabulary = 11
        self.embedding, self.head = nn.Embedding(11, 8), nn.Linear(8, 11)

    def continued(self, tokens: Any, state: Any) -> Any:
        state = chainrule.cat([state, tokens], 1)
        return self.head(self.embedding(state).cumsum(1))[:, -tokens.shape[1] :], state

    def empty_state(self, batch: int, capacity: int) -> Any:
        return chainrule.zeros(batch, 0, dtype=chainrule.int64)

    def state_rows(self, state: Any, places: Any) -> Any:
        return state[places]


def test_a_model_whose_state_grows_is_not_compiled_unasked() -> None:
    model, prompt = AllTokens(), chainrule.tensor([[1, 2, 3]])
    few = model.generate(prompt, 70, temperature=0, compile=False)
    np.testing.assert_array_equal(model.generate(prompt, 70, temperature=0).numpy(), few.numpy())
    with pytest.raises(chainrule.TraceError, match="keep their shapes"):
        model.generate(prompt, 70, temperature=0, compile=True)
