"""Compiled is eager: random programs. One that differs is shortened and printed as Python that can be run."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest

import chainrule
from chainrule.backends.native import executable
from chainrule.backends.native.run import machine
from tests import program_moves, program_rules  # noqa: F401  (they enter their rules)
from tests.random_programs import NAME, RULES, Maker, Program, Rule, random_program

NIGHTLY = bool(os.environ.get("CHAINRULE_NIGHTLY"))
GROUPS = 20 if NIGHTLY else 12
PROGRAMS = 100 if NIGHTLY else 5
#: So many programs are compiled as one function.
TOGETHER = 10
CALLS = 2
ALLOWED = {"float64": 1e-10, "float32": 1e-4}
#: Smaller entries are compared as if the largest were this one: what was subtracted from each other was larger.
SMALLEST = {"float64": 1e-2, "float32": 1.0}

FOOTER = """

def outcome(change):
    step, arguments, outside = make()
    step = change(step)
    chainrule.manual_seed(0)
    return [step(*arguments) for _ in range(2)], arguments, outside, [t.grad for t in outside]


print(outcome(lambda step: step))
print(outcome(chainrule.compile))
"""


class Fault(NamedTuple):
    """How a compiled program fails: the kind of fault (an exception's name), what is wrong, and which program it is."""

    kind: str
    text: str
    number: int | None = None


Outcome = dict[str, Any]


def outcomes(programs: Sequence[Program], change: Callable[[Any], Any]) -> list[Outcome]:
    """All that the programs give, in one function that `change` has changed: results and what is left outside."""
    parts = [program.make() for program in programs]
    together = change(lambda given: [step(*x) for (step, _, _), x in zip(parts, given, strict=True)])
    found: list[Outcome] = [{} for _ in programs]
    chainrule.manual_seed(0)
    for call in range(CALLS):
        spoil_memory(together)
        results = together([arguments for _, arguments, _ in parts])
        for entries, program, part, values in zip(found, programs, parts, results, strict=True):
            for name, value in labelled(program, part, values):
                entries[f"{name} of call {call}"] = None if value is None else value.detach().numpy().copy()
    return found


def labelled(program: Program, part: tuple[Any, Any, Any], results: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """What a program has returned, and its arguments and the tensors outside as it left them."""
    _, arguments, outside = part
    yield from zip(program.results, results, strict=True)
    for i, tensor in enumerate(arguments):
        yield f"argument {i}", tensor
    for i, tensor in enumerate(outside):
        yield f"tensor outside {i}", tensor
        yield f"gradient outside {i}", tensor.grad


def spoil_memory(function: Any) -> None:
    """Fill a compiled function's working memory with NaN, so that nothing left there by the last call is of use."""
    for known in getattr(function, "programs", {}).values():
        for variant in known:
            if variant.compiled.backend == "native":
                variant.compiled.executable.arena.memory.fill(255)


def difference(have: Any, want: Any, single: bool) -> str | None:
    """What is wrong with an array, in words; None if it is as it should be."""
    if have is None or want is None:
        return None if have is want else f"is {have}, not {want}"
    if (have.dtype, have.shape) != (want.dtype, want.shape):
        return f"is {have.dtype} {have.shape}, not {want.dtype} {want.shape}"
    if want.dtype.kind != "f":
        wrong = have != want
        return f"has {wrong.sum()} of {wrong.size} entries wrong" if wrong.any() else None
    kind = "float32" if single else "float64"
    size = np.abs(want).max(initial=SMALLEST[kind])
    error = np.abs(have - want).max(initial=0.0)
    return None if error <= ALLOWED[kind] * size else f"is wrong by {error:.3g}, the largest entry is {size:.3g}"


def find_fault(programs: Sequence[Program], backends: Sequence[str] = ("native", "numpy")) -> Fault | None:
    """How these programs, compiled together, differ from eager ones; None if they do not."""
    eager = outcomes(programs, lambda function: function)
    return next((found for backend in backends if (found := fault_of(backend, programs, eager))), None)


def fault_of(backend: str, programs: Sequence[Program], eager: list[Outcome]) -> Fault | None:
    """How a backend's results differ."""
    made: list[Any] = []

    def compiled_once(function: Any) -> Any:
        made.append(chainrule.compile(function, backend=backend))
        return made[0]

    try:
        compiled = outcomes(programs, compiled_once)
    except Exception as error:
        return Fault(type(error).__name__, f"{backend}: {error}")
    for number, (have, want) in enumerate(zip(compiled, eager, strict=True)):
        single = "float32" in programs[number].source()
        for name in want:
            wrong = difference(have[name], want[name], single)
            if wrong and not ("gradient outside" in name and have[name] is None):  # a step may take gradients away
                return Fault("wrong", f"{backend}: {name} {wrong}", number)
    if [len(known) for known in getattr(made[0], "programs", {0: [0]}).values()] != [1]:
        return Fault("compiled again", "the second call needs another program than the first")
    return None


# ----------------------------------------------------------------------------------------- shortening


def shortened(program: Program, fault: Fault, find: Callable[[Sequence[Program]], Fault | None]) -> Program:
    """The program without all that the fault does not need."""

    def fails(candidate: Program) -> bool:
        try:
            found = find([candidate])
        except Exception:
            return False  # not even eager
        return found is not None and found.kind == fault.kind

    made = made_by(program)
    forward = tuple(line for line in program.body if not re.match(r"loss|with chainrule.no_grad|x\d+ = ", line))
    starts = [program._replace(body=forward, results=made)]
    if not fails(starts[0]):
        starts = [program._replace(results=results) for results in (made, program.results, ())]
    short = [shortened_from(start, fails) for start in starts if fails(start)]
    return min(short, key=lambda p: len(p.outside) + len(p.body), default=program)


def shortened_from(program: Program, fails: Callable[[Program], bool]) -> Program:
    """What is left when nothing more can be taken away."""
    before = None
    while program != before:
        before = program
        for shorten in (with_one_result, without_results, without_lines, with_inputs_for_lines, without_outside):
            program = shorten(program, fails)
    return program


def made_by(program: Program) -> tuple[str, ...]:
    """The variables that the body makes."""
    names = [line.split(" = ")[0] for line in program.body]
    return tuple(name for name in names if NAME.fullmatch(name) and name[0] == "v")


def with_one_result(program: Program, fails: Callable[[Program], bool]) -> Program:
    """Return the first result that is enough."""
    if len(program.results) < 2:
        return program
    candidates = [program._replace(results=(result,)) for result in program.results]
    return next((candidate for candidate in candidates if fails(candidate)), program)


def without_results(program: Program, fails: Callable[[Program], bool]) -> Program:
    """Return less, but something if there was something."""
    for result in program.results[1:]:
        candidate = program._replace(results=tuple(x for x in program.results if x != result))
        program = candidate if fails(candidate) else program
    return program


def without_lines(program: Program, fails: Callable[[Program], bool]) -> Program:
    """Leave out lines of the body, from the last to the first."""
    for line in reversed(program.body):
        candidate = program._replace(body=tuple(x for x in program.body if x != line))
        program = candidate if fails(candidate) else program
    return program


def with_inputs_for_lines(program: Program, fails: Callable[[Program], bool]) -> Program:
    """Make arguments of variables, so that the lines before them are not needed."""
    for line in reversed(program.body):
        name = line.split(" = ")[0]
        if not NAME.fullmatch(name) or name[0] != "v":
            continue
        body = tuple(x for x in program.body if x != line)
        outside = (*program.outside, f"{name} = {drawn_like(program, name)}")
        for first in ((), (f"{name} = {name}.detach().requires_grad_()",)):
            candidate = renamed(program._replace(body=(*first, *body), outside=outside), name)
            if fails(candidate):
                program = candidate
                break
    return program


def renamed(program: Program, name: str) -> Program:
    """A variable has become an argument; the numbers of variables are all different, so x… is free."""

    def change(lines: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(re.sub(rf"\b{name}\b", f"x{name[1:]}", line) for line in lines)

    return program._replace(outside=change(program.outside), body=change(program.body), results=change(program.results))


def drawn_like(program: Program, name: str) -> str:
    """An expression for random entries of the same shape and data type as a variable of the program."""
    step, arguments, _ = program._replace(results=(name,)).make()
    value = step(*arguments)[0]
    shape, kind = tuple(value.shape), str(value.dtype).rsplit(".", 1)[-1]
    if value.dtype.is_floating_point:
        numbers = f"np.random.default_rng(0).standard_normal({shape})"
        return f"chainrule.tensor({numbers}{'' if kind == 'float64' else '.astype(np.float32)'})"
    return f"chainrule.tensor(np.random.default_rng(0).integers(0, 2, {shape})).to(chainrule.{kind})"


def without_outside(program: Program, fails: Callable[[Program], bool]) -> Program:
    """Leave out arguments and tensors outside."""
    for line in reversed(program.outside):
        candidate = program._replace(outside=tuple(x for x in program.outside if x != line))
        program = candidate if fails(candidate) else program
    return program


def report(program: Program, fault: Fault) -> str:
    """What is wrong with a program, and the program as Python that can be run."""
    head = "import numpy as np\nimport chainrule\nfrom chainrule.nn import functional as F\n\n\n"
    return f"\n# seed {program.seed}: {fault.kind}: {fault.text}\n{head}{program.source()}{FOOTER}"


def check(programs: Sequence[Program]) -> None:
    """Raise with the shortest programs that fail, if any does, alone or together with the others."""
    fault = find_fault(programs)
    if fault is None:
        return
    reports = []
    for program in programs:
        alone = find_fault([program])
        if alone is not None:
            short = shortened(program, alone, find_fault)
            reports.append(report(short, find_fault([short]) or alone))
    raise AssertionError("\n".join(reports) or f"only together, seeds {[p.seed for p in programs]}: {fault}")


# ----------------------------------------------------------------------------------------- tests


@pytest.fixture
def three_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Even the smallest programs run on three threads."""
    monkeypatch.setattr(executable, "SMALL", 0)
    before = chainrule.get_num_threads()
    chainrule.set_num_threads(3)
    yield
    chainrule.set_num_threads(before)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("group", range(GROUPS))
def test_compiled_is_eager(group: int, request: pytest.FixtureRequest) -> None:
    if group % 5 == 4:
        request.getfixturevalue("three_threads")
    programs = [random_program(seed) for seed in range(group * PROGRAMS, (group + 1) * PROGRAMS)]
    for start in range(0, PROGRAMS, TOGETHER):
        check(programs[start : start + TOGETHER])


def test_what_is_compiled_quickly_has_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    programs = [random_program(seed) for seed in range(1000, 1000 + TOGETHER)]
    found = []
    for little in (0, 10**9):
        monkeypatch.setattr(executable, "LITTLE", little)
        steps: list[Any] = []

        def compiled(function: Any, steps: list[Any] = steps) -> Any:
            steps.append(chainrule.compile(function))
            return steps[0]

        found.append(outcomes(programs, compiled))
        texts = steps[0].program.executable.builder.texts().values()
        assert {text.startswith(machine.QUICKLY) for text in texts} == {little > 0}
    for full, quick in zip(*found, strict=True):
        for name, want in full.items():
            have = quick[name]
            assert (have is None) == (want is None), name
            if want is not None:  # NaN has many patterns; which one is nobody's promise
                assert np.array_equal(have, want, equal_nan=want.dtype.kind == "f"), name


def test_every_rule_is_used_and_a_seed_is_a_program() -> None:
    used: Counter[str] = Counter()

    def counted(name: str, rule: Rule) -> Rule:
        def write(maker: Maker) -> str:
            used[name] += 1
            return rule.write(maker)

        return rule._replace(write=write)

    with pytest.MonkeyPatch.context() as patch:
        for name, rule in RULES.items():
            patch.setitem(RULES, name, counted(name, rule))
        first = [random_program(seed) for seed in range(60)]
    assert sorted(used) == sorted(RULES)
    assert [random_program(seed) for seed in range(5)] == first[:5]


def with_wrong_tanh(function: Any, backend: str) -> Any:
    """Stands in for `compile` and has a fault: every tanh is too large."""

    def run(*given: Any) -> Any:
        right = chainrule.Tensor.tanh
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(chainrule.Tensor, "tanh", lambda x: right(x) * 1.5)
            return function(*given)

    return run


SOME_PROGRAM = Program(
    seed=5,
    outside=(
        "x0 = chainrule.tensor(np.random.default_rng(1).standard_normal((4, 3)))",
        "p1 = chainrule.tensor(np.random.default_rng(2).standard_normal((3, 2))).requires_grad_()",
        "x2 = chainrule.tensor(np.random.default_rng(3).integers(0, 4, (6,)))",
        "x9 = chainrule.tensor(np.random.default_rng(4).standard_normal((6, 2)))",
    ),
    body=(
        "x0 = x0.detach().requires_grad_()",
        "v3 = x0.cumsum(0)",
        "v4 = v3 @ p1",
        "v5 = v4[x2]",
        "v6 = v5.tanh()",
        "v7 = v6.softmax(1)",
        "v8 = v5.sum(0)",
        "loss = 0.0",
        "loss = loss + (v7 * x9).sum()",
        "loss = loss + v8.sum()",
        "loss.backward()",
        "with chainrule.no_grad(): p1.sub_(0.1 * p1.grad)",
    ),
    results=("v7", "v8", "x0.grad"),
)


def test_a_fault_is_found_and_shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chainrule, "compile", with_wrong_tanh)
    fault = find_fault([SOME_PROGRAM])
    assert fault is not None and fault.kind == "wrong"
    short = shortened(SOME_PROGRAM, fault, find_fault)
    drawn = "x5 = chainrule.tensor(np.random.default_rng(0).standard_normal((6, 2)))"
    assert short == Program(5, (drawn,), ("v6 = x5.tanh()",), ("v6",))
    with pytest.raises(AssertionError, match="seed 5: wrong: native: v6 of call 0 is wrong by") as caught:
        check([random_program(1), SOME_PROGRAM])
    assert short.source() in str(caught.value)


def test_what_the_compiler_refuses_is_a_fault() -> None:
    program = SOME_PROGRAM._replace(body=("v3 = x0 * x0.sum().item()", "v4 = v3 @ p1"), results=("v4",))
    fault = find_fault([program])
    assert fault is not None and fault.kind == "TraceError"
    assert shortened(program, fault, find_fault).body == ("v3 = x0 * x0.sum().item()",)


def test_a_report_can_be_run(capsys: pytest.CaptureFixture[str]) -> None:
    program = Program(7, ("x0 = chainrule.tensor([1.5])",), ("v1 = x0 * 2",), ("v1",))
    exec(report(program, Fault("wrong", "v1 is wrong")), {})
    eager, compiled = capsys.readouterr().out.splitlines()
    assert eager == compiled and "tensor([3.])" in eager
