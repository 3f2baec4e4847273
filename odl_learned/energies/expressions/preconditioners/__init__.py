r"""Preconditioners of energies of expressions, values for ``energy_of(functional, ...)``.

`ScaledSpectral`, the default, puts the frequencies of all terms between two halves of a diagonal;
`LocalTimesSpectral` factorizes the sparse part for every image; `Jacobi` takes the diagonal, and
`Identity` nothing. A basis is a value, too, `Frequencies` or `Cosines`, those of a reflecting
boundary. What they see of an operator are rules, `functools.singledispatch` functions:

- `sparse_matrix` for operators that see a few pixels at a time,
- `normal_symbol` for those whose normal operator is nearly diagonal in frequency.
"""

from odl_learned.energies.expressions.preconditioners.bases import Cosines, Frequencies
from odl_learned.energies.expressions.preconditioners.matrices import sparse_matrix
from odl_learned.energies.expressions.preconditioners.methods import (
    Identity,
    Jacobi,
    LocalTimesSpectral,
    ScaledSpectral,
)
from odl_learned.energies.expressions.preconditioners.symbols import normal_symbol

__all__ = [
    "Cosines",
    "Frequencies",
    "Identity",
    "Jacobi",
    "LocalTimesSpectral",
    "ScaledSpectral",
    "normal_symbol",
    "sparse_matrix",
]
