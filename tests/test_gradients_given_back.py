"""What users' own backward rules and hooks give back is a gradient of the right shape and type, or an error."""

from typing import Any

import numpy as np
import pytest

import chainrule


def doubling(answer: Any) -> Any:
    class Doubling(chainrule.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return 2 * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return answer(g)

    return Doubling


@pytest.mark.parametrize("shape", [(7,), (1,), (), (3, 1)])
def test_a_gradient_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    x = chainrule.ones(3, requires_grad=True)
    with pytest.raises(chainrule.errors.GradientError, match=r"Doubling\.backward .* shape \(3,\)"):
        doubling(lambda g: chainrule.ones(shape)).apply(x).sum().backward()
    assert x.grad is None


def test_a_number_is_no_gradient() -> None:
    x = chainrule.ones(3, requires_grad=True)
    with pytest.raises(chainrule.errors.GradientError, match=r"gives float 1\.0"):
        doubling(lambda g: 1.0).apply(x).sum().backward()


def test_a_gradient_comes_in_its_arguments_type_and_summed_over_what_was_repeated() -> None:
    x = chainrule.ones(3, requires_grad=True)
    doubling(lambda g: g.double().expand(4, 3)).apply(x).sum().backward()
    assert x.grad.dtype == chainrule.float32 and x.grad.tolist() == [4, 4, 4]


@pytest.mark.parametrize("inner", [False, True])
@pytest.mark.parametrize("answer", [lambda g: chainrule.ones(5), lambda g: g.double(), lambda g: 2.0])
def test_a_hook_cannot_change_shape_or_type(inner: bool, answer: Any) -> None:
    x = chainrule.ones(3, requires_grad=True)
    y = x * 1 if inner else x
    y.register_hook(answer)
    with pytest.raises(chainrule.errors.GradientError, match=r"a hook took a gradient of shape \(3,\)"):
        (2 * y).sum().backward()


@pytest.mark.parametrize("shape", [(4, 2), (2, 4), (3, 5, 2)])
def test_singular_values_have_gradients_with_full_matrices_too(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).normal(size=shape)
    gradients = []
    for full in (True, False):
        x = chainrule.tensor(array, requires_grad=True)
        u, s, vh = chainrule.linalg.svd(x, full_matrices=full)
        count = min(shape[-2:])
        (s.square().sum() + (u[..., :count] * s.unsqueeze(-2) @ vh[..., :count, :]).sin().sum()).backward()
        gradients.append(x.grad.numpy())
        if full:
            for square in (u, vh):
                unit = (square @ square.mT).detach().numpy()
                np.testing.assert_allclose(unit, np.broadcast_to(np.eye(unit.shape[-1]), unit.shape), atol=1e-12)
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-9, atol=1e-9)


def test_a_complete_q_of_a_tall_matrix_refuses_a_gradient_and_r_has_one() -> None:
    array = np.random.default_rng(0).normal(size=(4, 2))
    x = chainrule.tensor(array, requires_grad=True)
    q, r = chainrule.linalg.qr(x, mode="complete")
    np.testing.assert_allclose((q @ r).detach().numpy(), array, atol=1e-12)
    np.testing.assert_allclose((q.mT @ q).detach().numpy(), np.eye(4), atol=1e-12)
    with pytest.raises(chainrule.errors.GradientError, match="reduced"):
        q.sum().backward()
    r.square().sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * array, atol=1e-12)  # Σ r² = Σ a²
