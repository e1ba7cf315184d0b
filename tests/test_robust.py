"""Attacks against themselves written step by step in NumPy; certificates and Lipschitz bounds where the truth is known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

import chainrule
from chainrule import nn, robust
from chainrule.robust.smoothing import lower_confidence_bound

Array = np.ndarray[Any, Any]
RANDOM = np.random.default_rng(0)
W1, W2 = RANDOM.normal(size=(8, 6)), RANDOM.normal(size=(3, 8))
X, LABELS = RANDOM.uniform(0.2, 0.8, (5, 6)), np.array([0, 1, 2, 1, 0])


def network() -> nn.Module:
    model = nn.Sequential(nn.Linear(6, 8, bias=False), nn.Tanh(), nn.Linear(8, 3, bias=False)).double().eval()
    with chainrule.no_grad():
        model[0].weight.copy_(chainrule.tensor(W1))
        model[2].weight.copy_(chainrule.tensor(W2))
    return model


def slope(x: Array) -> Array:
    """∂loss/∂x of that network, by hand."""
    h = np.tanh(x @ W1.T)
    z = h @ W2.T
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return ((p - np.eye(3)[LABELS]) @ W2 * (1 - h * h)) @ W1


def tensors() -> tuple[Any, Any]:
    return chainrule.tensor(X), chainrule.tensor(LABELS)


def test_fgsm_and_pgd_step_by_step() -> None:
    model, (x, y) = network(), tensors()
    np.testing.assert_allclose(robust.fgsm(model, x, y, 0.1).numpy(), np.clip(X + 0.1 * np.sign(slope(X)), 0, 1))
    np.testing.assert_allclose(
        robust.fgsm(model, x, y, 0.1, targeted=True).numpy(), np.clip(X - 0.1 * np.sign(slope(X)), 0, 1)
    )
    moved = X.copy()
    for _ in range(7):
        moved = np.clip(X + np.clip(moved + 0.03 * np.sign(slope(moved)) - X, -0.1, 0.1), 0, 1)
    ours = robust.pgd(model, x, y, 0.1, steps=7, step_size=0.03, random_start=False)
    np.testing.assert_allclose(ours.numpy(), moved, rtol=1e-12)
    moved = X.copy()
    for _ in range(7):
        g = slope(moved)
        change = moved + 0.2 * g / np.linalg.norm(g, axis=1, keepdims=True) - X
        change *= np.minimum(1, 0.5 / np.linalg.norm(change, axis=1, keepdims=True))
        moved = np.clip(X + change, 0, 1)
    ours = robust.pgd(model, x, y, 0.5, steps=7, step_size=0.2, norm=2, random_start=False)
    np.testing.assert_allclose(ours.numpy(), moved, rtol=1e-12)
    one = robust.pgd(model, x, y, 0.1, steps=1, step_size=0.1, random_start=False)
    assert chainrule.equal(one, robust.fgsm(model, x, y, 0.1))
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.peer
@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("norm", [2, math.inf])
@pytest.mark.parametrize(("falling", "momentum"), [(False, 0), (True, 0), (True, 0.25)])
def test_pgd_up_the_margin_as_written_in_pytorch(norm: float, targeted: bool, falling: bool, momentum: float) -> None:
    """After each step; the sizes that fall begin at ε."""
    torch = pytest.importorskip("torch")
    model, (x, y) = network(), tensors()
    center, labels, ours = torch.tensor(X), torch.tensor(LABELS), x
    w1, w2, epsilon, steps = torch.tensor(W1), torch.tensor(W2), 0.3, 6

    def inside(place: Any) -> Any:
        change = place - center
        if norm == math.inf:
            change = change.clamp(-epsilon, epsilon)
        else:
            change = change * (epsilon / change.norm(dim=1, keepdim=True)).clamp(max=1)
        return (center + change).clamp(0, 1)

    moved = before = center
    ours_before = x
    for i in range(steps):
        moved = moved.detach().requires_grad_()
        scores = torch.tanh(moved @ w1.T) @ w2.T
        others = [row[torch.arange(3) != label].max() for row, label in zip(scores, labels, strict=True)]
        up = torch.stack(others) - scores[torch.arange(5), labels]
        (g,) = torch.autograd.grad((-up if targeted else up).sum(), moved)
        size = epsilon * (1 - i / steps) if falling else 2.5 * epsilon / steps
        here = moved.detach()
        there = inside(here + size * (g.sign() if norm == math.inf else g / g.norm(dim=1, keepdim=True)))
        if momentum:
            there = inside(here + (1 - momentum) * (there - here) + momentum * (here - before))
        before, moved = here, there
        settings: dict[str, Any] = {"before": ours_before, "momentum": momentum} if momentum else {}
        down = -size if targeted else size
        following = robust.pgd_step(model, ours, x, y, epsilon, down, norm=norm, loss="margin", **settings)
        ours_before, ours = ours, following
        np.testing.assert_allclose(ours.numpy(), moved.numpy(), rtol=1e-9, err_msg=f"step {i}")
    settings = {"norm": norm, "targeted": targeted, "random_start": False, "falling": falling, "momentum": momentum}
    for step in (None, chainrule.compile(robust.pgd_step)):
        found = robust.pgd(model, x, y, epsilon, steps=steps, loss="margin", step=step, **settings)
        np.testing.assert_allclose(found.numpy(), moved.numpy(), rtol=1e-9)


def test_patches_are_rectangles_of_plus_or_minus_epsilon() -> None:
    """A row is like the one above it but for a few cuts, which differ between images; so are columns."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(2 * 12 * 15, 3)).double()
    x, y = chainrule.full((40, 2, 12, 15), 0.5, dtype=chainrule.float64), chainrule.zeros(40).long()

    def starts(x: Any, y: Any) -> Any:
        return robust.pgd(model, x, y, 0.1, steps=1, step_size=0.0, start="patches")

    chainrule.manual_seed(0)
    change = (starts(x, y) - x).numpy()
    np.testing.assert_allclose(np.abs(change), 0.1, rtol=1e-9)
    assert (change > 0).any() and (change < 0).any()
    heights, widths = (
        np.abs(np.diff(change, axis=axis)).max((1, 5 - axis)) > 0.1 for axis in (2, 3)
    )  # where something changes from a row to the next, from a column to the next
    assert heights.sum(1).max() <= 5 and widths.sum(1).max() <= 7, "rectangles are two or more high and wide"
    assert len({tuple(cuts) for cuts in heights.tolist()}) > 5 and len({tuple(cuts) for cuts in widths.tolist()}) > 5
    chainrule.manual_seed(0)
    np.testing.assert_array_equal((chainrule.compile(starts)(x, y) - x).numpy(), change)


