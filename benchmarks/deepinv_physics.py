"""An ODL ray transform handed to deepinv as a LinearPhysics, and deepinv's own checks of it.

    python benchmarks/deepinv_physics.py

deepinv's ``A_adjoint`` is the transpose of the matrix, ``A^T = (w_X / w_Y) A*`` for ODL's adjoint
``A*`` and the weights of the inner products; the cells here are not of volume 1, so that the two
differ. The channel axis of deepinv is one more batch axis for our modules. The last line printed is
one JSON object of relative errors.
"""

import json

import numpy as np
import odl
import peers
import torch

from odl_learned import operators
from odl_learned.bridge import as_module


def physics_of(op, deepinv):
    """Return a linear ODL operator with constant weights as a deepinv physics."""
    weight = float(op.domain.weighting.const) / float(op.range.weighting.const)
    forward, transpose = as_module(op), as_module(weight * op.adjoint)
    return deepinv.physics.LinearPhysics(
        A=lambda x, **_: forward(x), A_adjoint=lambda y, **_: transpose(y),
        img_size=(1, *op.domain.shape))


def distance(x, reference):
    """Relative Euclidean distance."""
    return float((x - reference).norm() / reference.norm())


def measure(deepinv):
    """Return the relative errors of each check."""
    space = odl.uniform_discr([-1, -1], [1, 1], (24, 24), dtype="float32")
    op = operators.parallel_ray_transform(space, 36)
    physics = physics_of(op, deepinv)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 1, 24, 24, generator=generator)
    y = physics.A(x)
    v = torch.randn(y.shape, generator=generator)
    image = physics.A(x).detach()
    scale = float(image.norm() * v.norm())
    numbers = {"cell_volume": float(space.cell_volume),
               "adjointness_test": abs(float(physics.adjointness_test(x))) / scale}

    # autograd through A is its transpose, and autograd through A_adjoint is A
    z = x.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(0.5 * (physics.A(z) - v).square().sum(), z)
    numbers["autograd_of_A"] = distance(gradient, physics.A_adjoint(y - v))
    z = v.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad((physics.A_adjoint(z) * x).sum(), z)
    numbers["autograd_of_A_adjoint"] = distance(gradient, y)

    # torch.func
    _, transpose = torch.func.vjp(physics.A, x)
    numbers["vjp"] = distance(transpose(v)[0], physics.A_adjoint(v))
    numbers["jvp"] = distance(torch.func.jvp(physics.A, (x,), (x,))[1], y)
    numbers["vmap"] = distance(torch.func.vmap(physics.A)(x), y)

    # the pseudo-inverse solves the normal equations; a dense solver does too
    matrix = as_module(op)(torch.eye(24 * 24).reshape(-1, 24, 24)).reshape(24 * 24, -1).T.double()
    solution = torch.linalg.lstsq(matrix, y.reshape(2, -1).T.double()).solution.T.reshape(x.shape)
    back = physics.A_dagger(y, max_iter=500, tol=1e-7)
    numbers["A_dagger_residual"] = distance(physics.A(back), y)
    numbers["A_dagger_vs_dense"] = distance(back.double(), solution)
    norm = float(physics.compute_norm(x, squared=False, max_iter=500, tol=1e-7, verbose=False))
    numbers["norm_vs_dense"] = abs(norm / float(np.linalg.norm(matrix, 2)) - 1)
    return numbers


if __name__ == "__main__":
    deepinv = peers.deepinv()
    if deepinv is None:
        raise SystemExit("deepinv is not installed; pip install deepinv, in an environment apart.")
    print(json.dumps(measure(deepinv)))
