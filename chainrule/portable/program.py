"""A program that has left its code behind: it is called with tensors or arrays, saved, and loaded."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.backends import Home, Runnable, build
from chainrule.dtypes import as_dtype
from chainrule.errors import ChainruleError, CheckpointError, DTypeError, ShapeError
from chainrule.functions.creation import make
from chainrule.portable.graph_data import graph_from
from chainrule.portable.sizes import at_sizes
from chainrule.primitives.value import Array
from chainrule.program.program import Program, Slot
from chainrule.serialization import File, load, save
from chainrule.tensor import Tensor
from chainrule.version import __version__

KIND, VERSION = "chainrule program", 1
#: What is raised on the way from data to a program where the data describe none.
_NO_PROGRAM = (
    ChainruleError, LookupError, TypeError, ValueError, AttributeError, RecursionError, OverflowError, StopIteration,
)  # fmt: skip
#: Programs for so many different sizes are kept ready.
KEPT = 16


class PortableProgram:
    """A graph with its weights: what `export_program` makes and `load_program` reads.

    It is called as the model was, with tensors or NumPy arrays of the same data types; the answer has tensors. The
    sizes in `sizes` may be others in each call: for each a program of its own is made at its first call, from the one
    graph and with the one set of weights. Calls of several threads come one after the other.

    Attributes:
        sizes: the names of the sizes that may change, with those of the example.
        about: what the file says of itself besides.
        backend: the name of what runs it, such as "native" or "numpy".

    >>> import chainrule
    >>> program = chainrule.export_program(chainrule.nn.Flatten(), chainrule.zeros(2, 3, 4), dynamic=True)
    >>> program, program.run([np.zeros((5, 3, 4), np.float32)])[0].shape
    (PortableProgram(float32[batch,3,4] → float32[batch,12], 0 weights), (5, 12))
    """

    def __init__(
        self, data: Any, weights: Mapping[str, Array], sizes: Mapping[str, int], about: Any, backend: str = "native"
    ) -> None:
        build(backend)  # an error that names those that there are
        self.sizes, self.about, self.backend = dict(sizes), about, backend
        self._data, self._weights = data, dict(weights)
        self._lock = threading.Lock()
        self._programs: dict[tuple[int, ...], Runnable] = {}
        self._homes: list[Home | None] = []
        self.program(self.sizes)  # an error now, not in the first call

    # ----------------------------------------------------------------------------------------- calling

    def __call__(self, *inputs: Any) -> Any:
        """The answer for these inputs, tensors in the containers of the model's answer.

        Raises ShapeError or DTypeError for inputs of another form, with what was expected.
        """
        arrays = self.run([x.array if isinstance(x, Tensor) else np.asarray(x) for x in inputs])
        return self._answer(self._data["answer"], arrays)

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """The results for arrays, in order, as arrays."""
        sizes = self._sizes_of(arrays)
        with self._lock:
            runnable = self._runnable(sizes)
            given = [arrays[number] for number, name in self._data["slots"] if not name]
            try:
                return runnable.run(given)
            except ChainruleError:
                raise
            except _NO_PROGRAM as error:  # settings of a right form that no operation can have
                raise CheckpointError(f"the program cannot be run: {error}") from error

    def runnable(self) -> Runnable:
        """The program at the sizes of the example, as the backend made it, with the weights in its homes."""
        with self._lock:
            return self._runnable(self.sizes)

    def explain(self) -> str:
        """What a run at the sizes of the example does, in words."""
        return self.runnable().explain()

    def _answer(self, form: Any, arrays: Sequence[Array]) -> Any:
        if isinstance(form, tuple | list):
            return type(form)(self._answer(part, arrays) for part in form)
        if isinstance(form, dict):
            if "result" in form:
                return make(arrays[form["result"]])
            return {key: self._answer(part, arrays) for key, part in form["dict"].items()}
        return form

    def _sizes_of(self, arrays: Sequence[Array]) -> dict[str, int]:
        """The sizes that these arrays have. Raises ShapeError or DTypeError for another form."""
        arguments = self._data["arguments"]
        if len(arrays) != len(arguments):
            raise ShapeError(f"the program has {len(arguments)} inputs, got {len(arrays)}.")
        sizes: dict[str, int] = {}
        for number, (array, (shape, dtype)) in enumerate(zip(arrays, arguments, strict=True)):
            wanted = as_dtype(dtype).numpy
            if array.dtype != wanted:
                raise DTypeError(
                    f"input {number} of the program is {dtype}, got {array.dtype.name}; mend: x.astype({dtype!r})."
                )
            if len(array.shape) == len(shape):
                for extent, given in zip(shape, array.shape, strict=True):
                    name = _named(extent)
                    if name:
                        sizes.setdefault(name, int(given))
            if list(array.shape) != at_sizes(shape, {**self.sizes, **sizes}):
                raise ShapeError(
                    f"input {number} of the program has the shape {_shown(shape)}, got {list(array.shape)}."
                    + (" Only the named sizes may be others." if self.sizes else "")
                )
        return sizes

    # ----------------------------------------------------------------------------------------- programs

    def program(self, sizes: Mapping[str, int] | None = None) -> Program:
        """The graph at these sizes (else the example's), with arguments and weights as its inputs.

        Raises CheckpointError for data that describe none.
        """
        data = self._data
        try:
            graph = graph_from(at_sizes(data["graph"], {**self.sizes, **(sizes or {})}))
            names = list(self._weights)
            slots = [
                Slot("cell", names.index(name), name) if name else Slot("argument", n) for n, name in data["slots"]
            ]
            program = Program(graph, slots, [Slot("result", i) for i in range(len(graph.outputs))])
            graph.check()
            self._check_forms(program, {**self.sizes, **(sizes or {})})
            self._answer(data["answer"], [np.zeros(0)] * len(graph.outputs))  # an error where it names no result
        except CheckpointError:
            raise
        except _NO_PROGRAM as error:
            raise CheckpointError(f"the file describes no program: {error}") from error
        return program

    def _check_forms(self, program: Program, sizes: Mapping[str, int]) -> None:
        """Raise CheckpointError unless arguments and weights are what the graph takes."""
        arguments = self._data["arguments"]
        for slot, symbol in zip(program.inputs, program.graph.inputs, strict=True):
            if slot.kind == "cell":
                array = self._weights[slot.name]
                form, what = (tuple(array.shape), array.dtype), f"the weight {slot.name}"
            else:
                shape, dtype = arguments[slot.number]
                form, what = (tuple(at_sizes(shape, sizes)), as_dtype(dtype).numpy), f"input {slot.number}"
            if form != (tuple(symbol.shape), symbol.dtype):
                raise CheckpointError(f"{what} is {form[1].name}{list(form[0])}, and the graph takes {symbol!r}.")

    def _runnable(self, sizes: Mapping[str, int]) -> Runnable:
        key = tuple(sizes[name] for name in self.sizes)
        known = self._programs.pop(key, None)
        if known is None:
            known = build(self.backend)(self.program(sizes), self._homes, False)
            self._homes = self._filled(known.homes)
            while len(self._programs) >= KEPT:
                del self._programs[next(iter(self._programs))]
        self._programs[key] = known  # the latest is last
        return known

    def _filled(self, homes: Sequence[Home | None]) -> list[Home | None]:
        """The homes with the weights in them; from then on these are the weights."""
        kept: list[Home | None] = list(self._homes) or [None] * len(homes)
        for number, (home, name) in enumerate(zip(homes, self._weights, strict=False)):
            if home is None or home is kept[number]:
                continue
            home.renew()
            home.fill(self._weights[name])
            if kept[number] is None:
                kept[number], self._weights[name] = home, home.array
        return kept

    # ----------------------------------------------------------------------------------------- files

    def save(self, file: File, *, with_code: bool = False) -> None:
        """Write the program to a file (safetensors inside) that `load_program` reads.

        With `with_code` its machine code for this processor lies beside, in a file with `.code` at the end of its name.
        Raises ValueError for that where there is none: the file has no path, the backend is another.
        """
        if with_code and (self.backend != "native" or hasattr(file, "write")):
            raise ValueError("machine code is kept beside a file with a path, of a program for the native backend.")
        content = {
            "kind": KIND,
            "version": VERSION,
            "chainrule": __version__,
            "numpy": np.__version__,
            "sizes": self.sizes,
            "about": self.about,
            "program": self._data,
            "weights": self._weights,
        }
        save(content, file)
        if with_code:
            from chainrule.portable.code_files import save_code

            save_code([self.runnable()], code_path(file))

    @property
    def unused(self) -> list[int]:
        """The numbers of the inputs on which no result depends."""
        used = {number for number, name in self._data["slots"] if not name}
        return [number for number in range(len(self._data["arguments"])) if number not in used]

    def __repr__(self) -> str:
        inputs = ", ".join(dtype + _shown(shape) for shape, dtype in self._data["arguments"])
        results = ", ".join(dtype + _shown(shape) for shape, dtype in self._data["graph"]["results"])
        return f"PortableProgram({inputs} → {results}, {len(self._weights)} weights)"


def code_path(file: Any) -> Path:
    """Where the machine code of a program is kept: beside it."""
    path = Path(file)
    return path.with_name(path.name + ".code")


def _named(extent: Any) -> str:
    """The name of a size that stands for itself; "" for another extent."""
    if isinstance(extent, dict) and len(extent["in sizes"]) == 1 and extent["in sizes"][0][0] == 1:
        names = extent["in sizes"][0][1]
        return str(names[0]) if len(names) == 1 else ""
    return ""


def _shown(shape: Sequence[Any]) -> str:
    def text(extent: Any) -> str:
        if not isinstance(extent, dict):
            return str(extent)
        terms = []
        for factor, names in extent["in sizes"]:
            product = "·".join(names)
            terms.append(str(factor) if not names else product if factor == 1 else f"{factor}·{product}")
        return " + ".join(terms)

    return f"[{','.join(map(text, shape))}]"


def load_program(file: File, *, backend: str = "native", code: bool = False) -> PortableProgram:
    """The program in a file that `export_program` or `PortableProgram.save` wrote. Nothing in the file is executed.

    Args:
        file: a path, or a file opened for reading in binary mode.
        backend: "native" compiles it for this processor; "numpy" runs it operation by operation and needs no LLVM;
            "xla" hands it to XLA (extra `xla`).
        code: use the machine code that lies beside the file, where it was made for this processor's features from the
            same text; what does not fit is compiled. Machine code is executed: say True for files of your own only.

    Raises CheckpointError for a file that is damaged, holds something else, or was written by a newer version; OSError
    if it cannot be opened.

    >>> import chainrule, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "double.program"
    >>> _ = chainrule.export_program(lambda x: {"twice": 2 * x}, chainrule.zeros(3), path)
    >>> load_program(path, backend="numpy")(np.ones(3, np.float32))
    {'twice': tensor([2., 2., 2.])}
    """
    build(backend)
    content = load(file)
    name = str(file) if isinstance(file, str | Path) else "the file"
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise CheckpointError(f"{name} holds no program: it was not written by export_program.")
    version = content.get("version")
    if version != VERSION:
        raise CheckpointError(
            f"{name} is in version {version!r:.20} of the format for programs, and this is chainrule {__version__}, "
            f"which knows version {VERSION}. It was written by chainrule {content.get('chainrule')!r:.20}: use that."
        )
    try:
        data, weights, sizes = content["program"], content["weights"], content["sizes"]
        if not all(isinstance(weight, np.ndarray) for weight in weights.values()):
            raise CheckpointError("its weights are no arrays.")
        if not all(type(size) is int and size >= 0 for size in sizes.values()):
            raise CheckpointError("its sizes are no whole numbers.")
        if code:
            from chainrule.portable.code_files import trust_code

            if hasattr(file, "read"):
                raise ValueError("machine code lies beside a file with a path; this one has none.")
            trust_code(code_path(file))
        return PortableProgram(data, weights, sizes, content.get("about"), backend)
    except CheckpointError as error:
        raise CheckpointError(f"{name}: {error}") from error
    except (LookupError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{name} describes no program: {error!r}.") from error