def test_of_several_starts_the_one_with_the_smallest_margin_is_taken() -> None:
    """The same draws one at a time, without a step: each sample takes its own best."""
    model, (x, y) = network(), tensors()

    def begun(**settings: Any) -> Any:
        chainrule.manual_seed(1)
        return robust.pgd(model, x, y, 0.2, steps=1, step_size=0.0, **settings)

    found = begun(draws=6)
    restarted = begun(restarts=6)
    np.testing.assert_array_equal(found.numpy(), restarted.numpy())
    chainrule.manual_seed(1)
    each = [robust.pgd(model, x, y, 0.2, steps=1, step_size=0.0) for _ in range(6)]
    margins = np.stack([robust.margins(model(one), y).detach().numpy() for one in each])
    best = margins.argmin(0)
    assert len(set(best.tolist())) > 1
    np.testing.assert_array_equal(found.numpy(), np.stack([each[best[i]].numpy()[i] for i in range(5)]))
    aimed = begun(draws=6, targeted=True)
    np.testing.assert_array_equal(
        aimed.numpy(), np.stack([each[k].numpy()[i] for i, k in enumerate(margins.argmax(0))])
    )


@pytest.mark.parametrize("norm", [2, math.inf])
def test_attacks_stay_in_the_ball_and_restarts_only_help(norm: float) -> None:
    model, (x, y) = network(), tensors()
    chainrule.manual_seed(0)
    found = robust.pgd(model, x, y, 0.3, norm=norm, steps=5, restarts=4)
    change = (found - x).numpy()
    size = np.abs(change).max(1) if norm == math.inf else np.linalg.norm(change, axis=1)
    assert (size <= 0.3 + 1e-12).all() and (found >= 0).all() and (found <= 1).all()
    chainrule.manual_seed(0)
    first = robust.pgd(model, x, y, 0.3, norm=norm, steps=5)
    assert (robust.margins(model(found), y) <= robust.margins(model(first), y) + 1e-12).all()
    chosen = chainrule.tensor([1, 2, 0, 0, 2])
    reached = robust.pgd(model, x, chosen, 0.3, norm=norm, steps=5, restarts=2, targeted=True)
    assert (robust.margins(model(reached), chosen) >= robust.margins(model(x), chosen)).all()


