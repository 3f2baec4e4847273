"""Sparse triangular factors on batches of images, with coefficients of their own per sample.

`gathered` and `scattered` are the off-diagonal part of the factor and its transpose, `products`
what both have as their derivative in the coefficients, and `solved` and `solved_transposed` the
inverses. They are differentiable to every order, in reverse and forward mode, and store nothing but
their inputs and outputs. Their images are real, ``(M, N, C, H, W)``, with ``M`` images for each of
``N`` sets of coefficients ``(N, K, H, W)``; `packed` makes such of others, and `unpacked` the
others of such.
"""

from odl_learned.bridge.triangular.layouts import packed, unpacked
from odl_learned.bridge.triangular.shifts import gathered, products, scattered
from odl_learned.bridge.triangular.solves import solved, solved_transposed

__all__ = [
    "gathered",
    "packed",
    "products",
    "scattered",
    "solved",
    "solved_transposed",
    "unpacked",
]
