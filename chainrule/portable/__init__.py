"""Programs that leave: a function of tensors as a graph with its weights, in a file that needs none of its code.

>>> import chainrule, io
>>> model = chainrule.nn.Sequential(chainrule.nn.Linear(4, 3), chainrule.nn.ReLU())
>>> file = io.BytesIO()
>>> _ = chainrule.export_program(model, chainrule.zeros(2, 4), file, dynamic=True)
>>> program = chainrule.load_program(io.BytesIO(file.getvalue()))
>>> program
PortableProgram(float32[batch,4] → float32[batch,3], 2 weights)
>>> x = chainrule.ones(5, 4)
>>> bool(chainrule.allclose(program(x), model(x)))
True

`making.py` traces, `sizes.py` finds which numbers of a program are sizes, `graph_data.py` turns graphs into plain data
and back, `program.py` is what is loaded and called, `code_files.py` keeps its machine code, `c_library.py` makes a
library for C of it.
"""
