"""Saving and loading a module's state: hooks, extra state, assignment; as PyTorch does, and all or nothing."""

from __future__ import annotations

from typing import Any

import pytest

import chainrule
from chainrule import nn


def small(framework: Any) -> Any:
    return framework.nn.Sequential(framework.nn.Linear(2, 3), framework.nn.Sequential(framework.nn.Linear(3, 1)))


def counting(framework: Any) -> Any:
    class Counting(framework.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = framework.nn.Parameter(framework.ones(2))
            self.seen: Any = {"count": 0}

        def get_extra_state(self) -> Any:
            return self.seen

        def set_extra_state(self, state: Any) -> None:
            self.seen = state

    return framework.nn.Sequential(Counting(), Counting())


@pytest.mark.peer
def test_hooks_are_called_as_pytorch_calls_them() -> None:
    torch = pytest.importorskip("torch")
    told: list[list[Any]] = []
    for framework in (chainrule, torch):
        model, heard = small(framework), []
        for name, part in model.named_modules():
            part.register_state_dict_pre_hook(
                lambda m, prefix, keep, n=name, heard=heard: heard.append((n, "save_pre", prefix, keep))
            )
            part.register_state_dict_post_hook(
                lambda m, state, prefix, _, n=name, heard=heard: heard.append((n, "save_post", list(state), prefix))
            )
            part.register_load_state_dict_post_hook(
                lambda m, keys, n=name, heard=heard: heard.append((n, "load_post", *keys))
            )
        state = model.state_dict(prefix="a.", keep_vars=True)
        model.load_state_dict({name[2:]: value for name, value in state.items()} | {"other": 1}, strict=False)
        told.append(heard)
        seen: list[str] = []

        def keep_prefix(m: Any, state: Any, prefix: str, *rest: Any, seen: list[str] = seen) -> None:
            seen.append(prefix)

        for part in model.modules():
            part.register_load_state_dict_pre_hook(keep_prefix)
        model.load_state_dict({name[2:]: value for name, value in state.items()})
        told[-1].append(seen)
    assert told[0] == told[1]


@pytest.mark.peer
def test_hooks_change_what_is_saved_and_loaded() -> None:
    torch = pytest.importorskip("torch")
    for framework in (chainrule, torch):
        model = small(framework)

        def rename(module: Any, state: Any, prefix: str, *rest: Any) -> None:
            state[prefix + "weight"] = state.pop(prefix + "kernel")

        def save(module: Any, state: Any, prefix: str, metadata: Any) -> None:
            state[prefix + "kernel"] = state.pop(prefix + "weight")

        model[0].register_load_state_dict_pre_hook(rename)
        model[0].register_state_dict_post_hook(save)
        state = model.state_dict()
        assert list(state) == ["0.bias", "0.kernel", "1.0.weight", "1.0.bias"]
        given = {name: value * 0 + 4 for name, value in state.items()}
        model.load_state_dict(given)
        assert "0.kernel" in given and model[0].weight[0, 0].item() == 4

        def complain(
            module: Any, state: Any, prefix: str, meta: Any, strict: bool, missing: Any, unexpected: Any, errors: Any
        ) -> None:
            errors.append("too old")

        handle = model[1].register_load_state_dict_pre_hook(complain)
        with pytest.raises(RuntimeError, match="too old"):
            model.load_state_dict(given)
        handle.remove()
        del given["1.0.bias"]
        with pytest.raises(RuntimeError, match=r"1\.0\.bias"):
            model.load_state_dict(given)
        model.register_load_state_dict_post_hook(lambda module, keys: keys.missing_keys.clear())
        assert model.load_state_dict(given).missing_keys == []


def test_a_hook_that_leaves_a_problem_undoes_the_loading() -> None:
    model = small(chainrule)
    weight, before = model[0].weight, model[0].weight.tolist()
    model.register_load_state_dict_post_hook(lambda module, keys: None)
    for assign in (False, True):
        with pytest.raises(chainrule.CheckpointError, match="missing"):
            model.load_state_dict({"0.weight": chainrule.ones(3, 2)}, assign=assign)
        assert model[0].weight is weight and weight.tolist() == before and weight.requires_grad
    with pytest.raises(chainrule.ChainruleError, match="answers nothing"):
        model.register_state_dict_post_hook(lambda module, state, prefix, metadata: state)
        model.state_dict()
    with pytest.raises(TypeError, match=r"str.*chainrule\.load"):
        model.load_state_dict("weights.pt")  # type: ignore[arg-type]


@pytest.mark.peer
def test_extra_state() -> None:
    torch = pytest.importorskip("torch")
    found = []
    for framework in (chainrule, torch):
        model, other = counting(framework), counting(framework)
        model[1].seen = {"count": 5, "names": ("a", None)}
        state = model.state_dict()
        keys = [*state]
        other.load_state_dict(state)
        assert [part.seen for part in other] == [part.seen for part in model]
        del state["1._extra_state"]
        with pytest.raises(RuntimeError, match=r"1\._extra_state"):
            other.load_state_dict(state)
        found.append((keys, other.load_state_dict(state, strict=False), [part.seen for part in other]))
        with pytest.raises(RuntimeError, match="_extra_state"):
            framework.nn.Linear(2, 2, bias=False).load_state_dict({"weight": framework.ones(2, 2), "_extra_state": 1})
        with pytest.raises((RuntimeError, chainrule.ChainruleError)):
            framework.nn.Linear(2, 2).get_extra_state()
        with pytest.raises((RuntimeError, chainrule.ChainruleError)):
            framework.nn.Linear(2, 2).set_extra_state(None)
    assert [tuple(part) if isinstance(part, tuple) else part for part in found[0]] == [
        tuple(part) if isinstance(part, tuple) else part for part in found[1]
    ]


@pytest.mark.peer
def test_assigning() -> None:
    torch = pytest.importorskip("torch")
    found = []
    for framework in (chainrule, torch):
        model = framework.nn.Sequential(framework.nn.Linear(2, 3), framework.nn.BatchNorm1d(3))
        model[0].bias.requires_grad_(False)
        before = dict(model.named_parameters())
        state = {name: value.clone().double() for name, value in model.state_dict().items()}
        state["0.bias"] = framework.nn.Parameter(state["0.bias"])
        state["1.weight"] = framework.nn.Parameter(state["1.weight"])
        model.load_state_dict(state, assign=True)
        after = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        found.append(
            {
                name: (
                    str(t.dtype).split(".")[1],
                    t.requires_grad,
                    t is before.get(name),
                    t is state[name],
                    type(t).__name__,
                )
                for name, t in after.items()
            }
        )
        with pytest.raises(RuntimeError, match=r"0\.weight"):
            model.load_state_dict({**state, "0.weight": framework.ones(1, 1)}, assign=True)
    assert found[0] == found[1]


def test_assigning_gives_a_lazy_module_its_weights() -> None:
    lazy = nn.Sequential(nn.LazyLinear(3))
    lazy.load_state_dict({"0.weight": chainrule.ones(3, 2), "0.bias": chainrule.zeros(3)}, assign=True)
    assert lazy(chainrule.ones(1, 2)).tolist() == [[2, 2, 2]]


def test_a_state_with_everything_goes_through_a_file(tmp_path: Any) -> None:
    model, other = counting(chainrule), counting(chainrule)
    model[0].seen = {"count": 3, "last": chainrule.arange(3)}
    chainrule.save(model.state_dict(), tmp_path / "w.pt")
    chainrule.train.load_weights(other, tmp_path / "w.pt")
    assert other[0].seen["count"] == 3 and other[0].seen["last"].tolist() == [0, 1, 2] and other[1].seen == {"count": 0}


def batch_norm_model(framework: Any) -> Any:
    nn = framework.nn
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Sequential(nn.BatchNorm2d(2, affine=False)))


