"""The machine code of a program beside its file, so that the first call elsewhere compiles nothing.

Each function of the code is kept under the hash that the cache on disk uses too: of the text that it was made from,
this processor's features, and the versions of the compilers. Whoever loads a program makes the same text from its
graph; where the hash is there the code is used, else LLVM makes it anew. So code for another processor is not mistaken
for ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.backends.native.run.cache import cached_codes, name_of_code, trust
from chainrule.backends.native.run.driver import driver_text
from chainrule.backends.native.run.machine import compile_text
from chainrule.errors import CheckpointError
from chainrule.serialization import load, save

KIND, VERSION = "chainrule machine code", 1


def save_code(runnables: Sequence[Any], path: Path) -> None:
    """Write the functions of some native programs, and the driver that calls them."""
    texts = [driver_text(), *(text for runnable in runnables for text in runnable.executable.builder.texts().values())]
    codes = cached_codes(texts, compile_text)
    named = {name_of_code(text): np.frombuffer(code, np.uint8) for text, code in zip(texts, codes, strict=True)}
    save({"kind": KIND, "version": VERSION, "codes": named}, path)


def trust_code(path: Path) -> None:
    """Use the functions in the file from now on, wherever this process would make the same.

    Raises CheckpointError for a file that is damaged or no such file; OSError if it is not there.
    """
    content = load(path)
    if not isinstance(content, dict) or content.get("kind") != KIND or content.get("version") != VERSION:
        raise CheckpointError(f"{path} holds no machine code of a program, or that of another version.")
    codes = content.get("codes")
    if not isinstance(codes, dict) or not all(
        isinstance(code, np.ndarray) and code.dtype == np.uint8 and code.ndim == 1 for code in codes.values()
    ):
        raise CheckpointError(f"{path} holds no machine code of a program.")
    trust({str(name): code.tobytes() for name, code in codes.items()})
