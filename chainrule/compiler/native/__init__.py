"""From LLVM's language to machine code: writing it, compiling it, and the functions every program needs."""
