"""Dates from one way of writing to another, by an encoder–decoder with attention, and where it looks as it writes.

"Thursday, 03 March 1994" and "03.03.94 (Thu)" become "1994-03-03". Nothing says what a month is: the network sees
characters, 20,000 random dates written in seven ways, and what they should become. After 600 steps all of 1,000 new
dates are right in all ten characters, with each of the seeds 1 to 3. Its attention shows that it has learned where to
look: at the year while it writes the year, then at the month, then at the day.

    python examples/dates.py --figure dates.png
"""

from __future__ import annotations

import argparse

import chainrule
from chainrule import models, nn, optim
from chainrule.data.dates import date_pairs
from chainrule.nn.functional import cross_entropy

START, END = 0, 1  # of an answer; END also fills up sources
DIGITS = "0123456789-"


def encode(texts: list[str], letters: str, length: int) -> chainrule.Tensor:
    """(N, length) numbers of the characters, from 2 on; filled up with END."""
    return chainrule.tensor([[letters.index(c) + 2 for c in text] + [END] * (length - len(text)) for text in texts])


def main() -> None:
    """Learn, count what is right on new dates, and draw where the network looked."""
    parser = argparse.ArgumentParser(description="Dates, translated.")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--figure", help="where to draw the attention")
    options = parser.parse_args()
    chainrule.manual_seed(options.seed)

    written, wanted = date_pairs(21000, options.seed)
    letters, longest = "".join(sorted(set("".join(written)))), max(map(len, written))
    sources, answers = encode(written, letters, longest), encode(wanted, DIGITS, 10)
    model = models.RecurrentTranslator(len(letters) + 2, len(DIGITS) + 2, width=32, hidden=64, attention="additive")
    optimizer = optim.Adam(model.parameters(), lr=4e-3)
    schedule = optim.lr_scheduler.warmup_cosine(optimizer, 30, options.steps)
    begin = chainrule.full((64, 1), START, dtype="int64")

    @chainrule.compile
    def step(source: chainrule.Tensor, answer: chainrule.Tensor) -> chainrule.Tensor:
        optimizer.zero_grad()
        before = chainrule.cat([begin, answer[:, :-1]], 1)  # each character is guessed from those before it
        loss = cross_entropy(model(source, before, source == END).flatten(0, 1), answer.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.detach()

    for number in range(1, options.steps + 1):
        rows = chainrule.randint(0, 20000, (64,))
        loss = step(sources[rows], answers[rows])
        schedule.step()
        if number % 150 == 0 or number == 1:
            print(f"step {number:4}  loss {loss.item():.3f}")

    new, padding = sources[20000:], sources[20000:] == END
    found = model.generate(new, steps=10, start=START, padding=padding)
    right = (found == answers[20000:]).all(1).float().mean().item()
    print(f"{right:.1%} of 1,000 new dates are right, all ten characters of them.")
    for i in range(20000, 20007):
        print(f"  {written[i]:32} {''.join(DIGITS[c - 2] for c in found[i - 20000].tolist() if c > 1)}")
    if options.figure:
        draw(model, written[20000:], new, found, padding, options.figure)


def draw(model: nn.Module, written: list[str], sources: chainrule.Tensor, found: chainrule.Tensor,
         padding: chainrule.Tensor, path: str) -> None:  # fmt: skip
    """For four dates: a row for each character of the answer, dark where it was read from."""
    from matplotlib.figure import Figure

    chosen = [next(i for i, text in enumerate(written) if test(text)) for test in (
        lambda text: "," in text and text[-1].isdigit() and "day" not in text, lambda text: "(" in text,
        lambda text: "day, " in text, lambda text: text.isdigit())]  # fmt: skip
    before = chainrule.cat([chainrule.full((len(chosen), 1), START, dtype="int64"), found[chosen][:, :-1]], 1)
    maps = model.eval().attention_maps(sources[chosen], before, padding[chosen]).detach().numpy()
    figure = Figure(figsize=(10, 6), dpi=110, layout="constrained")
    for axes, place, weights in zip(figure.subplots(2, 2).flat, chosen, maps, strict=True):
        axes.imshow(weights[:, : len(written[place])], cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_xticks(range(len(written[place])), list(written[place]))
        axes.set_yticks(range(10), [DIGITS[c - 2] if c > 1 else "" for c in found[place].tolist()])
    figure.suptitle("Which character of the source (below) each character of the answer (left) was read from")
    figure.savefig(path)


if __name__ == "__main__":
    main()
