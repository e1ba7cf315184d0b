"""A model's forward pass as a library for C: a header, a static library, and an example that calls it.

    lenet5.h      what can be called, with shapes
    liblenet5.a   the program, its weights and all that it calls but the C library and its mathematics (-lm)
    example.c     reads inputs as text, prints results

The code is made by LLVM for this processor, or without the features that `CHAINRULE_HIDE_CPU_FEATURES` names. It runs
on the calling thread, writes to nothing but its arguments and its workspace, and so may be called by several threads.
"""

from __future__ import annotations

import math
import re
import textwrap
from pathlib import Path

from chainrule.backends.native import Native
from chainrule.backends.native.run.machine import ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA, compile_text, host
from chainrule.errors import TraceError
from chainrule.files import write_atomically, write_text
from chainrule.portable.archive import archive
from chainrule.portable.c_code import Library, arguments_of, module_for
from chainrule.portable.program import PortableProgram
from chainrule.version import __version__

#: Halves are handed over as their 16 bits.
_TYPES = {
    "float32": "float", "float64": "double", "int64": "int64_t", "int32": "int32_t", "int16": "int16_t",
    "int8": "int8_t", "uint8": "uint8_t", "bool": "uint8_t", "float16": "uint16_t", "bfloat16": "uint16_t",
}  # fmt: skip

#: Run when the program starts: Linux lets a process use the registers of AMX if it asks (by what the driver declares).
_ASK_FOR_AMX = f"""
%at_start = type {{ i32, ptr, ptr }}
@llvm.global_ctors = appending global [1 x %at_start] [%at_start {{ i32 65535, ptr @ask, ptr null }}]
define internal void @ask() nounwind {{
entry:
  %refused = call i64 (i64, ...) @syscall(i64 {ARCH_PRCTL}, i64 {REQUEST_PERMISSION}, i64 {TILE_DATA})
  ret void
}}
"""


def write_c_library(program: PortableProgram, folder: str | Path, name: str) -> None:
    """Write the header, the library and the example for a program at the sizes of its example.

    Raises ValueError for a name that is none in C, TraceError for operations that only NumPy does.
    """
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
        raise ValueError(f"a C library has a name of letters, figures and _, got {name!r}.")
    native = _native(program)
    library = module_for(native, name)
    text = library.text + _further(name, native, library)
    code = compile_text(text + _ASK_FOR_AMX * ("@llvm.x86.ldtilecfg" in text), to_load=False)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    symbols = [f"{name}_{part}" for part in ("in", "predict", "message")]
    content = archive(f"{name}.o", code, symbols)
    write_atomically(folder / f"lib{name}.a", lambda temporary: temporary.write_bytes(content))
    write_text(folder / f"{name}.h", _header(name, native, library))
    write_text(folder / "example.c", _example(name, native))


def _native(program: PortableProgram) -> Native:
    """The program as machine code, its weights in their homes."""
    if program.unused:
        raise TraceError(f"no result depends on input {program.unused[0]}; leave it out of what is exported.")
    runnable = program.runnable()
    if not isinstance(runnable, Native):
        raise ValueError(
            'a C library is made of a program for the native backend: load_program(file, backend="native").'
        )
    return runnable


# ----------------------------------------------------------------------------------- what is passed


def _arguments(native: Native) -> list[tuple[str, str, tuple[int, ...]]]:
    """(declaration, what it is, shape) of each argument of the C function."""
    found = []
    for i, symbol in enumerate(arguments_of(native)):
        shape = tuple(symbol.shape)
        found.append((f"const {_TYPES[symbol.dtype.name]} *x{i}", f"input {i}, {symbol.dtype.name}", shape))
    for i, (view, _) in enumerate(native.made):
        found.append((f"{_TYPES[view.dtype.name]} *y{i}", f"result {i}, {view.dtype.name}", tuple(view.shape)))
    return found


