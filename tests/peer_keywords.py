"""The keyword names of PyTorch's functions, methods and constructors, and of ours, side by side.

PyTorch's own functions of C++ have no signature; what they take stands in its operators' schemas. For the rest
`inspect` reads the signature. `python -m tests.peer_keywords` prints every difference without a reason.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import chainrule

#: The parts whose functions and classes are compared.
AREAS = (
    "", "linalg", "special", "nn", "nn.functional", "nn.init", "nn.utils", "nn.utils.rnn", "nn.utils.prune",
    "nn.utils.parametrize", "nn.utils.parametrizations", "nn.attention", "optim", "optim.lr_scheduler",
    "optim.swa_utils", "utils.data", "utils.checkpoint", "utils.benchmark", "autograd", "autograd.functional",
    "autograd.graph", "func", "amp", "backends.cudnn", "hub", "distributions", "distributions.constraints",
    "distributions.transforms", "distributions.kl", "sparse", "random", "cuda", "mps", "xpu", "accelerator",
    "nn.parallel",
)  # fmt: skip

#: The classes all of whose methods are compared; of all other classes, see `other_classes`, their own.
CLASSES = (
    "Tensor", "Generator", "nn.Module", "nn.Sequential", "nn.ModuleList", "nn.ModuleDict", "nn.ParameterList",
    "nn.ParameterDict", "nn.Embedding", "nn.Transformer", "nn.MultiheadAttention", "optim.Optimizer",
    "optim.lr_scheduler.LRScheduler", "optim.lr_scheduler.ReduceLROnPlateau", "optim.swa_utils.AveragedModel",
    "amp.GradScaler", "utils.benchmark.Timer", "nn.utils.prune.BasePruningMethod", "autograd.Function",
)  # fmt: skip

#: How an area's operators begin in PyTorch's schemas.
_OPERATORS = {"linalg": "linalg_", "special": "special_", "sparse": "_sparse_"}


class Pair(NamedTuple):
    """The keyword names of one thing: PyTorch's, those that ours takes, and those in its signature."""

    name: str
    theirs: frozenset[str]
    taken: frozenset[str]
    written: frozenset[str]

    def differences(self) -> list[str]:
        """What is missing here ("-name"), and what is here only ("+name"), as far as no reason is known."""
        missing = {f"-{word}" for word in self.theirs - self.taken}
        added = {f"+{word}" for word in self.written - self.theirs}
        return sorted((missing | added) - REASONS.get(self.name, {}).keys() - REASONS["*"].keys())


