"""By day programs are compiled quickly: most of those in tests run a few times, and no bit is another one.

That it is so is tested in test_compiler_fuzz.py. At night, or if CHAINRULE_TEST_OPTIMISED is set, and always in tests of
what is written for the processor, programs are compiled as users have them.
"""

from __future__ import annotations

import os
import re

from chainrule.backends.native import executable

#: Programs of more operations would take longer to run than compiling quickly saves.
QUICK = 100_000_000
OPTIMISED = bool(os.environ.get("CHAINRULE_NIGHTLY") or os.environ.get("CHAINRULE_TEST_OPTIMISED"))
#: Random programs, what is written for the processor, and trainings so long that quick code would take longer.
KERNELS = re.compile(
    r"test_(attention_(kernel|dropout)|c_library|winograd|compiler_(fuzz|halves|math|run|targets|threads|\w*products))"
)
TRAININGS = re.compile(r"test_(diffusion|flows|gan|pixel_cnn|robust|vae)$")
_LITTLE = executable.LITTLE


def compile_quickly(file: str = "") -> None:
    """From now on compile programs as the tests of a file (its name) want them."""
    optimised = OPTIMISED or KERNELS.match(file) or TRAININGS.match(file)
    executable.LITTLE = _LITTLE if optimised else QUICK
