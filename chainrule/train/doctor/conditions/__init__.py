"""The conditions, a file for each family; importing a family puts its rules into the list."""

from chainrule.train.doctor.conditions import start  # isort: skip
from chainrule.train.doctor.conditions import data, labels  # isort: skip
from chainrule.train.doctor.conditions import gradients, activations, steps, loop  # isort: skip
from chainrule.train.doctor.conditions import generalisation, generator, acting  # isort: skip
from chainrule.train.doctor.rule import RULES

__all__ = [
    "RULES",
    "acting",
    "activations",
    "data",
    "generalisation",
    "generator",
    "gradients",
    "labels",
    "loop",
    "start",
    "steps",
]
