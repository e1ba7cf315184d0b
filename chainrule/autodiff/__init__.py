"""How derivatives travel: the tape, gradients of functions, blocks, checks."""
