"""Writing on: how a model of the next token makes a text, one token after the other.

    tokens so far ──► model ──► scores of all words ──► choose one ──┐
         ▲                                                           │
         └───────────────────────────────────────────────────────────┘

A *state* holds what the model keeps of the tokens so far: the keys and values of a Transformer's layers, or the hidden
state of a recurrent network. So each step only takes the tokens that are new.

To choose: the best (temperature 0); a draw from the scores' softmax, made sharper or flatter by a temperature; the same
among the k best (top-k: Fan et al., 2018) or among the fewest that have a share p of the probability (top-p, nucleus
sampling: Holtzman et al., "The curious case of neural text degeneration", 2020). Beam search keeps the several best
beginnings side by side and so finds sentences that are more probable as a whole.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from chainrule import nn
from chainrule.autodiff.mode import no_grad
from chainrule.errors import DTypeError, ShapeError, TraceError
from chainrule.functions.activation import log_softmax, softmax
from chainrule.functions.creation import arange, full
from chainrule.functions.logic import where
from chainrule.functions.pieces import cat
from chainrule.functions.promotion import need_tensor
from chainrule.nn.attention.causal import KeyValueCache
from chainrule.nn.transformer.positions import places_from
from chainrule.random import Generator, multinomial
from chainrule.tensor import Tensor

#: So many steps pay for making a native program of one.
MANY = 64

#: Takes new tokens (N, L) and the state before them, gives their scores (N, L, vocabulary) and the state after them.
Step = Callable[[Tensor, Any], tuple[Tensor, Any]]
#: The same with the next token (N, 1) in place of the scores.
Draw = Step


class Choice(NamedTuple):
    """How the next token is chosen from scores.

    Attributes:
        temperature: scores are divided by it before softmax; 0 always takes the best.
        top_k: only the k best tokens may be drawn.
        top_p: only the fewest tokens that together have at least this probability may be drawn.
        generator: where the random numbers come from.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    generator: Generator | None = None

    def check(self) -> None:
        """Raise a ValueError for a setting out of range."""
        if self.temperature < 0:
            raise ValueError(f"temperature is at least 0, got {self.temperature}.")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k is at least 1, got {self.top_k}.")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is a probability above 0, up to 1, got {self.top_p}.")

    def draw(self, scores: Tensor) -> Tensor:
        """One token for each row of scores (N, vocabulary): (N, 1)."""
        if self.temperature == 0:
            return scores.argmax(-1, keepdim=True)
        return multinomial(softmax(self.filtered(scores), -1), 1, generator=self.generator)

    def filtered(self, scores: Tensor) -> Tensor:
        """The scores divided by the temperature, with −∞ for tokens that may not be drawn.

        >>> import chainrule
        >>> Choice(top_p=0.6).filtered(chainrule.tensor([[0.5, 0.3, 0.2]]).log()).exp()
        tensor([[0.5000, 0.3000, 0.0000]])
        """
        scores = scores / self.temperature
        if self.top_k is not None and self.top_k < scores.shape[-1]:
            scores = scores.masked_fill(scores < scores.topk(self.top_k).values[:, -1:], -math.inf)
        if self.top_p is not None and self.top_p < 1:
            ordered, places = scores.sort(dim=-1, descending=True)
            probabilities = softmax(ordered, -1)
            before = probabilities.cumsum(-1) - probabilities  # of all that are better
            out = (before >= self.top_p).scatter(-1, places, before >= self.top_p)
            scores = scores.masked_fill(out, -math.inf)
        return scores


def draw_tokens(step: Draw, state: Any, tokens: Tensor, steps: int, end: int | None = None) -> Iterator[Tensor]:
    """Tokens (N, 1), each as soon as it is made, at most `steps` of them.

    Args:
        step: takes tokens and the state before them, gives the next token and the state after them.
        tokens: (N, L), what the state does not hold yet; their last scores choose the first new token.
        end: the token that ends a sequence: behind it come only further ones, and all that is left out when every
            sequence has ended.
    """
    ended = full((tokens.shape[0], 1), False, dtype="bool", device=tokens.device)
    for _ in range(steps):
        tokens, state = step(tokens, state)
        if end is not None:
            tokens = tokens.masked_fill(ended, end)
            ended = tokens == end
        yield tokens
        if end is not None and ended.all():
            return


