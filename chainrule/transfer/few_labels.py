"""Many samples, few labels: an autoencoder learns from all of them, a classifier on its encoder from the labelled.

Step 1, unsupervised: the encoder and a decoder learn to reconstruct the input, so the encoder must find what matters
in it. Step 2, supervised: the decoder is discarded, a small fully connected classifier takes its place, and learns from
the labelled samples.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from chainrule import nn
from chainrule.autodiff.mode import no_grad
from chainrule.data.dataset import TensorDataset
from chainrule.data.loader import DataLoader
from chainrule.errors import ShapeError
from chainrule.nn.module import Module
from chainrule.optim.adam import Adam
from chainrule.random import Generator, randn_like
from chainrule.tensor import Tensor
from chainrule.train.loop import Scores, train_epoch
from chainrule.transfer.freezing import freeze


class FewLabels(NamedTuple):
    """What the two steps gave: the classifier, and how the losses went from epoch to epoch."""

    model: Module
    reconstruction: list[float]
    classification: list[Scores]


def pretrain(
    encoder: Module,
    decoder: Module,
    samples: Tensor,
    *,
    epochs: int = 50,
    batch_size: int = 64,
    lr: float = 1e-3,
    noise: float = 0.0,
    generator: Generator | None = None,
) -> list[float]:
    """Train decoder(encoder(x)) to be x again, and answer the mean squared error of each epoch.

    Args:
        encoder: from samples (N, …) to codes; it learns in place.
        decoder: from codes to samples (N, …).
        samples: (N, …), without labels.
        epochs, batch_size, lr: for Adam.
        noise: the standard deviation of what is added to the input; the clean sample is to come out (a denoising
            autoencoder: Vincent et al., 2008).
        generator: where order and noise come from.

    Raises ShapeError if the decoder's output has another shape than the samples.

    >>> import chainrule
    >>> x = chainrule.randn(32, 1) @ chainrule.ones(1, 8)
    >>> losses = pretrain(nn.Linear(8, 2), nn.Linear(2, 8), x, epochs=20, lr=0.05)
    >>> losses[-1] < losses[0]
    True
    """
    autoencoder = nn.Sequential(encoder, decoder).train()
    optimizer = Adam(autoencoder.parameters(), lr)
    losses = []
    for _ in range(epochs):
        total = 0.0
        for (batch,) in DataLoader(TensorDataset(samples), batch_size, shuffle=True, generator=generator):
            seen = batch + noise * randn_like(batch, generator=generator) if noise else batch
            output = autoencoder(seen)
            if output.shape != batch.shape:
                raise ShapeError(f"the decoder gives {tuple(output.shape)}, the samples are {tuple(batch.shape)}.")
            loss = nn.functional.mse_loss(output, batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        losses.append(total / len(samples))
    return losses


def classify(
    encoder: Module,
    samples: Tensor,
    labels: Tensor,
    classes: int,
    *,
    epochs: int = 50,
    batch_size: int = 64,
    lr: float = 1e-3,
    encoder_rate: float = 0.1,
    generator: Generator | None = None,
) -> tuple[Module, list[Scores]]:
    """Put a linear classifier on an encoder and train it on labelled samples.

    Args:
        encoder: from samples to codes; codes of more than one dimension are flattened.
        samples: (N, …).
        labels: (N,) int64, classes 0 to `classes` − 1.
        classes: how many there are.
        epochs, batch_size, lr: for Adam.
        encoder_rate: the encoder's learning rate as a share of `lr`; 0 freezes it.
        generator: where the order comes from.

    Returns the model, `Sequential(encoder, flatten, head)`, in evaluation mode, and the scores of each epoch.

    >>> import chainrule
    >>> model, scores = classify(nn.Linear(4, 3), chainrule.randn(20, 4), chainrule.arange(20) % 2, 2, epochs=2)
    >>> model.head
    Linear(in_features=3, out_features=2, bias=True)
    """
    encoder.eval()
    with no_grad():
        width = encoder(samples[:1]).flatten(1).shape[1]
    head = nn.Linear(width, classes, dtype=samples.dtype)
    model = nn.Sequential(OrderedDict([("encoder", encoder), ("flatten", nn.Flatten()), ("head", head)]))
    if not encoder_rate:
        freeze(encoder)
    learning = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    groups = [{"params": learning, "lr": lr * encoder_rate}] if learning else []
    optimizer = Adam([*groups, {"params": list(head.parameters()), "lr": lr}])
    batches = DataLoader(TensorDataset(samples, labels), batch_size, shuffle=True, generator=generator)
    scores = [train_epoch(model, batches, nn.CrossEntropyLoss(), optimizer) for _ in range(epochs)]
    return model.eval(), scores


def pretrain_then_classify(
    encoder: Module,
    decoder: Module,
    unlabelled: Tensor,
    samples: Tensor,
    labels: Tensor,
    classes: int,
    *,
    pretrain_epochs: int = 50,
    epochs: int = 50,
    batch_size: int = 64,
    lr: float = 1e-3,
    noise: float = 0.0,
    encoder_rate: float = 0.1,
    generator: Generator | None = None,
) -> FewLabels:
    """The two steps together: `pretrain` on the unlabelled samples, then `classify` with the encoder.

    The arguments are those of the two. The same rate and batch size serve both steps.

    >>> import chainrule
    >>> x = chainrule.randn(40, 6)
    >>> found = pretrain_then_classify(
    ...     nn.Linear(6, 3), nn.Linear(3, 6), x, x[:8], chainrule.arange(8) % 2, 2, pretrain_epochs=2, epochs=3)
    >>> found.model(x).shape, len(found.reconstruction), len(found.classification)
    (Size([40, 2]), 2, 3)
    """
    reconstruction = pretrain(
        encoder,
        decoder,
        unlabelled,
        epochs=pretrain_epochs,
        batch_size=batch_size,
        lr=lr,
        noise=noise,
        generator=generator,
    )
    model, scores = classify(
        encoder,
        samples,
        labels,
        classes,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        encoder_rate=encoder_rate,
        generator=generator,
    )
    return FewLabels(model, reconstruction, scores)