def _further(name: str, native: Native, library: Library) -> str:
    """The functions around `…_in`: one that gets a workspace itself, and one that says what a code means."""
    count = len(_arguments(native))
    names = [f"%a{i}" for i in range(count)]
    given = "".join(f", ptr {a}" for a in names)
    texts, cases, returns = [], [], []
    said = {0: "", -1: "out of memory.", **dict(enumerate(library.messages, 1))}
    for number, (code, message) in enumerate(said.items()):
        content = message.encode() + b"\0"
        letters = "".join(f"\\{byte:02X}" for byte in content)
        texts.append(f'@message{number} = internal constant [{len(content)} x i8] c"{letters}"')
        cases.append(f"i32 {code}, label %case{number}")
        returns.append(f"case{number}:\n  ret ptr @message{number}")
    return f"""
declare ptr @malloc(i64)
declare void @free(ptr)
define i32 @{name}_predict({", ".join(f"ptr {a}" for a in names)}) nounwind {{
entry:
  %memory = call ptr @malloc(i64 {library.workspace + 64})
  %none = icmp eq ptr %memory, null
  br i1 %none, label %failed, label %work
failed:
  ret i32 -1
work:
  %start = ptrtoint ptr %memory to i64
  %beyond = add i64 %start, 63
  %even = and i64 %beyond, -64
  %workspace = inttoptr i64 %even to ptr
  %code = call i32 @{name}_in(ptr %workspace{given})
  call void @free(ptr %memory)
  ret i32 %code
}}
{chr(10).join(texts)}
define ptr @{name}_message(i32 %code) nounwind {{
entry:
  switch i32 %code, label %case0 [ {" ".join(cases)} ]
{chr(10).join(returns)}
}}
"""


def _header(name: str, native: Native, library: Library) -> str:
    guard = f"{name.upper()}_H"
    arguments = _arguments(native)
    shapes = "\n".join(
        f" *   {text.rpartition('*')[2]}  {what}, shape ({', '.join(map(str, shape))}): "
        f"{math.prod(shape)} entries, the last dimension the closest"
        for text, what, shape in arguments
    )
    listed = ", ".join(text for text, *_ in arguments)
    sizes = "\n".join(
        f"#define {name.upper()}_{text.rpartition('*')[2].upper()}_SIZE {math.prod(shape)}"
        for text, _, shape in arguments
    )
    triple, features = host()
    present = textwrap.fill(
        " ".join(feature[1:] for feature in features.split(",") if feature.startswith("+")),
        110,
        subsequent_indent=" * ",
    )
    return f"""/* {name}: a network's forward pass, made by chainrule {__version__}.
 *
{shapes}
 *
 * The functions answer 0; -1 if there is no memory; and a number > 0 if a number in the inputs is outside of the range
 * that it must be in: {name}_message says which. Then the results are what they were.
 * They run on the calling thread, and may be called by several at a time. Link with -lm.
 *
 * Made for {triple} with these features of the processor; where one is missing, or the system
 * refuses AMX, the program is stopped (an illegal instruction):
 * {present}
 */
#ifndef {guard}
#define {guard}
#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

{sizes}
#define {name.upper()}_WORKSPACE_BYTES {library.workspace}

/* Compute the results. The working memory is taken with malloc and given back. */
int {name}_predict({listed});

/* The same in working memory of the caller's: {name.upper()}_WORKSPACE_BYTES that begin at a multiple of 64. */
int {name}_in(void *workspace, {listed});

/* What a number means that one of these has answered; "" for 0. */
const char *{name}_message(int code);

#ifdef __cplusplus
}}
#endif
#endif
"""


def _example(name: str, native: Native) -> str:
    """A C program that reads the inputs from the standard input as text and prints the results, one in each line."""
    declared, reading, printing = [], [], []
    for text, what, _ in _arguments(native):
        kind, _, variable = text.removeprefix("const ").partition(" *")
        size = f"{name.upper()}_{variable.upper()}_SIZE"
        declared.append(f"static {kind} {variable}[{size}]; /* {what} */")
        if text.startswith("const"):
            reading += [
                f"    for (long i = 0; i < {size}; i++) {{",
                '        if (scanf("%lf", &number) != 1) {',
                f'            fprintf(stderr, "{what}: %d numbers are needed, there are %ld\\n", {size}, i);',
                "            return 2;",
                "        }",
                f"        {variable}[i] = ({kind})number;",
                "    }",
            ]
        else:
            printing.append(f'    for (long i = 0; i < {size}; i++) printf("%.9g\\n", (double){variable}[i]);')
    names = ", ".join(text.rpartition("*")[2] for text, *_ in _arguments(native))
    newline = "\n"
    return f"""/* cc -O2 example.c lib{name}.a -lm -o example && ./example < numbers.txt */
#include <stdio.h>
#include "{name}.h"

{newline.join(declared)}

int main(void) {{
    double number;
{newline.join(reading)}
    int code = {name}_predict({names});
    if (code) {{
        fprintf(stderr, "%s\\n", {name}_message(code));
        return 1;
    }}
{newline.join(printing)}
    return 0;
}}
"""
