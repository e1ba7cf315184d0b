"""The diagnosis of training: what is wrong with a run, what shows it, what causes it, and what to try."""

from chainrule.train.doctor.acting import Acting
from chainrule.train.doctor.conditions.generator import mode_collapse
from chainrule.train.doctor.doctor import Doctor
from chainrule.train.doctor.figures import diagnose
from chainrule.train.doctor.finding import Finding
from chainrule.train.doctor.one_batch import overfit_one_batch
from chainrule.train.doctor.report import format_findings

__all__ = ["Acting", "Doctor", "Finding", "diagnose", "format_findings", "mode_collapse", "overfit_one_batch"]