#: Why a name is missing ("-out_dtype") or added ("+seed"); under "*" for everything.
REASONS: dict[str, dict[str, str]] = {
    "*": {
        "+out": "every function of tensors takes `out`, and a function and a method are one object",
        "-out_dtype": "for GPUs: a product in another type than its factors",
        "+indices_or_sections": "our word for both of PyTorch's, which are taken too",
    },
    "lu": dict.fromkeys(("+pivot", "+get_infos"), "its signature is *args and **kwargs in PyTorch"),
    **{
        f"nn.init.{name}": dict.fromkeys(
            ("+tensor", "+a", "+b", "+mean", "+std", "+val", "+gain", "+groups", "+sparsity", "+mode", "+nonlinearity", "+generator",
             "-n", "-m", "-input", "-dtype", "-layout", "-device", "-pin_memory", "-requires_grad", "-out", "-size", "-from", "-to"),
            "an older name, which in PyTorch takes anything and hands it on",
        )
        for name in (
            "constant", "dirac", "eye", "kaiming_normal", "kaiming_uniform", "normal", "orthogonal", "sparse", "uniform",
            "xavier_normal", "xavier_uniform",
        )
    },
    "as_tensor": {"-t": "of TorchScript"},
    "tensor": {"-t": "of TorchScript"},
    "compile": {
        **dict.fromkeys(("-isolate_recompiles", "-name", "-recompile_limit", "-shapes_spec"), "PyTorch's own machinery"),
        "+debug": "only here: checks the program, finds the first NaN",
        "+exact": "only here: no arithmetic that rounds in another order",
        "+strict": "only here: every call is traced again and compared",
        "+on_stale": "only here: whether a call whose program has silently become another one raises or warns",
    },
    "dtype": dict.fromkeys(("+itemsize", "+kind", "+name"), "not made by users"),
    "layout": {"+name": "not made by users"},
    "memory_format": {"+name": "not made by users"},
    "einsum": {"+equation": "PyTorch's has no names for its arguments"},
    "is_tensor": {"+obj": "only by position there"},
    "no_grad": {"+orig_func": "the decorator without parentheses; in PyTorch an argument of __new__"},
    "autograd.no_grad": {"+orig_func": "the decorator without parentheses; in PyTorch an argument of __new__"},
    "nonzero": {"+as_tuple": "PyTorch takes it too, outside of the schema"},
    **{
        name: {"-input": "the method itself, whose tensor has no keyword", "+self": "the method itself"}
        for name in ("detach_", "fill_", "resize_as_", "zero_")
    },
    "load": {
        "-pickle_module": "nothing is unpickled here",
        "+classes": "only here: classes of one's own that may be made, for this file alone",
    },
    "sparse_coo_tensor": {
        **dict.fromkeys(("-layout", "-out"), "the operator's, not the function's"),
        "+check_invariants": "PyTorch takes it too, outside of the schema",
    },
    "sparse_csr_tensor": {"+check_invariants": "PyTorch takes it too, outside of the schema"},
    "save": dict.fromkeys(("-pickle_module", "-pickle_protocol"), "nothing is pickled here"),
    **{
        name: {"+inplace": "one function with nn.functional's", "-generator": "the operator's, not nn.functional's"}
        for name in ("celu", "rrelu", "rrelu_", "selu", "threshold")
    },
    "max_pool1d_with_indices": {"+return_indices": "one function with nn.functional's"},
    "set_default_dtype": {"+dtype": "only by position there"},
    "swapaxes": dict.fromkeys(("+dim0", "+dim1"), "one function with transpose; PyTorch's words are taken too"),
    "true_divide": {"+rounding_mode": "one function with div"},
    "Tensor.true_divide": {"+rounding_mode": "one function with div"},
    "Tensor.true_divide_": {"+rounding_mode": "one function with div"},
    "Tensor.expand": {"-implicit": "PyTorch's own machinery"},
    "Tensor.to": {"-requires_grad": "the operator's, not the method's"},
    "Tensor.to_sparse": {"-requires_grad": "the operator's, not the method's"},
    "nn.Sequential.extend": {"+modules": "`sequential` there; extending by any list of modules, as ModuleList's", "-sequential": "see +modules"},
    "unique": dict.fromkeys(
        ("+dim", "+input", "+return_counts", "+return_inverse", "+sorted"), "taken there too, behind *args"
    ),
    **{
        name: {
            "+initial_state": "only here: a first state that is learned",
            **dict.fromkeys(
                (
                    "+batch_first", "+bias", "+bidirectional", "+device", "+dropout", "+dtype", "+hidden_size",
                    "+input_size", "+nonlinearity", "+num_layers", "+proj_size",
                ),
                "taken there too, behind *args",
            ),
        }
        for name in ("nn.GRU", "nn.LSTM", "nn.RNN")
    },
    "nn.RNNBase": {"+initial_state": "only here: a first state that is learned"},
    "nn.functional.elu_": dict.fromkeys(("-input_scale", "-scale"), "the operator's, not the function's"),
    "nn.functional.rrelu_": {"-generator": "the operator's, not the function's"},
    "utils.checkpoint.checkpoint": {
        "+preserve_rng_state": "PyTorch takes it too, out of **kwargs",
    },
    "utils.benchmark.Measurement": {
        "-task_spec": "what was measured, in fields of its own here",
        **dict.fromkeys(("+description", "+label", "+num_threads", "+sub_label", "+title"), "instead of task_spec"),
    },
    **{
        f"nn.{name}.forward": {"+lengths": "only here: the sequences' lengths, instead of packing them"}
        for name in ("GRU", "LSTM", "RNN")
    },
    "nn.RNNBase.forward": dict.fromkeys(("+hx", "+input", "+lengths"), "there it is not written"),
    **{
        f"nn.utils.prune.{name}.apply": {
            "+importance_scores": "taken there too, behind **kwargs",
            **dict.fromkeys(("-amount", "-dim", "-mask", "-n"), "taken, behind **kwargs"),
        }
        for name in (
            "CustomFromMask", "Identity", "L1Unstructured", "LnStructured", "RandomStructured", "RandomUnstructured",
        )
    },
    "distributions.Wishart.rsample": {"-max_try_correction": "draws need no correction: they are never singular by design"},
    "sparse.mm": {
        "-out": "the result's places are not known before",
        "+reduce": "PyTorch takes it too, in another form of the operator",
    },
    "sparse.softmax": {"-half_to_float": "PyTorch's own machinery", "-out": "a sparse result cannot be written into a place"},
    "sparse.log_softmax": {"-half_to_float": "PyTorch's own machinery", "-out": "a sparse result cannot be written into a place"},
    "sparse.addmm": {"-out": "no function of sparse tensors takes it"},
    "nn.parallel.DistributedDataParallel.join": dict.fromkeys(
        ("-divide_by_initial_world_size", "-enable", "-throw_on_early_termination"), "taken, behind **kwargs"
    ),
    "nn.parallel.DistributedDataParallel": dict.fromkeys(
        (
            "-batched_grad_copy", "-bucket_cap_mb_list", "-delay_all_reduce_named_params", "-device_mesh",
            "-forward_sync_buffers", "-mixed_precision", "-param_to_hook_all_reduce", "-skip_all_reduce_unused_params",
        ),
        "about talking to other processes, of which there are none",
    ),
    "autograd.gradcheck": {"+seed": "only here: of the weights of the outputs"},
    "autograd.gradgradcheck": {"+seed": "only here: of the weights of the outputs"},
    "autograd.graph.GradientEdge": {"-ownership_token": "PyTorch's own machinery"},
}  # fmt: skip


