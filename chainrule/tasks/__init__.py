"""What the command line does, as functions: settings, kinds of data, and runs that train, evaluate and predict.

>>> from chainrule.tasks import Settings
>>> Settings(data="digits", epochs=3).epochs
3
"""

from chainrule.later import Later

# What a run needs is loaded when it is used: the command's help needs the settings only.
with Later(globals()) as _later:
    from chainrule.tasks.kinds import load_task as load_task
    from chainrule.tasks.kinds import restore_task as restore_task
    from chainrule.tasks.run import OpenRun as OpenRun
    from chainrule.tasks.run import Outcome as Outcome
    from chainrule.tasks.run import open_run as open_run
    from chainrule.tasks.run import train_run as train_run
    from chainrule.tasks.settings import Settings as Settings
    from chainrule.tasks.settings import read_settings as read_settings
    from chainrule.tasks.task import Parts as Parts
    from chainrule.tasks.task import Task as Task

__all__ = sorted(_later.names)


def __getattr__(name: str) -> object:
    if name not in _later.names:
        raise AttributeError(f"chainrule.tasks has no {name!r}")
    found = globals()[name] = _later.load(name)
    return found
