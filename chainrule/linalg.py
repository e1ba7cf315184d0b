"""Linear algebra under PyTorch's names."""

from chainrule.functions.contraction import matmul
from chainrule.functions.linalg import (
    cholesky,
    cond,
    cross,
    det,
    diagonal,
    eigh,
    eigvalsh,
    inv,
    lstsq,
    matrix_exp,
    matrix_norm,
    matrix_power,
    matrix_rank,
    norm,
    pinv,
    qr,
    slogdet,
    solve,
    solve_triangular,
    svd,
    svdvals,
    vector_norm,
)
from chainrule.functions.linalg_checked import cholesky_ex, inv_ex, solve_ex
from chainrule.functions.lu import lu, lu_factor, lu_factor_ex, lu_solve
from chainrule.functions.products import multi_dot
from chainrule.functions.tensor_maps import tensorinv, tensorsolve, vander, vecdot
from chainrule.functions.words import teach
from chainrule.primitives.linear_algebra import LinearAlgebraError as LinAlgError

__all__ = [
    "LinAlgError",
    "cholesky",
    "cholesky_ex",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "inv_ex",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_factor_ex",
    "lu_solve",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_ex",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]

teach(globals())