def keywords(thing: Callable[..., Any]) -> tuple[frozenset[str], frozenset[str]] | None:
    """The names that a Python function or class takes as keywords, and those in its signature; None if it does not tell."""
    try:
        parameters = inspect.signature(thing).parameters.values()
    except (ValueError, TypeError):
        return None
    named = frozenset(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
    words = vars(thing).get("words") if hasattr(thing, "__dict__") else None
    if words is None:
        return named, named
    return frozenset(words.accepted()), named - set(words.other.values())  # what has another name may have its own


def open_ended(thing: Callable[..., Any]) -> bool:
    """Whether it takes any keyword (`**settings`), so that its names are not in its signature."""
    try:
        return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(thing).parameters.values())
    except (ValueError, TypeError):
        return False


def operator_keywords(name: str, method: bool) -> frozenset[str] | None:
    """The names that an operator of PyTorch takes, over all its forms that take a tensor; None if there is none.

    A method's own tensor is none of them; a function calls it `input`.
    """
    torch: Any = importlib.import_module("torch")
    found: set[str] = set()
    for schema in torch._C._jit_get_schemas_for_operator(f"aten::{name}"):
        names = [argument.name for argument in schema.arguments]
        types = [str(argument.type) for argument in schema.arguments]
        of_tensors = "Tensor" in types or any("Tensor" in str(result.type) for result in schema.returns)
        if not of_tensors or (method and "self" not in names) or "names" in names or any("Dimname" in t for t in types):
            continue  # for TorchScript's lists and numbers, no method, or of tensors with named dimensions
        outputs = {a.name for a in schema.arguments if a.is_out}
        found.update(n for n in names if n not in outputs)
        if outputs and not method:
            found.add("out")
    if not found:
        return None
    if "layout" in found:
        found.add("requires_grad")
    found = {"input" if name == "self" else name for name in found}
    return frozenset(found - {"input"} if method else found)


