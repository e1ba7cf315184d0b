"""What the notes say about training, measured on the shipped digits: descent per epoch and per batch, batch norm, splits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import data, nn, optim
from chainrule.data.transforms.functional import rotate

F = nn.functional


@pytest.fixture(scope="module")
def digits() -> tuple[Any, Any, Any, Any]:
    """Images as rows of 64 numbers and their labels, for learning and for testing."""
    splits = data.digits(size=8)
    (x, y), (u, s) = splits.train[:], splits.test[:]
    return x.flatten(1), y, u.flatten(1), s


def measured(model: nn.Module, x: Any, y: Any) -> tuple[float, float]:
    """Loss and accuracy in evaluation."""
    model.eval()
    with chainrule.no_grad():
        scores = model(x)
        return F.cross_entropy(scores, y).item(), (scores.argmax(1) == y).double().mean().item()


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


def perceptron(norm: str) -> nn.Module:
    """Three hidden layers of 64: linear, norm, ReLU."""
    layers: list[nn.Module] = []
    for _ in range(3):
        layers.append(nn.Linear(64, 64))
        layers += {"none": [], "batch": [nn.BatchNorm1d(64)], "group": [nn.GroupNorm(8, 64)]}[norm]
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.Linear(64, 10))


def trained(norm: str, rate: float, batches: list[Any], x: Any, y: Any) -> nn.Module:
    """By plain stochastic gradient descent on these batches of indices."""
    chainrule.manual_seed(0)
    model = perceptron(norm)
    optimizer = optim.SGD(model.parameters(), lr=rate)

    @chainrule.compile
    def step(x: Any, y: Any) -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    for batch in batches:
        step(x[batch], y[batch])
    return model


def test_e_4_5_4_batch_norm_learns_faster_and_stands_higher_rates(digits: Any) -> None:
    """E 4.5.4: after three epochs at 0.1 the loss is 0.15 against 2.0; at 3 it reads nine of ten, without norm one."""
    x, y, u, s = digits
    batches = [batch for _ in range(3) for batch in chainrule.randperm(len(x)).split(64)[:-1]]
    losses = [measured(trained(norm, 0.1, batches, x, y), x, y)[0] for norm in ("batch", "none")]
    assert losses[0] < 0.5 < 1.2 < losses[1]
    read = [measured(trained(norm, 3.0, batches, x, y), u, s)[1] for norm in ("batch", "none")]
    assert read[0] > 0.7 and read[1] < 0.3


def test_e_4_5_4_small_batches_suit_it_less(digits: Any) -> None:
    """E 4.5.4, I IV.2.e: from batches of two it reads about half of the digits, group norm nine of ten."""
    x, y, u, s = digits
    batches = [batch for _ in range(2) for batch in chainrule.randperm(len(x)).split(2)]
    batch, group = (measured(trained(norm, 0.02, batches, x, y), u, s)[1] for norm in ("batch", "group"))
    assert batch < 0.7 and group > 0.8


def test_e_4_5_4_unbalanced_batches_suit_it_less(digits: Any) -> None:
    """E 4.5.4: if a batch is of one class, its mean is what says which; batch norm takes it out, group norm does not."""
    x, y, u, s = digits
    random = np.random.default_rng(0)
    batches = []
    for _ in range(5):
        epoch = [np.flatnonzero(y.numpy() == digit)[:112].reshape(-1, 16) for digit in range(10)]
        batches += [chainrule.tensor(batch) for batch in random.permutation(np.concatenate(epoch))]
    batch, group = (measured(trained(norm, 0.02, batches, x, y), u, s)[1] for norm in ("batch", "group"))
    assert batch < 0.35 and group > 0.65


def test_i_3_a_small_validation_set_cannot_see(digits: Any) -> None:
    """I I.3, 7e: the accuracy on n samples has the standard error √(p(1 − p)/n); of 20 like models the best looks better."""
    x, y, u, s = digits
    model = trained("none", 0.3, list(chainrule.randperm(len(x)).split(64)[:-1]) * 3, x, y)
    right = (model(u).argmax(1) == s).double().numpy()
    p, random = right.mean(), np.random.default_rng(0)
    luck = []
    for n in (10, 90):
        found = random.choice(right, (4000, n)).mean(1)
        assert found.std() == pytest.approx(np.sqrt(p * (1 - p) / n), rel=0.08)  # 4000 draws: five times 1/√8000
        luck.append(found.reshape(-1, 20).max(1).mean() - p)
    assert luck[0] > 2 * luck[1] > 0


def test_i_3_even_splits_are_fine_where_there_is_enough(digits: Any) -> None:
    """I I.3, 7d: of many like samples half is as good as nine tenths; of few it is not."""
    random = np.random.default_rng(0)
    truth = random.standard_normal(20)
    risks = {}
    for total in (40, 20_000):
        X = random.standard_normal((total, 20))
        Y = X @ truth + random.standard_normal(total)
        for share in (0.5, 0.9):
            n = int(share * total)
            fit = chainrule.models.least_squares(chainrule.tensor(X[:n]), chainrule.tensor(Y[:n, None]), bias=False)
            risks[total, share] = float(((fit.weight.detach().numpy()[0] - truth) ** 2).sum())
    assert risks[20_000, 0.5] - risks[20_000, 0.9] < 0.01
    assert risks[40, 0.5] - risks[40, 0.9] > 0.3


def test_i_3_six_and_nine_under_rotation(digits: Any) -> None:
    """I I.2.c, I.3: turned by 180°, sixes are read as nines; a turn by 10° changes hardly anything."""
    x, y, u, s = digits
    model = trained("batch", 0.3, list(chainrule.randperm(len(x)).split(64)[:-1]) * 3, x, y)
    sixes = u[s == 6].reshape(-1, 1, 8, 8)
    paper = sixes.min().item()
    little, half = (rotate(sixes, angle, fill=paper).flatten(1) for angle in (10, 180))
    model.eval()
    assert (model(little).argmax(1) == 6).double().mean() > 0.8
    answers = model(half).argmax(1)
    assert (answers == 6).double().mean() < 0.2 and (answers == 9).double().mean() > 0.3
