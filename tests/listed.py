"""Lists of cases that are functions, each put in where it is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Case = TypeVar("Case")


def into(cases: list[Case]) -> Callable[[Case], Case]:
    """What puts a function into a list."""

    def put(case: Case) -> Case:
        cases.append(case)
        return case

    return put
