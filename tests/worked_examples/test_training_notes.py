"""What the notes say about training, measured on the shipped digits: descent per epoch and per batch, batch norm, splits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim
from chainrule.data.transforms.functional import rotate
from docs.make import normalisation as page
from docs.make.normalisation import BATCH, GROUP, WITHOUT, measured, trained

F = nn.functional


@pytest.fixture(scope="module")
def digits() -> tuple[Any, Any, Any, Any]:
    """Images as rows of 64 numbers and their labels, for learning and for testing."""
    return page.digits()


def test_e_2_2_descent_per_epoch_and_per_batch(digits: Any) -> None:
    """E 2.2, I IV.1.a–b: ten epochs are ten steps or 400; the gradients cost the same, and the loss ends at 2.0 or 0.1."""
    x, y, _, _ = digits

    def descend(per_epoch: bool) -> tuple[int, float]:
        chainrule.manual_seed(0)
        model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
        optimizer, steps = optim.SGD(model.parameters(), lr=0.1), 0
        for _ in range(10):
            optimizer.zero_grad()
            for batch in chainrule.randperm(len(x)).split(32):
                loss = F.cross_entropy(model(x[batch]), y[batch])
                if per_epoch:
                    (loss * len(batch) / len(x)).backward()  # adds up to the gradient of the mean over all
                    continue
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                steps += 1
            if per_epoch:
                optimizer.step()
                steps += 1
        return steps, measured(model, x, y)[0]

    (few, slow), (many, fast) = descend(True), descend(False)
    assert (few, many) == (10, 400) and slow > 1.7 and fast < 0.2


def test_e_4_5_4_batch_norm_learns_faster_and_stands_higher_rates(digits: Any) -> None:
    """E 4.5.4: after three epochs at 0.1 the loss is 0.15 against 2.0; at 3 it reads nine of ten, without norm one."""
    x, y, u, s = digits
    batches = [batch for _ in range(3) for batch in chainrule.randperm(len(x)).split(64)[:-1]]
    losses = [measured(trained(norm, 0.1, batches, x, y), x, y)[0] for norm in (BATCH, WITHOUT)]
    assert losses[0] < 0.5 < 1.2 < losses[1]
    read = [measured(trained(norm, 3.0, batches, x, y), u, s)[1] for norm in (BATCH, WITHOUT)]
    assert read[0] > 0.7 and read[1] < 0.3


def test_e_4_5_4_small_batches_suit_it_less() -> None:
    """E 4.5.4, I IV.2.e: from batches of two it reads about half of the digits, group norm nine of ten."""
    batch, group = (page.read_from_batches_of(2, norm, seed=0) for norm in (BATCH, GROUP))
    assert batch < 0.7 < group  # 0.20 to 0.63 and 0.78 to 0.95, of 24 seeds


def test_e_4_5_4_unbalanced_batches_suit_it_less() -> None:
    """E 4.5.4: if a batch is of one class, its mean is what says which; batch norm takes it out, group norm does not."""
    batch, group = (page.read_from_batches_of_one_class(norm, seed=0) for norm in (BATCH, GROUP))
    assert batch < 0.35 and group > 0.65


def test_i_3_a_small_validation_set_cannot_see() -> None:
    """I I.3, 7e: the accuracy on n samples has the standard error √(p(1 − p)/n); of 20 like models the best looks better."""
    p, random = 0.8, np.random.default_rng(0)
    luck = []
    for n in (10, 90):
        found = random.binomial(n, p, 4000) / n
        assert found.std() == pytest.approx(np.sqrt(p * (1 - p) / n), rel=0.08)  # 4000 draws: five times 1/√8000
        luck.append(found.reshape(-1, 20).max(1).mean() - p)
    assert luck[0] > 2 * luck[1] > 0  # 2.3 to 2.7 times, of 300 seeds


def test_i_3_even_splits_are_fine_where_there_is_enough() -> None:
    """I I.3, 7d: of many like samples half is as good as nine tenths; of few it is not. The median of ten draws."""
    random = np.random.default_rng(0)
    truth = random.standard_normal(20)
    risks = {}
    for total in (40, 20_000):
        found: list[list[float]] = []
        for _ in range(10):
            X = random.standard_normal((total, 20))
            Y = X @ truth + random.standard_normal(total)
            found.append([])
            for n in (total // 2, total * 9 // 10):
                fit = chainrule.models.least_squares(chainrule.tensor(X[:n]), chainrule.tensor(Y[:n, None]), bias=False)
                found[-1].append(((fit.weight.detach().numpy()[0] - truth) ** 2).sum())
        risks[total, 0.5], risks[total, 0.9] = np.median(found, 0)
    assert risks[20_000, 0.5] - risks[20_000, 0.9] < 0.01
    assert risks[40, 0.5] - risks[40, 0.9] > 1  # 20 samples for 20 weights: 6 at least, of 300 seeds


def test_i_3_six_and_nine_under_rotation(digits: Any) -> None:
    """I I.2.c, I.3: turned by 180°, sixes are read as nines; a turn by 10° changes hardly anything."""
    x, y, u, s = digits
    model = trained(BATCH, 0.3, list(chainrule.randperm(len(x)).split(64)[:-1]) * 3, x, y)
    sixes = u[s == 6].reshape(-1, 1, 8, 8)
    paper = sixes.min().item()
    little, half = (rotate(sixes, angle, fill=paper).flatten(1) for angle in (10, 180))
    model.eval()
    assert (model(little).argmax(1) == 6).double().mean() > 0.8
    answers = model(half).argmax(1)
    assert (answers == 6).double().mean() < 0.2 and (answers == 9).double().mean() > 0.3