def test_deep_fool_finds_the_distance_to_a_linear_boundary() -> None:
    model = nn.Linear(6, 3).double()
    x = chainrule.tensor(X)
    moved = robust.deep_fool(model, x, overshoot=1e-6, bounds=(-100.0, 100.0))
    w, b = model.weight.detach().numpy(), model.bias.detach().numpy()
    z = X @ w.T + b
    wanted = []
    for scores in z:
        c = scores.argmax()
        wanted.append(min((scores[c] - scores[k]) / np.linalg.norm(w[c] - w[k]) for k in range(3) if k != c))
    np.testing.assert_allclose((moved - x).norm(dim=1).numpy(), wanted, rtol=1e-4)
    assert not (model(moved).argmax(1) == model(x).argmax(1)).any()


def test_the_square_attack_finds_the_corner_of_the_ball() -> None:
    """The margin of two linear classes is least at x − ε·sign(w₀ − w₁), and squares of one pixel get there."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(2 * 3 * 3, 2)).double()
    chainrule.manual_seed(0)
    x, y = 0.3 + 0.4 * chainrule.rand(3, 2, 3, 3, dtype=chainrule.float64), chainrule.tensor([0, 0, 0])
    direction = (model[1].weight[0] - model[1].weight[1]).sign().reshape(2, 3, 3)
    found = robust.square_attack(model, x, y, 0.1, tries=700)
    np.testing.assert_allclose(found.numpy(), (x - 0.1 * direction).detach().numpy(), rtol=1e-12)
    near = robust.square_attack(model, x, y, 0.9, tries=20)
    assert (
        (near >= 0).all() and (near <= 1).all() and (robust.margins(model(near), y) < robust.margins(model(x), y)).all()
    )
    assert all(p.grad is None for p in model.parameters())


def test_the_square_attack_is_not_deceived_by_masked_gradients() -> None:
    """Rounded scores have no gradient: PGD stays where it began, the search does not."""
    linear = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).double()

    def rounded(images: Any) -> Any:
        return (linear(images) * 1000).round()

    chainrule.manual_seed(0)
    x = chainrule.rand(20, 1, 4, 4, dtype=chainrule.float64)
    y = linear(x).argmax(1)
    (masked,) = robust.accuracy_under_attack(rounded, x, y, [0.2], steps=10, random_start=False)
    (searched,) = robust.accuracy_under_attack(rounded, x, y, [0.2], robust.square_attack, tries=300)
    (truth,) = robust.accuracy_under_attack(linear, x, y, [0.2], robust.fgsm)
    assert masked == 1 and truth < 1 and searched == pytest.approx(truth, abs=0.05)


def test_attacks_compile_with_the_step_that_trains_on_them() -> None:
    x, y = tensors()

    def trained(compiled: bool) -> Any:
        model = network().train()
        optimizer = chainrule.optim.SGD(model.parameters(), lr=0.1)

        def step(x: Any, y: Any) -> Any:
            changed = robust.pgd(model, x, y, 0.1, steps=1, step_size=0.125)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(changed), y)
            loss.backward()
            optimizer.step()
            return loss

        run = chainrule.compile(step) if compiled else step
        chainrule.manual_seed(3)
        return [run(x, y).item() for _ in range(4)]

    np.testing.assert_allclose(trained(True), trained(False), rtol=1e-10)


def test_accuracy_falls_with_epsilon() -> None:
    model, (x, _) = network(), tensors()
    y = model(x).argmax(1)
    settings: dict[str, Any] = {"steps": 20, "random_start": False}
    curve = robust.accuracy_under_attack(model, x, y, [0.0, 0.05, 0.2, 0.5], batch_size=2, **settings)
    assert curve[0] == 1 and curve == sorted(curve, reverse=True) and curve[-1] < 1


def test_confidence_bounds_are_clopper_and_pearsons() -> None:
    for k, n, alpha in ((1, 10, 0.05), (90, 100, 0.001), (9990, 10000, 0.001), (10000, 10000, 0.01)):
        assert lower_confidence_bound(k, n, alpha) == pytest.approx(stats.beta.ppf(alpha, k, n - k + 1), rel=1e-9)
    assert lower_confidence_bound(0, 5, 0.1) == 0


def test_a_certificate_is_below_the_true_radius() -> None:
    """A linear boundary at distance d: the smoothed classifier's radius is d exactly."""
    direction = chainrule.tensor([0.6, 0.8], dtype=chainrule.float64)
    smoothed = robust.SmoothedClassifier(lambda x: chainrule.stack([x @ direction, x @ direction * 0], 1), sigma=1.0)
    found = smoothed.certify(0.7 * direction, count=20000)  # P(right) = Φ(0.7)
    assert found.label == 0 and 0.6 < found.radius < 0.7 + 0.04, "certain up to one in a thousand, and never by much"
    assert smoothed.certify(0.0 * direction, count=1000) in [robust.Certificate(-1, 0.0)]


