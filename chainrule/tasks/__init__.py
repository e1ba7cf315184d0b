"""What the command line does, as functions: settings, kinds of data, and runs that train, evaluate and predict.

>>> from chainrule.tasks import Settings
>>> Settings(data="digits", epochs=3).epochs
3
"""

from chainrule.tasks.kinds import load_task, restore_task
from chainrule.tasks.run import OpenRun, Outcome, open_run, train_run
from chainrule.tasks.settings import Settings, read_settings
from chainrule.tasks.task import Parts, Task

__all__ = [
    "OpenRun",
    "Outcome",
    "Parts",
    "Settings",
    "Task",
    "load_task",
    "open_run",
    "read_settings",
    "restore_task",
    "train_run",
]
