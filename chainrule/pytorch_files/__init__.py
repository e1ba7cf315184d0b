"""Reading the files that `torch.save` writes, without PyTorch and without executing anything in them.

`machine.py` follows the opcodes of a pickle and knows plain containers only; `names.py` has the few names of PyTorch
and Python that a file may call, all functions of ours; `storage.py` is the memory that tensors are views of;
`archive.py` reads the zip files of PyTorch 1.6 and later, `legacy.py` the streams from before.
"""

from chainrule.pytorch_files.reading import read_pytorch

__all__ = ["read_pytorch"]
