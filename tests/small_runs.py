"""Runs without training: small data of each kind, and a run's folder with the first weights of its network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from chainrule.tasks import Settings, load_task
from chainrule.tasks.run import write_json
from chainrule.train.weights import save_weights


def untrained(folder: Path, **settings: Any) -> Path:
    """A run's folder with the first weights of its network, as if they were those of the best epoch."""
    task, _ = load_task(Settings(**settings))
    folder.mkdir()
    write_json(folder / "facts.json", task.facts)
    write_json(folder / "config.json", {"task": task.kind, "settings": task.settings.to_json()})
    save_weights(task.build_model(), folder / "best.safetensors")
    return folder


def settings_for_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Settings by the kind of task, for a table, labelled texts, pairs and a text, whose files are written."""
    table, texts, pairs, text = (folder / name for name in ("t.csv", "r.csv", "p.tsv", "s.txt"))
    rows = [f"{a:.3f},{'xyz'[i % 3]},{a * 2:.3f}" for i, a in enumerate(np.random.default_rng(0).standard_normal(60))]
    table.write_text("\n".join(["a,kind,y", *rows]) + "\n")
    texts.write_text("text,stars\n" + "".join(f"word{i % 7} word{i % 5},{i % 2}\n" for i in range(60)))
    pairs.write_text("".join(f"{i}\t{i + 1}\n" for i in range(100, 160)))
    text.write_text("abcdefgh\n" * 60)
    return {
        "table": {"data": str(table), "target": "y"},
        "labelled texts": {"data": str(texts), "target": "stars", "model": "rnn_classifier"},
        "pairs": {"data": str(pairs), "model": "rnn_translator", "tokens": "characters"},
        "text": {"data": str(text), "length": 8},
    }
