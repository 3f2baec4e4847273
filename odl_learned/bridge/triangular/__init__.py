"""Sparse triangular factors on batches of images, with coefficients of their own per sample.

`shifts` has the off-diagonal part of the factor and its transpose, and what both have as their
derivative in the coefficients, `solves` the inverses. They are differentiable to every order, in
reverse and forward mode, and store nothing but their inputs and outputs. Their images are real,
``(M, N, C, H, W)``, with ``M`` images for each of ``N`` sets of coefficients ``(N, K, H, W)``;
`layouts` packs others into such. `rules` are those of the operators in `operators.triangular`.
"""
