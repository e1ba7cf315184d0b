"""Many cases as one test: none is left out, and none hides what another one found."""

from __future__ import annotations

from typing import Any

import pytest

from tests.together import together


def outcome(check: Any, cases: list[int]) -> BaseException | None:
    """What the test that is made of the cases ends with."""
    try:
        together(cases, lambda case: "all")(check)("all")
    except BaseException as error:
        return error
    return None


def test_every_case_is_tried_and_each_that_fails_is_named() -> None:
    tried = []

    def check(case: int) -> None:
        tried.append(case)
        if case == 1:
            with pytest.raises(ValueError):
                int("1")  # "did not raise" is no Exception
        assert case != 2

    error = outcome(check, [0, 1, 2, 3])
    assert tried == [0, 1, 2, 3]
    assert isinstance(error, BaseExceptionGroup) and "2 of 4" in str(error)
    assert [e.__notes__ for e in error.exceptions] == [["The case is 1."], ["The case is 2."]]
    assert isinstance(outcome(check, [1]), pytest.fail.Exception)
    assert outcome(check, [0, 3]) is None


def test_what_is_skipped_hides_no_failure_and_is_no_success() -> None:
    def check(case: int) -> None:
        assert case != 2
        if case == 1:
            pytest.skip("not here")

    assert isinstance(outcome(check, [1, 2]), AssertionError)
    assert isinstance(outcome(check, [2, 1]), AssertionError)
    assert isinstance(outcome(check, [1, 0]), pytest.skip.Exception)


def test_no_cases_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="no cases"):
        together([], str)