def test_lipschitz_bounds_hold_the_truth_between_them() -> None:
    linear = nn.Sequential(nn.Linear(6, 8, bias=False), nn.Linear(8, 3)).double().eval()
    product = linear[1].weight @ linear[0].weight
    truth = np.linalg.norm(product.detach().numpy(), 2)
    x = chainrule.tensor(X)
    low, high = robust.lower_bound(linear, x), robust.upper_bound(linear.float(), (6,))
    assert low == pytest.approx(truth) and low <= high * (1 + 1e-6)
    assert high == pytest.approx(
        np.prod([np.linalg.norm(layer.weight.detach().numpy(), 2) for layer in linear]), rel=1e-5
    )
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1, padding_mode="circular"), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(48, 4)
    ).eval()  # fmt: skip
    points = chainrule.rand(3, 1, 8, 8)
    high = robust.upper_bound(model, (1, 8, 8))
    assert robust.lower_bound(model, points) <= high
    with chainrule.no_grad():
        other = points + 0.1 * chainrule.randn(3, 1, 8, 8)
        stretch = (model(points) - model(other)).norm(dim=1) / (points - other).flatten(1).norm(dim=1)
    assert (stretch <= high).all()


def test_a_circular_convolutions_norm_is_that_of_its_spectrum() -> None:
    """A circular convolution is diagonal after a Fourier transform: its norm is the largest value there."""
    layer = nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular", bias=False)
    spectrum = np.fft.fft2(layer.weight.detach().numpy(), (7, 7)).transpose(2, 3, 0, 1)
    wanted = np.linalg.svd(spectrum, compute_uv=False).max()
    assert robust.upper_bound(layer.eval(), (2, 7, 7)) == pytest.approx(wanted, rel=1e-5)


def written_out(layer: nn.Conv2d, shape: tuple[int, ...]) -> float:
    """The largest singular value of the convolution's matrix, column by column."""
    size = int(np.prod(shape))
    with chainrule.no_grad():
        zero = layer(chainrule.zeros(1, *shape))
        columns = layer(chainrule.eye(size).reshape(size, *shape)) - zero
    return float(np.linalg.norm(columns.flatten(1).numpy(), 2))


