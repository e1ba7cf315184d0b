"""What a module saves and loads: its `state_dict`, the extra state a class may add, and the hooks around both."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from chainrule.cell import Handle
from chainrule.errors import ChainruleError
from chainrule.nn.hooks import Hook, add_hook
from chainrule.nn.loading import EXTRA_STATE, IncompatibleKeys, load_state


class StateDictMethods:
    """The part of `Module` that saves and loads."""

    _parameters: dict[str, Any]
    _buffers: dict[str, Any]
    _not_saved: set[str]
    _state_dict_hooks: dict[str, dict[int, Hook]]
    #: Entries that were added to the class later: where a file does not have them, they stay as they are.
    _absent_in_old_files: frozenset[str] = frozenset()
    _occupied: Callable[[], Iterator[tuple[str, Any]]]

    def state_dict(
        self, *, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> OrderedDict[str, Any]:
        """All parameters and saved buffers by their dotted names, as PyTorch names them.

        They are detached (unless `keep_vars`) but follow the module: `copy.deepcopy` it to keep the values of now.
        A class with `get_extra_state` adds what that answers, under the name `_extra_state`.

        >>> import chainrule
        >>> list(chainrule.nn.Linear(2, 1).state_dict())
        ['weight', 'bias']
        """
        for hook in self._hooks_for("save_pre"):
            hook.function(self, prefix, keep_vars)
        state: OrderedDict[str, Any] = OrderedDict() if destination is None else destination
        self._save_to_state_dict(state, prefix, keep_vars)
        for name, module in self._occupied():
            module.state_dict(destination=state, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook in self._hooks_for("save_post"):
            if hook.function(self, state, prefix, {}) is not None:
                raise ChainruleError("a state-dict hook changes the dictionary that it is given, and answers nothing.")
        return state

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        """Write what is this module's own into `destination`; a class may write something else."""
        for name, entry in [*self._parameters.items(), *self._buffers.items()]:
            if entry is not None and name not in self._not_saved:
                destination[prefix + name] = entry if keep_vars else entry.detach()
        if self._has_extra_state("get_extra_state"):
            destination[prefix + EXTRA_STATE] = self.get_extra_state()

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy values into the parameters and buffers of the same names, in their data types.

        Values are tensors or whatever NumPy reads as an array. With `assign` the given tensors take the place of the
        module's own, with their data types, and an optimiser made before does not know them; whether a parameter wants
        a gradient stays as it was. Nothing is changed unless everything fits.

        The counts of batches, `num_batches_tracked`, may be missing as in old files: they stay as they are.

        Raises CheckpointError for wrong shapes, and (if `strict`) for missing and unexpected names.

        >>> import chainrule
        >>> chainrule.nn.Linear(2, 1).load_state_dict({"weight": chainrule.ones(1, 2), "bias": chainrule.zeros(1)})
        <All keys matched successfully>
        """
        return load_state(self, state_dict, strict, assign)

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Change what is loaded into this module, as a hook does; a class may define it for its older files.

        `load_state_dict` calls it for every part, whole model first, and loads what is then in `state_dict`, when all
        of it fits. Nothing is to be done here for that.
        """

    def get_extra_state(self) -> Any:
        """What else is to be saved of a module; a class that has something defines this and `set_extra_state`.

        Anything that `chainrule.save` takes: tensors, numbers, strings, and containers of these.
        """
        raise ChainruleError(f"{type(self).__name__} has no extra state; a class that has some defines the method.")

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` gave; called by `load_state_dict` after the tensors are there."""
        raise ChainruleError(f"{type(self).__name__} has no extra state; a class that has some defines the method.")

    def _has_extra_state(self, method: str) -> bool:
        """Whether the class defines `get_extra_state` or `set_extra_state` itself."""
        return getattr(type(self), method) is not getattr(StateDictMethods, method)

    # -------------------------------------------------------------------------------------- hooks

    def _hooks_for(self, kind: str) -> list[Hook]:
        return list(self._state_dict_hooks.get(kind, {}).values())

    def _add_state_hook(self, kind: str, hook: Callable[..., Any]) -> Handle:
        return add_hook(self._state_dict_hooks.setdefault(kind, {}), Hook(hook))

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call `hook(module, prefix, keep_vars)` before `state_dict` collects."""
        return self._add_state_hook("save_pre", hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call `hook(module, state_dict, prefix, local_metadata)` with what was collected, to change it in place.

        `local_metadata` is an empty dictionary: what is saved here has no versions.

        >>> import chainrule
        >>> layer = chainrule.nn.Linear(2, 1)
        >>> handle = layer.register_state_dict_post_hook(lambda module, state, prefix, _: state.pop(prefix + "bias"))
        >>> layer.register_state_dict_post_hook(lambda module, state, prefix, _: state.clear()).remove()
        >>> handle.remove(); list(layer.state_dict())
        ['weight', 'bias']
        """
        return self._add_state_hook("save_post", hook)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call a hook before `load_state_dict` looks for anything, for instance to rename entries of old files.

        It is `hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)`. The
        dictionary is a copy, so change it in place; what is added to the lists is reported with the rest.

        >>> import chainrule
        >>> def rename(module, state, prefix, *_):
        ...     state[prefix + "weight"] = state.pop(prefix + "kernel")
        >>> layer = chainrule.nn.Linear(2, 1, bias=False)
        >>> handle = layer.register_load_state_dict_pre_hook(rename)
        >>> layer.load_state_dict({"kernel": chainrule.ones(1, 2)})
        <All keys matched successfully>
        """
        return self._add_state_hook("load_pre", hook)

    def _register_load_state_dict_pre_hook(self, hook: Callable[..., Any], with_module: bool = False) -> Handle:
        """The older form of the hook before loading, which is not given the module unless it asks for it."""
        return self._add_state_hook("load_pre", hook if with_module else lambda module, *given: hook(*given))

    _register_state_dict_hook = register_state_dict_post_hook

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call `hook(module, incompatible_keys)` after loading, parts first.

        What it takes out of the lists `missing_keys` and `unexpected_keys` is no longer an error with `strict`.
        """
        return self._add_state_hook("load_post", hook)
