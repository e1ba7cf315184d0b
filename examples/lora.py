"""A small model that has learned Shakespeare learns the language of this project's pages: all of it, or by LoRA.

One GPT on bytes is trained on the plays. Then it goes on, with the pages in docs/, in three ways: not at all, with all
its weights, and with changes of rank 8 beside the frozen ones. What counts is the perplexity per byte on the last
tenth of the pages, and on the plays: how much of them is forgotten.

What to see: the model hesitates between 41 bytes on the pages before, between 9.8 after training all 842,496 weights
and 14.2 by LoRA, which trains 65,536 and keeps 0.27 MB for 3.4. Both forget: on the plays 7.8 becomes 12.9 and 12.2.
(One seed; the pages as they were on 1 December 2026.)

    python examples/lora.py
"""

from __future__ import annotations

import argparse
import copy
import tempfile
from pathlib import Path

from shakespeare import LENGTH, learn, perplexity  # the lesson beside this one

import chainrule
from chainrule import models
from chainrule.data.readers import Bytes
from chainrule.data.shakespeare import load_shakespeare_text
from chainrule.transfer import add_lora, merge_lora, save_lora

PAGES = Path(__file__).parent.parent / "docs"


def main() -> None:
    """Train once, adapt twice, print a table."""
    parser = argparse.ArgumentParser(description="LoRA against full fine-tuning.")
    parser.add_argument("--steps", type=int, default=600, help="on the plays")
    parser.add_argument("--more", type=int, default=300, help="on the pages")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--data-root", help="the folder with tinyshakespeare.txt")
    options = parser.parse_args()

    plays = Bytes().encode(load_shakespeare_text(options.data_root))
    pages = Bytes().encode("\n".join(path.read_text(encoding="utf-8") for path in sorted(PAGES.glob("*.md"))))
    cut = len(pages) * 9 // 10

    chainrule.manual_seed(0)
    base = models.GPT2(256, layers=4, width=128, heads=4, context=LENGTH, dropout=0.0)
    print("on the plays")
    learn(base, plays[: len(plays) * 9 // 10], options.steps, 3e-3)

    rows = [("before", base, 0, 0)]
    whole = copy.deepcopy(base).train()
    print("on the pages, all weights")
    learn(whole, pages[:cut], options.more, 1e-3)
    count = sum(p.numel() for p in whole.parameters())
    rows.append(("all weights", whole, count, 4 * count))

    small = copy.deepcopy(base).train()
    report = add_lora(small, options.rank)
    print(f"on the pages, LoRA: {report}")
    learn(small, pages[:cut], options.more, 5e-3)
    with tempfile.TemporaryDirectory() as folder:
        save_lora(small, folder)
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
    merge_lora(small)  # as fast as the base from here on
    rows.append((f"LoRA, rank {options.rank}", small, report.trained, size))

    print(f"\n{'':16} {'learns':>10} {'bytes to keep':>14} {'pages':>8} {'plays':>8}   (perplexity per byte)")
    for name, model, learned, kept in rows:
        new, old = perplexity(model, pages[cut:]), perplexity(model, plays[len(plays) * 9 // 10 :])
        print(f"{name:16} {learned:10,} {kept:14,} {new:8.3f} {old:8.3f}")


if __name__ == "__main__":
    main()
