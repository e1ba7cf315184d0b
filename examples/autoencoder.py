"""Few numbers for an image: autoencoders of several bottlenecks against principal components, and what a code is.

What to see, on the shipped digits of 8×8 pixels (lost: the share of the pixels' variance, on test images):

1. The smaller the code, the more is lost. Where there are few numbers the nonlinear code loses much less than the best
   linear one (PCA): with two of them 43% and not 72%. With 32 for 64 pixels PCA has nearly all, and a network that is
   trained for a minute has not.
2. A denoising autoencoder gives clean digits for noisy ones that it has never seen: of noise that is twice the digits'
   variance a third of the variance is left as error.
3. Between the codes of two digits lie digits. Between their pixels lie double exposures.

    python examples/autoencoder.py
    python examples/autoencoder.py --epochs 20 --figure autoencoder.png
"""

from __future__ import annotations

import argparse
from typing import Any

import chainrule
from chainrule import data, models, nn, optim, train
from chainrule.data import DataLoader, TensorDataset

SHAPE = (1, 8, 8)


def fit(code: int, noise: float, images: Any, epochs: int) -> models.DenseAutoencoder:
    """An autoencoder, trained."""
    chainrule.manual_seed(0)
    model = models.DenseAutoencoder(SHAPE, hidden=[128, 64], code=code, noise=noise)
    batches = DataLoader(TensorDataset(images, images), 32, shuffle=True)
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(batches))
    train.Trainer(model, nn.MSELoss(), optimizer, schedule=schedule).fit(batches, epochs=epochs)
    return model.eval()


@chainrule.no_grad()
def lost(found: Any, images: Any) -> float:
    """The share of the variance that is lost."""
    return ((found - images).square().sum() / (images - images.mean(0)).square().sum()).item()


def draw(path: str, rows: dict[str, Any]) -> None:
    """One line of pictures for each name."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.1 * len(rows)), dpi=110, layout="constrained")
    for line, (name, pictures) in zip(figure.subplots(len(rows), 8), rows.items(), strict=True):
        for axes, picture in zip(line, pictures[:8], strict=True):
            axes.imshow(picture.reshape(8, 8).numpy(), cmap="gray_r", vmin=-1, vmax=2)
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, fontsize=7, rotation=0, ha="right", va="center")
    figure.savefig(path)


def main() -> None:
    """Print the study of bottlenecks, and draw reconstructions, denoised images and ways between codes."""
    parser = argparse.ArgumentParser(description="Autoencoders, their codes, and PCA.")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--codes", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--figure", help="where to draw")
    options = parser.parse_args()

    splits = data.digits(size=8)
    images, test = splits.train[:][0], splits.test[:][0]
    rows = {"test images": test}
    print("numbers in a code   lost by the autoencoder   by PCA")
    for code in options.codes:
        model = fit(code, 0.0, images, options.epochs)
        with chainrule.no_grad():
            ours = model(test)
        pca = models.pca(images, code)
        linear = pca.decode(pca.encode(test)).reshape(test.shape)
        print(f"{code:17} {lost(ours, test):25.1%} {lost(linear, test):8.1%}")
        if code in (2, 8):
            rows |= {f"autoencoder, {code}": ours, f"PCA, {code}": linear}

    model = fit(16, 1.0, images, options.epochs)
    noisy = test + chainrule.randn(*test.shape)
    with chainrule.no_grad():
        clean = model(noisy)
    print(f"noise of deviation 1: the noisy images are off by {lost(noisy, test):.1%}, "
          f"the denoised ones by {lost(clean, test):.1%}")  # fmt: skip
    ends = test[0], test[3]
    share = chainrule.linspace(0, 1, 8)[:, None, None, None]
    rows |= {"noisy": noisy, "denoised": clean}
    rows["between codes"] = models.interpolate_codes(model, *ends)
    rows["between pixels"] = ends[0] + share * (ends[1] - ends[0])
    if options.figure:
        draw(options.figure, rows)


if __name__ == "__main__":
    main()
