"""The README's pictures of a report and of the doctor, from real runs: `python -m docs.make.pictures`.

It needs Chromium (Debian: `apt install chromium`), which turns the pages into images.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import tempfile
from pathlib import Path

import rich.console
from PIL import Image

import chainrule
from chainrule import nn, optim
from chainrule.data import ConcatDataset, DataLoader, Subset, digits
from chainrule.tasks.run import train_run
from chainrule.tasks.settings import Settings
from chainrule.train import Doctor, Trainer

FIGURES = Path(__file__).parents[1] / "figures"


def photograph(page: Path, picture: Path, width: int, height: int, place: str = "") -> None:
    """What Chromium shows of a page (at `place`, what stands behind # in its address), in few colours."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("docs.make.pictures needs Chromium.")
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder}",
             "--virtual-time-budget=8000",  # until the page's scripts have done their work
             f"--window-size={width},{height + 200}", f"--screenshot={shot}", page.as_uri() + place],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        # A window's frame is part of its size, so the page is shorter than the window.
        Image.open(shot).convert("RGB").crop((0, 0, width, height)).quantize(128).save(picture, optimize=True)


def report(folder: Path) -> None:
    """A run of LeNet-5 on the digits, and the upper part of its report."""
    train_run(Settings(model="lenet5", epochs=8), folder / "run")
    photograph(folder / "run" / "report.html", FIGURES / "report.png", 1000, 925)


def doctor(folder: Path) -> None:
    """What the doctor says to the run of docs/doctor.md: units that are dead, samples that leak."""
    console = rich.console.Console(record=True, width=100, file=io.StringIO(), force_terminal=True)
    chainrule.manual_seed(0)
    data = digits(size=8)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    with chainrule.no_grad():
        model[1].bias[:20] = -100.0
    leaking = ConcatDataset([data.validation, Subset(data.train, range(30))])
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    trainer = Trainer(model, nn.CrossEntropyLoss(), optimizer, callbacks=[Doctor(console=console)])
    trainer.fit(DataLoader(data.train, batch_size=64, shuffle=True), DataLoader(leaking, batch_size=64), epochs=2)
    page = folder / "doctor.html"
    page.write_text(console.export_html(), encoding="utf-8")
    photograph(page, FIGURES / "doctor.png", 1000, 405)


def main() -> None:
    """Both."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        report(Path(folder))
        doctor(Path(folder))


if __name__ == "__main__":
    main()
