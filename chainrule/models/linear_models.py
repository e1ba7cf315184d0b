"""Linear and logistic regression as networks: one affine layer, found at once or step by step.

    linear      ŷ = w·x + b               the squared error; solved by (XᵀX)⁻¹XᵀY, or by descent
    logistic    P(class 1) = σ(w·x + b)   the cross-entropy; there is no formula, so by descent

Whether a probability is enough to say yes is decided afterwards, by a threshold: ½ makes the fewest errors, another one
fewer of the kind that is dearer.

Sources: Legendre 1805, Gauss 1809; Cox, "The regression analysis of binary sequences", 1958.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

from chainrule import nn
from chainrule.autodiff.mode import no_grad
from chainrule.functions.creation import zeros_like
from chainrule.functions.pieces import cat
from chainrule.models.linear_regression import least_squares
from chainrule.models.registry import register
from chainrule.tensor import Tensor


class LinearRegression(nn.Module):
    """Samples (N, …), flattened, to numbers (N, num_classes).

    Args:
        in_features: numbers in a sample.
        num_classes: numbers that are predicted.

    >>> import chainrule
    >>> X, Y = chainrule.tensor([[0.0], [1.0], [2.0]]), chainrule.tensor([[1.0], [3.0], [5.0]])
    >>> LinearRegression(1).solve(X, Y)(chainrule.tensor([[10.0]])).item()
    21.0000
    """

    def __init__(self, in_features: int = 1, num_classes: int = 1) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.linear(x.flatten(1))

    @no_grad()
    def solve(self, X: Tensor, Y: Tensor) -> Self:
        """Take the weights with the least squared error, in closed form (`models.least_squares`); gives the model."""
        found = least_squares(X.flatten(1), Y.reshape(len(Y), -1))
        self.linear.weight.copy_(found.weight)
        self.linear.bias.copy_(found.bias)
        return self


class LogisticRegression(nn.Module):
    """Samples (N, …), flattened, to scores (logits) (N, num_classes), for cross-entropy.

    Two classes have one weight vector: the scores are 0 and w·x + b, so that the softmax is σ(w·x + b) and the
    cross-entropy the logistic loss. More classes have one each (softmax regression).

    Args:
        in_features: numbers in a sample.
        num_classes: at least 2.

    >>> import chainrule
    >>> model = LogisticRegression(192)
    >>> model(chainrule.zeros(8, 3, 8, 8)).shape, tuple(model.linear.weight.shape)
    (Size([8, 2]), (1, 192))
    """

    def __init__(self, in_features: int = 784, num_classes: int = 2) -> None:
        super().__init__()
        if num_classes < 2:
            raise ValueError(f"there are at least two classes, got {num_classes}.")
        self.linear = nn.Linear(in_features, 1 if num_classes == 2 else num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        scores = self.linear(x.flatten(1))
        return scores if scores.shape[1] > 1 else cat([zeros_like(scores), scores], 1)

    def probabilities(self, x: Tensor) -> Tensor:
        """The probability of each class, (N, num_classes)."""
        return self(x).softmax(1)

    @no_grad()
    def decide(self, x: Tensor, threshold: float = 0.5) -> Tensor:
        """Of two classes: whether the second one's probability is at least the threshold, (N,) booleans.

        Raises ValueError for a threshold outside of 0 … 1, and where there are more than two classes.

        >>> import chainrule
        >>> model = LogisticRegression(1)
        >>> _ = chainrule.nn.init.ones_(model.linear.weight), chainrule.nn.init.zeros_(model.linear.bias)
        >>> x = chainrule.tensor([[-1.0], [0.5], [3.0]])
        >>> model.decide(x).tolist(), model.decide(x, threshold=0.9).tolist()
        ([False, True, True], [False, False, True])
        """
        if not 0 <= threshold <= 1:
            raise ValueError(f"a threshold lies in 0 … 1, got {threshold}.")
        probabilities = self.probabilities(x)
        if probabilities.shape[1] != 2:
            raise ValueError(f"a threshold decides between two classes, not {probabilities.shape[1]}; take the argmax.")
        return probabilities[:, 1] >= threshold


def _fit(shape: Sequence[int], outputs: int) -> dict[str, Any]:
    return {"in_features": math.prod(shape), "num_classes": outputs}


@register("linear_regression", task="regression", data="table", input=(1,), paper="Legendre 1805; Gauss 1809", fit=_fit)
def linear_regression(**options: Any) -> LinearRegression:
    """A `LinearRegression` with these options."""
    return LinearRegression(**options)


@register(
    "logistic_regression", task="classification", data=("images", "table"), input=(784,), paper="Cox 1958", fit=_fit
)
def logistic_regression(**options: Any) -> LogisticRegression:
    """A `LogisticRegression` with these options."""
    return LogisticRegression(**options)
