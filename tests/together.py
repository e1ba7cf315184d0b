"""Thousands of small cases as some hundred tests: starting and reporting a test takes longer than most of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import pytest

import chainrule

Case = TypeVar("Case")


def start() -> None:
    """What every test and every case begins with: the same random numbers, whatever ran before."""
    chainrule.manual_seed(int(os.environ.get("CHAINRULE_TEST_SEED", "0")))


def together(cases: Iterable[Case], group: Callable[[Case], str]) -> Callable[[Callable[[Case], None]], Any]:
    """Make a test for each group of cases of what checks one.

    All cases are tried; those that fail are named. A group in which none fails but one is skipped counts as skipped.
    Raises ValueError if there are no cases.
    """
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(group(case), []).append(case)
    if not groups:
        raise ValueError("there are no cases to try.")

    def decorate(check: Callable[[Case], None]) -> Any:
        @pytest.mark.timeout(600)
        @pytest.mark.parametrize("of", groups)
        def test(of: str) -> None:
            failures: list[BaseException] = []
            skipped: BaseException | None = None
            for case in groups[of]:
                start()
                try:
                    check(case)
                except pytest.skip.Exception as reason:
                    skipped = reason
                except (Exception, pytest.fail.Exception) as error:  # pytest's own, "did not raise", is no Exception
                    error.add_note(f"The case is {case}.")
                    failures.append(error)
            if len(failures) == 1:
                raise failures[0]
            if failures:
                raise BaseExceptionGroup(f"{len(failures)} of {len(groups[of])} cases fail", failures)
            if skipped is not None:
                raise skipped

        test.__name__, test.__qualname__, test.__doc__ = check.__name__, check.__qualname__, check.__doc__
        return test

    return decorate
