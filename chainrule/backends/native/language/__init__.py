"""LLVM's language: text for entries in registers and memory, for exponentials and the like, for random words."""