@pytest.mark.parametrize(
    "settings",
    [
        {"padding": 1},
        {"padding": 2, "kernel_size": 5},
        {"padding": 0, "stride": 2},
        {"padding": 1, "stride": 2, "kernel_size": 4},
        {"padding": 2, "dilation": 2},
        {"padding": 1, "groups": 2},
        {"padding": 1, "padding_mode": "circular"},
        {"padding": 2, "dilation": 2, "padding_mode": "circular", "groups": 2},
        {"padding": 1, "padding_mode": "circular", "stride": 2},
        {"padding": "same", "kernel_size": (3, 5)},
    ],
)
def test_a_convolutions_norm_is_that_of_its_matrix(settings: dict[str, Any]) -> None:
    chainrule.manual_seed(0)
    layer = nn.Conv2d(2, 4, **{"kernel_size": 3, **settings})
    truth = written_out(layer, (2, 8, 7))
    found = robust.convolution_norm(layer, (2, 8, 7))
    assert 0.998 * truth <= found <= truth * (1 + 1e-5)
    bound = robust.convolution_bound(layer, (2, 8, 7))
    if settings.get("padding_mode") == "circular" and "stride" in settings:
        assert bound is None
    else:
        assert bound is not None and truth <= bound * (1 + 1e-6)
        if settings.get("padding_mode") == "circular":
            assert bound == pytest.approx(truth, rel=1e-5)
        elif settings.get("stride", 1) == 1:
            assert bound <= 1.3 * truth


def test_large_convolutions_have_a_bound_too() -> None:
    """Matrices of 300 million entries: from below by power iteration, from above by the transform of the kernels."""
    model = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 4, stride=2, padding=1)).eval()
    high = robust.upper_bound(model, (1, 28, 28))
    low = [
        robust.convolution_norm(layer, shape) for layer, shape in ((model[0], (1, 28, 28)), (model[2], (16, 28, 28)))
    ]
    assert 0.5 * high < np.prod(low) <= high * (1 + 1e-6)


def test_errors_teach() -> None:
    model, (x, y) = network(), tensors()
    with pytest.raises(ValueError, match="epsilon, the largest change, is not negative, got -1"):
        robust.fgsm(model, x, y, -1)
    with pytest.raises(ValueError, match=r"norm is 2 or math\.inf, got 1"):
        robust.pgd(model, x, y, 0.1, norm=1)
    with pytest.raises(ValueError, match="loss is one of cross_entropy, margin, got 'hinge'"):
        robust.pgd(model, x, y, 0.1, loss="hinge")
    with pytest.raises(ValueError, match="momentum is at least 0 and less than 1, got 1"):
        robust.pgd(model, x, y, 0.1, momentum=1)
    with pytest.raises(ValueError, match="restarts and draws are 1 or more, got 40, 1 and 0"):
        robust.pgd(model, x, y, 0.1, draws=0)
    with pytest.raises(ValueError, match="start is uniform or patches, got 'corner'"):
        robust.pgd(model, x, y, 0.1, start="corner")
    with pytest.raises(ValueError, match=r"norm math\.inf alone, got 2"):
        robust.pgd(model, chainrule.ones(1, 1, 2, 2), y, 0.1, norm=2, start="patches")
    with pytest.raises(chainrule.ShapeError, match=r"patches in images \(N, C, H, W\), got \(5, 6\)"):
        robust.pgd(model, x, y, 0.1, start="patches")
    with pytest.raises(ValueError, match=r"tries 1 or more and the area in \(0, 1\], got 0.1, 0 and 0.3"):
        robust.square_attack(model, chainrule.ones(1, 1, 2, 2), y, 0.1, tries=0)
    with pytest.raises(chainrule.ShapeError, match=r"images \(N, C, H, W\), got \(5, 6\)"):
        robust.square_attack(model, x, y, 0.1)
    with pytest.raises(NotImplementedError, match="constant of 1, a GELU, is not known"):
        robust.upper_bound(nn.Sequential(nn.Linear(2, 2), nn.GELU()).eval(), (2,))
    with pytest.raises(ValueError, match="training mode"):
        robust.upper_bound(nn.Linear(2, 2), (2,))
    with pytest.raises(chainrule.ShapeError, match="take a smaller input"):
        robust.upper_bound(nn.Linear(5000, 5000).eval(), (5000,))