def beam_search(
    step: Step,
    rows: Callable[[Any, Tensor], Any],
    state: Any,
    tokens: Tensor,
    steps: int,
    beams: int,
    end: int | None = None,
    length_penalty: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """The most probable continuation found with `beams` beginnings side by side: tokens (N, ≤ steps) and scores (N,).

    In each step every beginning is followed by every word, and the best `beams` of all these are kept. A score is the
    sum of the words' log-probabilities, divided by lengthᵃ with a = `length_penalty`: with a = 0 short ones win. A
    beginning that has reached `end` stays as it is and competes with the others. With `beams` = vocabularyˢᵗᵉᵖˢ⁻¹ the
    search is exhaustive.

    Args:
        rows: `rows(state, places)`, the state of the sequences at these places of the batch.

    >>> import chainrule
    >>> table = chainrule.tensor([[0.6, 0.4], [0.5, 0.5]]).log()
    >>> beam_search(lambda new, s: (table[new], s), lambda s, p: s, None, chainrule.tensor([[0]]), 2, beams=2)[0]
    tensor([[0, 0]])
    """
    if beams < 1:
        raise ValueError(f"beams is at least 1, got {beams}.")
    batch, device = tokens.shape[0], tokens.device
    scores, state = step(tokens, state)
    state = rows(state, arange(batch, device=device).repeat_interleave(beams))
    scores = scores[:, -1].repeat_interleave(beams, 0)
    words = scores.shape[-1]
    # Only one of the equal beginnings counts at first.
    total = full((batch, beams), -math.inf, dtype=scores.dtype, device=device)
    total[:, 0] = 0
    lengths = full((batch, beams), 0, dtype="int64", device=device)
    ended = full((batch, beams), False, dtype="bool", device=device)
    found = full((batch, beams, 0), 0, dtype="int64", device=device)
    staying = full((words,), -math.inf, dtype=scores.dtype, device=device)
    if end is not None:
        staying[end] = 0
    for count in range(steps):
        gains = log_softmax(scores, -1).reshape(batch, beams, words)
        if end is not None:  # what has ended goes on with `end`, for nothing
            gains = where(ended.unsqueeze(2), staying, gains)
        longer = lengths + (~ended).long()
        ranked = (total.unsqueeze(2) + gains) / longer.unsqueeze(2).to(gains.dtype) ** length_penalty
        best = ranked.flatten(1).topk(beams).indices
        parent, word = best // words, best % words
        total = (total.unsqueeze(2) + gains).flatten(1).gather(1, best)
        lengths = longer.gather(1, parent)
        ended = ended.gather(1, parent)
        found = cat([found.gather(1, parent.unsqueeze(2).expand(batch, beams, count)), word.unsqueeze(2)], 2)
        if end is not None:
            ended = ended | (word == end)
            if ended.all():
                break
        if count + 1 < steps:
            places = (arange(batch, device=device).unsqueeze(1) * beams + parent).flatten()
            scores, state = step(word.reshape(-1, 1), rows(state, places))
            scores = scores[:, -1]
    final = total / lengths.clamp(min=1).to(total.dtype) ** length_penalty
    winner, each = final.argmax(1), arange(batch, device=device)
    return found[each, winner], final[each, winner]


class LanguageModel(nn.Module):
    """What all models of the next token share: writing on.

    A subclass says `features` and `scores` (or both as one, `continued`), `empty_state` and `state_rows`.

    Attributes:
        vocabulary: how many different tokens there are.
        context: the longest sequence; None if there is no such bound.
    """

    vocabulary: int
    context: int | None

    def continued(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The scores behind each of the new tokens (N, L): (N, L, vocabulary), and the state that holds them too."""
        found, after = self.features(tokens, state)
        return self.scores(found), after

    def features(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """What the scores behind each of the new tokens (N, L) are made of: (N, L, width); and the state after them."""
        raise NotImplementedError

    def scores(self, features: Tensor) -> Tensor:
        """The scores (…, vocabulary) of features (…, width)."""
        raise NotImplementedError

    def next_scores(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The scores behind the last of the new tokens, (N, vocabulary), and the state that holds them all.

        Of a long prompt the scores behind all tokens would take longer than the rest.
        """
        if type(self).continued is not LanguageModel.continued:
            scores, after = self.continued(tokens, state)
            return scores[:, -1], after
        found, after = self.features(tokens, state)
        return self.scores(found[:, -1]), after

    def empty_state(self, batch: int, capacity: int) -> Any:
        """The state before the first token of `batch` sequences, with room for `capacity` tokens of each."""
        raise NotImplementedError

    def state_rows(self, state: Any, places: Tensor) -> Any:
        """The state of the sequences at these places of the batch: (M,) integers."""
        raise NotImplementedError

    def stream(
        self,
        prompt: Tensor,
        steps: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        end: int | None = None,
        generator: Generator | None = None,
        compile: bool | None = None,
    ) -> Iterator[Tensor]:
        """The tokens (N, 1) that follow the prompt (N, L), each as soon as it is made. Arguments as in `generate`.

        >>> import chainrule
        >>> from chainrule.models import GPT2
        >>> model = GPT2(vocabulary=10, layers=1, width=8, heads=2, context=16)
        >>> for token in model.stream(chainrule.tensor([[1, 2, 3]]), steps=3):
        ...     print(tuple(token.shape))
        (1, 1)
        (1, 1)
        (1, 1)
        """
        choice = Choice(temperature, top_k, top_p, generator)
        choice.check()
        state = self._beginning(prompt, steps)
        return draw_tokens(step_of(self, compile, steps, choice), state, prompt, steps, end)

    def generate(
        self,
        prompt: Tensor,
        steps: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        beams: int = 1,
        end: int | None = None,
        length_penalty: float = 1.0,
        generator: Generator | None = None,
        compile: bool | None = None,
    ) -> Tensor:
        """The prompt (N, L) continued by at most `steps` tokens: (N, ≤ L + steps). In evaluation mode, with a cache.

        Args:
            temperature: scores are divided by it before softmax; 0 always takes the best.
            top_k: only the k best tokens may be drawn.
            top_p: only the fewest tokens that together have this probability may be drawn.
            beams: more than one: nothing is drawn; beam search instead, see `generation.beam_search`.
            end: the token that ends a sequence; behind it there is nothing but it.
            length_penalty: for beam search.
            generator: where the random numbers come from.
            compile: whether a native program is made of a step, which takes up to a second. None: from 64 steps on, if
                one can be made of this model.

        Raises ShapeError if prompt and steps are longer than the context, ValueError for a setting out of range.

        >>> import chainrule
        >>> from chainrule.models import GPT2
        >>> model = GPT2(vocabulary=10, layers=1, width=8, heads=2, context=16)
        >>> model.generate(chainrule.tensor([[1, 2, 3]]), steps=2).shape
        Size([1, 5])
        """
        if beams != 1:
            state, step = self._beginning(prompt, steps), step_of(self, compile, steps)
            found, _ = beam_search(step, self.state_rows, state, prompt, steps, beams, end, length_penalty)
            return cat([prompt, found], 1)
        with evaluating(self.modules()):  # once, and not in each step
            new = self.stream(prompt, steps, temperature, top_k, top_p, end, generator, compile)
            return cat([prompt, *new], 1)

    def _beginning(self, prompt: Tensor, steps: int) -> Any:
        """The empty state for so many tokens, after a look at them."""
        length = need_tokens(prompt, "the prompt's tokens").shape[1]
        if steps < 0:
            raise ValueError(f"steps is at least 0, got {steps}.")
        if not length or (self.context is not None and length + steps > self.context):
            raise ShapeError(
                f"a prompt of {length} tokens and {steps} steps do not fit: there must be one token at least, and "
                f"{self.context or 'any number'} (the context) at most."
            )
        # In steps of 64, so that prompts of about one length have one compiled program.
        room = -(-(length + steps) // 64) * 64
        return self.empty_state(prompt.shape[0], room if self.context is None else min(room, self.context))


class SequenceToSequence(nn.Module):
    """What models that answer one sequence with another share: writing the answer. A subclass says the rest.

    Attributes:
        context: the longest answer; None if there is no such bound.
    """

    context: int | None

    def reading(self, source: Any, padding: Tensor | None, capacity: int) -> Any:
        """The state after reading the source, before the first token of the answer, with room for `capacity` tokens.

        padding: (N, L), True where the source has no token.
        """
        raise NotImplementedError

    def continued(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The scores behind each of the answer's new tokens (N, K): (N, K, words), and the state with these."""
        raise NotImplementedError

    def next_scores(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The scores behind the last of the new tokens: (N, words)."""
        scores, after = self.continued(tokens, state)
        return scores[:, -1], after

    def state_rows(self, state: Any, places: Tensor) -> Any:
        """The state of the sequences at these places of the batch: (M,) integers."""
        raise NotImplementedError

    def generate(
        self,
        source: Any,
        steps: int,
        start: int = 0,
        end: int | None = None,
        padding: Tensor | None = None,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float | None = None,
        beams: int = 1,
        length_penalty: float = 1.0,
        generator: Generator | None = None,
        compile: bool | None = None,
    ) -> Tensor:
        """The answer to each source, without `start`, the token that it begins behind: (N, ≤ steps).

        By default the best token at each step. The other arguments are those of `LanguageModel.generate`. In evaluation
        mode, without gradients.
        """
        choice = Choice(temperature, top_k, top_p, generator)
        choice.check()
        if steps < 1 or (self.context is not None and steps > self.context):
            raise ShapeError(f"an answer has 1 to {self.context or 'any number of'} tokens, got steps={steps}.")
        with no_grad(), evaluating(self.modules()):
            state = self.reading(source, padding, steps)
            tokens = full((source.shape[0], 1), start, dtype="int64", device=source.device)
            if beams != 1:
                rows, step = self.state_rows, step_of(self, compile, steps)
                return beam_search(step, rows, state, tokens, steps, beams, end, length_penalty)[0]
            return cat([*draw_tokens(step_of(self, compile, steps, choice), state, tokens, steps, end)], 1)


def step_of(model: Any, native: bool | None, steps: int, choice: Choice | None = None) -> Step:
    """What continues a model's sequences, without gradients and in evaluation mode, as `continued` does.

    With a choice the answer has the next token (N, 1) in place of the scores.

    Args:
        native: whether single tokens are taken by a native program; None: if there are many, and one can be made.
        steps: how many tokens there will be.
    """
    modules, wished, first = list(model.modules()), native, True
    if native is None:
        native = steps >= MANY and all(parameter.device.type == "cpu" for parameter in model.parameters())

    def step(tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        nonlocal native, first
        with no_grad(), evaluating(modules):
            if native and not first and tokens.shape[1] == 1:
                try:
                    return compiled_step(model)(model, tokens, state, choice), state
                except TraceError:
                    if wished:
                        raise
                    native = False
            first = False
            return continue_with(model, tokens, state, choice)

    return step


def continue_with(model: Any, tokens: Tensor, state: Any, choice: Choice | None) -> tuple[Tensor, Any]:
    """The scores behind the tokens, or with a choice the next token (N, 1) that it draws; and the state after them."""
    if choice is None:
        return model.continued(tokens, state)
    scores, after = model.next_scores(tokens, state)
    return choice.draw(scores), after


def compiled_step(model: Any) -> Callable[..., Tensor]:
    """`continue_in_place` as native programs, which live as long as the model."""
    from chainrule.compiler.function import compile  # when first wanted: it loads LLVM

    kept = model._paths
    kept.program = getattr(kept, "program", None) or compile(continue_in_place)
    return kept.program


def continue_in_place(model: Any, tokens: Tensor, state: Any, choice: Choice | None) -> Tensor:
    """`continue_with`, leaving the new state in the old one's memory: of a cache a program stores one row, no more."""
    found, after = continue_with(model, tokens, state, choice)
    places, values = tensors_of(state), tensors_of(after)
    if [(x.shape, x.dtype) for x in places] != [(x.shape, x.dtype) for x in values]:
        raise TraceError(
            f"{type(model).__name__}: a compiled step writes the new state where the old one is, so all of its tensors "
            "keep their shapes and types; this model's do not. generate(…, compile=False) does without."
        )
    for old, new in zip(places, values, strict=True):
        old.copy_(new)
    return found


def tensors_of(state: Any) -> list[Tensor]:
    """All tensors of a state: tuples and lists of such, and of None. Raises TraceError for what else there is."""
    if isinstance(state, Tensor):
        return [state]
    if state is not None and not isinstance(state, (tuple, list)):
        raise TraceError(
            f"the state between tokens consists of tensors in tuples and lists where steps are compiled, this one has "
            f"{type(state).__name__}. generate(…, compile=False) does without."
        )
    return [tensor for part in state or () for tensor in tensors_of(part)]


def need_tokens(tokens: Tensor, what: str) -> Tensor:
    """(batch, length) integers, or an error."""
    if need_tensor(tokens, what).value.array.dtype.kind not in "iu":
        raise DTypeError(f"{what} are integers, got {tokens.dtype}.")
    if tokens.ndim != 2:
        raise ShapeError(f"{what} are (batch, length), got {tuple(tokens.shape)}; unsqueeze(0) makes a batch of one.")
    return tokens


@contextlib.contextmanager
def evaluating(modules: Iterable[nn.Module]) -> Iterator[None]:
    """These are in evaluation mode inside, as before outside."""
    training = [module for module in modules if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def next_positions(tokens: Tensor, caches: list[KeyValueCache] | None, context: int) -> Tensor:
    """Where new tokens (N, L) stand behind those in the caches: (L,) integers.

    Raises ShapeError for more tokens than `context` in all.
    """
    count = tokens.shape[1]
    if caches is None:
        places_from(0, count, context)
        return arange(count, device=tokens.device)
    return places_from(caches[0].length, count, context)