def _members(area: str) -> Iterator[tuple[str, Any, Any]]:
    """The names that both have in a part, or in a class, with PyTorch's thing and ours."""
    homes = []
    for framework in ("torch", "chainrule"):
        if area in CLASSES:
            place, _, owner = f"{framework}.{area}".rpartition(".")
            homes.append(getattr(importlib.import_module(place), owner))
        else:
            homes.append(importlib.import_module(f"{framework}.{area}".rstrip(".")))
    for name in dir(homes[0]):
        theirs, mine = getattr(homes[0], name, None), getattr(homes[1], name, None)
        foreign = (getattr(theirs, "__module__", None) or "torch").split(".")[0] in (
            "typing",
            "typing_extensions",
            "collections",
        )
        if not name.startswith("_") and callable(theirs) and callable(mine) and not foreign:
            yield name, theirs, mine


def pairs(area: str) -> Iterator[Pair]:
    """Every public function and class of a part that both have, or every method of a class."""
    for name, theirs, mine in _members(area):
        method = area in CLASSES
        if method and area != "Tensor" and getattr(theirs, "__objclass__", None) is object:
            continue
        pair = _pair(area, name, theirs, mine, method)
        if pair is not None:
            yield pair


def _pair(area: str, name: str, theirs: Any, mine: Any, method: bool) -> Pair | None:
    """The keyword names of one function or method; None where one of the frameworks does not tell."""
    told = keywords(getattr(importlib.import_module("torch.nn.functional"), f"{name}_with_indices", theirs))
    names = None if told is None else told[0]
    if names is None or (not names and open_ended(theirs) and not inspect.isclass(theirs)):
        names = operator_keywords(_OPERATORS.get(area, "") + name, method) or names
    if open_ended(mine) and area == "Tensor":  # a method that loads its function when it is called
        places = (chainrule, chainrule.special, chainrule.linalg, chainrule.sparse.making)
        plain = {"mvlgamma": "multigammaln"}.get(name, name.rstrip("_"))
        mine = next(getattr(place, plain) for place in places if hasattr(place, plain))
    ours = keywords(mine)
    if names is None or ours is None:
        return None
    own = {next(iter(inspect.signature(mine).parameters), "")} if method else set()
    private = {n for n in names | ours[0] if n.startswith("_")} | ({"self", "cls"} if method else set())
    return Pair(f"{area}.{name}".lstrip("."), names - private, ours[0] - private, ours[1] - private - own)


def other_classes() -> Iterator[tuple[str, list[Pair]]]:
    """Every public class that both have besides `CLASSES`, with the methods that it defines itself."""
    torch: Any = importlib.import_module("torch")
    seen = set()
    for area in AREAS:
        for name, theirs, mine in _members(area):
            full = f"{area}.{name}".lstrip(".")
            if inspect.isclass(theirs) and inspect.isclass(mine) and theirs not in seen and full not in CLASSES:
                seen.add(theirs)
                if not issubclass(theirs, torch.Tensor):
                    yield full, [pair for pair in _own_methods(full, theirs, mine) if pair is not None]


def _own_methods(full: str, theirs: type, mine: type) -> Iterator[Pair | None]:
    for name in vars(theirs):
        one, two = getattr(theirs, name, None), getattr(mine, name, None)
        if (
            not name.startswith("_")
            and callable(one)
            and callable(two)
            and name not in ("support", "domain", "codomain")
        ):
            yield _pair(full, name, one, two, method=True)


if __name__ == "__main__":
    for area in (*AREAS, *CLASSES):
        found = list(pairs(area))
        different = [(pair.name, pair.differences()) for pair in found if pair.differences()]
        print(f"== {area or 'torch'}: {len(found)} compared, {len(different)} differ")
        for name, words in different:
            print(f"{name}: {' '.join(words)}")
