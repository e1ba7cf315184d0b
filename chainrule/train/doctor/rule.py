"""A rule: how one condition is recognised, and what is said about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from chainrule.train.doctor.finding import Finding

if TYPE_CHECKING:
    from chainrule.train.doctor.acting import Acting
    from chainrule.train.doctor.case import Case
    from chainrule.train.doctor.look import Look

#: Every rule there is, in the order in which the files of `conditions` are imported.
RULES: list[type[Rule]] = []


class Rule:
    """The base of all rules. A subclass says what its condition is, and looks for it at the moments it needs.

    To add a condition, write a subclass in the file of its family under `conditions/`: nothing else. The texts are what
    the terminal and the page docs/doctor.md show. A rule that has found its condition is not asked again.

    Class attributes:
        condition: its name.
        severity: "note", "warning" or "fault".
        shows: how the condition shows, and at which numbers the rule speaks.
        cause: what it likely comes from.
        remedies: what to try, the most promising first.
        source: where it is described.
        from_figures: whether it can tell from the losses of the epochs alone.

    Attributes:
        memory: what the rule remembers from one moment to the next: what JSON can hold, since it is saved with the run.
    """

    condition: ClassVar[str] = ""
    severity: ClassVar[str] = "warning"
    shows: ClassVar[str] = ""
    cause: ClassVar[str] = ""
    remedies: ClassVar[tuple[str, ...]] = ()
    source: ClassVar[str] = ""
    from_figures: ClassVar[bool] = False

    def __init__(self) -> None:
        self.memory: dict[str, Any] = {}

    def __init_subclass__(cls) -> None:
        if cls.condition:
            RULES.append(cls)

    def at_start(self, case: Case) -> Finding | None:
        """Before the first step: the model as it was made."""

    def at_batch(self, case: Case) -> Finding | None:
        """After each batch; only the loss is known, so it costs nothing."""

    def at_look(self, case: Case, look: Look) -> Finding | None:
        """After a batch that was looked at closely."""

    def at_epoch_end(self, case: Case) -> Finding | None:
        """After each epoch; `case.rows` has its figures. With `from_figures` also where nothing else is left."""

    def at_divergence(self, case: Case) -> Finding | None:
        """The loss is no finite number any more; training ends."""

    def at_acting(self, case: Case, acting: Acting) -> Finding | None:
        """An agent that learns to act was looked at."""

    def at_end(self, case: Case) -> Finding | None:
        """After the last epoch; as `at_epoch_end`."""

    def found(self, case: Case, evidence: str, paths: tuple[str, ...] = (), severity: str = "") -> Finding:
        """The finding, with the rule's own texts; `evidence` may begin with a small letter."""
        evidence = evidence[:1].upper() + evidence[1:]
        return Finding(
            self.condition,
            severity or self.severity,
            evidence,
            self.cause,
            self.remedies,
            case.epoch,
            tuple(paths),
            case.acted,
        )

    def twice(self, key: str, here: bool) -> bool:
        """Whether something is so in two looks in a row: once may be chance."""
        before = bool(self.memory.get(key))
        self.memory[key] = here
        return here and before
