"""Parallel-beam CT on the CPU: our sparse projector, ASTRA one by one, ODL's wrapper, deepinv."""

import astra
import numpy as np
import odl
import peers
import torch
from odl.applications.tomo.backends.astra_setup import (
    astra_projection_geometry,
    astra_projector,
    astra_volume_geometry,
)
from odl.contrib.torch import OperatorModule
from timing import race, require_close, without_gradients

from odl_learned import operators
from odl_learned.bridge import as_module

SIZES = {"tiny": (16, 10, 2, 3), "full": (256, 180, 8, 7)}  # pixels, angles, batch, rounds


class Astra:
    """ASTRA's projector for the geometry of an ODL ray transform, one image at a time."""

    def __init__(self, op):
        self.projector = astra_projector("linear", astra_volume_geometry(op.domain, "cpu"),
                                         astra_projection_geometry(op.geometry, "cpu"), 2)
        self.source, self.target = op.domain.shape, op.range.shape

    def forward(self, x):
        y = torch.empty(len(x), *self.target)
        for image, data in zip(x, y):
            astra.projector.direct_FP(self.projector, image, out=data)
        return y

    def transpose(self, y):
        x = torch.empty(len(y), *self.source)
        for image, data in zip(x, y):
            astra.projector.direct_BP(self.projector, data, out=image)
        return x


def measure(size):
    """Return the ratios of the forward operator and of its transpose, and their mismatch."""
    n, angles, batch, rounds = SIZES[size]
    space = odl.uniform_discr([-n / 2] * 2, [n / 2] * 2, (n, n), dtype="float32")
    op = operators.parallel_ray_transform(space, angles)
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.random((batch, n, n), dtype=np.float32))
    y = torch.from_numpy(rng.random((batch, *op.range.shape), dtype=np.float32))
    ours, wrapper, loop = as_module(op), OperatorModule(op), Astra(op)
    weight = float(op.domain.weighting.const) / float(op.range.weighting.const)
    transpose, adjoint = as_module(weight * op.adjoint), OperatorModule(op.adjoint)

    forwards = {"ASTRA, one by one": lambda: loop.forward(x),
                "ODL OperatorModule": lambda: wrapper(x),
                "odl_learned": lambda: ours(x)}
    backs = {"ASTRA, one by one": lambda: loop.transpose(y),
             "ODL OperatorModule": lambda: weight * adjoint(y),
             "odl_learned": lambda: transpose(y)}
    for contestants in (forwards, backs):
        reference = contestants["ASTRA, one by one"]()
        for name, function in contestants.items():
            require_close(name, function(), reference, 1e-5)
    deepinv = peers.deepinv()
    if deepinv is not None:
        physics = deepinv.physics.Tomography(angles=angles, img_width=n, circle=False,
                                             normalize=False)
        images = x[:, None]
        data = physics.A(images)
        forwards["deepinv Tomography (own geometry)"] = lambda: physics.A(images)
        backs["deepinv Tomography (own geometry)"] = lambda: physics.A_adjoint(data)

    forward = race(f"CT {n}^2, {angles} angles, batch {batch}: forward",
                   {k: without_gradients(f) for k, f in forwards.items()}, rounds)
    back = race(f"CT {n}^2, {angles} angles, batch {batch}: transpose",
                {k: without_gradients(f) for k, f in backs.items()}, rounds)
    numbers = {"ct_pair_mismatch": mismatch(ours, transpose, x, y)}
    for key, seconds in (("forward", forward), ("transpose", back)):
        mine = seconds["odl_learned"]
        numbers[f"ct_{key}_vs_astra"] = mine / seconds["ASTRA, one by one"]
        numbers[f"ct_{key}_vs_operator_module"] = mine / seconds["ODL OperatorModule"]
        theirs = seconds.get("deepinv Tomography (own geometry)")
        numbers[f"ct_{key}_vs_deepinv"] = None if theirs is None else mine / theirs
    return numbers


def mismatch(forward, transpose, x, y):
    """``|<A x, y> - <x, A^T y>| / (|A x| |y|)``, the largest over the batch."""
    image, back = forward(x).double(), transpose(y).double()
    x, y = x.double(), y.double()
    difference = (image * y).sum((1, 2)) - (x * back).sum((1, 2))
    return float((difference.abs() / (image.norm(dim=(1, 2)) * y.norm(dim=(1, 2)))).max())
