"""The functions of arrays that a program in a file may name: rules of checks, and what is done by NumPy alone.

A file names a function, and it is called: so the names that count stand here, one by one. All of these only look at
arrays or compute with them. A test compares the list with the calls of `check_numbers`, `check_range` and `by_numpy`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from chainrule.errors import CheckpointError

#: File within the package: functions.
_RULES = {
    "distributions.beta_slope": "slope_of_quantile",
    "distributions.distribution": "_all_hold",
    "functions.arithmetic": "_is_divisor",
    "functions.assertions": "_holds _is_nonzero",
    "functions.counting": "_are_counts _fits_minlength _labels_fit",
    "functions.floating_point": "_exponent _neighbour _scaled",
    "functions.gathering": "_places_exist",
    "functions.incomplete_gamma": "incomplete_gamma slope_of_quantile",
    "functions.indexing": "_points_exist",
    "functions.linalg": "_further_columns",
    "functions.linalg_checked": "_not_positive _singular",
    "functions.lu": "_factors _need_no_zeros _order _pivots",
    "functions.masking": "_selects",
    "functions.scattering": "_source_suffices",
    "functions.searching": "_are_in _histogram _places _places_in_order",
    "models.recurrent_answers": "_padding_is_last",
    "nn.attention.causal": "_has_room",
    "nn.embedding": "_are_words _offsets_rise",
    "nn.losses.adaptive": "_are_classes",
    "nn.losses.binary": "_are_probabilities _are_targets",
    "nn.losses.classes": "_are_classes",
    "nn.losses.ctc": "_all_are_there _are_labels _lengths_fit _rows_suffice",
    "nn.losses.distribution": "_are_variances",
    "nn.losses.margin": "_are_classes",
    "nn.pooling.unpooling": "_places_exist",
    "nn.transformer.positions": "_positions_exist",
    "nn.utils.clip_grad": "_is_finite",
    "random": "_are_counts _are_deviations _are_probabilities _are_rates _are_weights",
}
NAMES = frozenset(f"{file}:{name}" for file, names in _RULES.items() for name in names.split())


def name_of_rule(function: Callable[..., Any]) -> str:
    """The name of a rule in files. Raises TypeError for another function.

    >>> from chainrule.nn.embedding import _are_words
    >>> name_of_rule(_are_words)
    'nn.embedding:_are_words'
    """
    module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
    found = f"{str(module).removeprefix('chainrule.')}:{name}"
    if found not in NAMES:
        raise TypeError(f"the function {name or function!r}, which a file cannot name")
    return found


def rule_named(name: Any) -> Callable[..., Any]:
    """The rule of that name. Raises CheckpointError for a name that is not on the list.

    >>> rule_named("files:write_text")
    Traceback (most recent call last):
    chainrule.errors.CheckpointError: it names the function 'files:write_text', which no program may.
    """
    if not isinstance(name, str) or name not in NAMES:
        raise CheckpointError(f"it names the function {name!r:.60}, which no program may.")
    file, _, function = name.partition(":")
    rule: Callable[..., Any] = getattr(importlib.import_module(f"chainrule.{file}"), function)
    return rule
