"""Coefficients of energies in closed form, as functions of the learned parameters.

A `VariationEnergy` has a regularization parameter ``alpha``, a smoothing ``nu``, a strong convexity
``xi`` and weights of the data. How these depend on ``params`` is a function that returns
`Coefficients` and that torch differentiates. Common ones are named here by what the parameters are:
`natural` and `decimal` logarithms, these with ``xi`` as a multiple of ``alpha``
(`decimal_times_alpha`), ``alpha`` alone (`decimal_alpha`), weights of the data that are learned as
roots (`squared_weights`) or odds (`odds_weights`).
"""

from odl_learned.energies.coefficients.functions import (
    Coefficients,
    decimal,
    decimal_alpha,
    decimal_times_alpha,
    natural,
    odds_weights,
    squared_weights,
)

__all__ = [
    "Coefficients",
    "decimal",
    "decimal_alpha",
    "decimal_times_alpha",
    "natural",
    "odds_weights",
    "squared_weights",
]
