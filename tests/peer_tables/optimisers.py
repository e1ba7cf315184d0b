"""Optimisers and learning-rate schedules: compared with PyTorch in tests of their own, whose tables are read here."""

from __future__ import annotations

import re

from tests.optimiser_cases import OPTIONS, SCHEDULES

_SCHEDULES = sorted(set(re.findall(r"\b([A-Z]\w*)\(", " ".join(SCHEDULES))) - {"SWALR"})

TESTED = {
    **{f"optim.{name}": "tests/test_optim.py" for name in OPTIONS},
    "optim.Optimizer": "tests/test_optim.py",
    **{f"optim.lr_scheduler.{name}": "tests/test_schedules.py" for name in _SCHEDULES},
    "optim.lr_scheduler.ReduceLROnPlateau": "tests/test_schedules.py",
    "optim.lr_scheduler.LRScheduler": "tests/test_schedules.py",
    "optim.swa_utils.SWALR": "tests/test_schedules.py",
    **{
        f"optim.swa_utils.{name}": "tests/test_averaging.py"
        for name in (
            "AveragedModel", "update_bn", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn",
            "get_swa_multi_avg_fn",
        )
    },
}  # fmt: skip