@pytest.mark.peer
def test_weights_from_before_batches_were_counted_load() -> None:
    torch = pytest.importorskip("torch")
    for framework in (chainrule, torch):
        model = batch_norm_model(framework)
        model(framework.ones(2, 1, 4, 4))
        old = {name: value.clone() + 2 for name, value in model.state_dict().items() if "num_batches" not in name}
        other = batch_norm_model(framework)
        other(framework.ones(2, 1, 4, 4)), other(framework.ones(2, 1, 4, 4))
        assert list(other.load_state_dict(old)) == [[], []]
        assert (
            other[1].num_batches_tracked.item() == 2 and other[1].running_var.tolist() == old["1.running_var"].tolist()
        )
        del old["1.running_var"]
        with pytest.raises(RuntimeError, match=r"1\.running_var"):
            other.load_state_dict(old)


def test_the_likely_cause_of_names_that_do_not_match_is_said() -> None:
    model = small(chainrule)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    wrapped = {f"module.{name}": value for name, value in state.items()}
    with pytest.raises(chainrule.CheckpointError, match=r"begin with 'module\.'.*DataParallel.*removeprefix"):
        model.load_state_dict(wrapped)
    with pytest.raises(chainrule.CheckpointError, match=r"begin with '_orig_mod\.'"):
        model.load_state_dict({f"_orig_mod.{name}": value for name, value in state.items()})
    with pytest.raises(chainrule.CheckpointError, match=r"load state\['model'\]"):
        model.load_state_dict({"model": state, "epoch": 3})
    outer = nn.Sequential()
    outer.add_module("module", model)
    with pytest.raises(chainrule.CheckpointError, match=r"into model\.module"):
        outer.load_state_dict(state)
    with pytest.raises(chainrule.CheckpointError) as caught:
        model.load_state_dict({"other": state["0.bias"]})
    assert str(caught.value).endswith("unexpected: other.")


def test_only_a_layer_of_a_model_is_called_its_head() -> None:
    with pytest.raises(chainrule.CheckpointError, match=r"head 0 with 4 outputs, the model's has 3: .*num_classes=4"):
        nn.Sequential(nn.Linear(2, 3)).load_state_dict(nn.Sequential(nn.Linear(2, 4)).state_dict())
    with pytest.raises(chainrule.CheckpointError) as caught:
        nn.Linear(2, 3).load_state_dict(nn.Linear(2, 4).state_dict())
    assert "head" not in str(caught.value)
