"""Small ray transforms, and their modules against ODL."""

import warnings

import numpy as np
import odl
import torch
from odl.applications import tomo

from odl_learned.bridge import as_module
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.ray import RayProjector, gathered
from odl_learned.bridge.ray.interpolated import InterpolatedPair

HALF_TURN, FULL_TURN = odl.uniform_partition(0, np.pi, 5), odl.uniform_partition(0, 2 * np.pi, 5)
NONUNIFORM = odl.nonuniform_partition([0.1, 0.3, 0.9, 1.4, 2.8])
DETECTOR, SHIFTED = odl.uniform_partition(-2, 2, 11), odl.uniform_partition(-1.5, 2.5, 11)


def parallel(angles, detector, position=(0, 1), axis=None, translation=(0, 0)):
    return tomo.Parallel2dGeometry(angles, detector, position, det_axis_init=axis,
                                   translation=translation)


def fan(angles, detector):
    return tomo.FanBeamGeometry(angles, detector, src_radius=5, det_radius=4)


GEOMETRIES = {
    "parallel": parallel(HALF_TURN, DETECTOR),
    "parallel, nonuniform": parallel(NONUNIFORM, DETECTOR),
    "parallel, shifted": parallel(HALF_TURN, SHIFTED),
    "parallel, moved": parallel(NONUNIFORM, SHIFTED, (1, 2), (-2, 1), (0.3, -0.4)),
    "fan": fan(FULL_TURN, DETECTOR),
    "fan, nonuniform, shifted": fan(NONUNIFORM, SHIFTED),
}


def transform(geometry="parallel", dtype="float32", impl="astra_cpu", space_impl="numpy"):
    """A ray transform of an off-center rectangle of square pixels of area 0.16."""
    space = odl.uniform_discr([-1, -1.5], [1.4, 1.7], (6, 8), dtype=dtype, impl=space_impl)
    return tomo.RayTransform(space, GEOMETRIES[geometry], impl=impl)


def lowered(op):
    """The module, without the warning of the fallback."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return as_module(op)


def draw(space, rng, *lead):
    """A batch of random tensors of a space."""
    layout = layout_of(space)
    x = torch.from_numpy(rng.standard_normal((2, *lead, *layout.shape)))
    return (torch.complex(x[0], x[1]) if layout.dtype.is_complex else x[0]).to(layout.dtype)


def by_odl(op, x):
    """The operator on every sample of a batch with one leading axis."""
    source, target = layout_of(op.domain), layout_of(op.range)
    return torch.stack([target.to_tensor(op(source.to_element(item))) for item in x])


def dense(op):
    """Matrix of a real operator, column by column through ODL, in double precision."""
    basis = torch.eye(op.domain.size).reshape(-1, *op.domain.shape)
    return by_odl(op, basis).reshape(op.domain.size, -1).T.double()


def close(got, expected, tolerance=1e-6):
    assert got.shape == expected.shape and got.dtype == expected.dtype
    difference = (got - expected).detach().abs().max()
    return float(difference / expected.detach().abs().max()) <= tolerance


def check_against_odl(op, rng):
    for operator in (op, op.adjoint):
        module, x = lowered(operator), draw(operator.domain, rng, 3)
        assert close(module(x), by_odl(operator, x))
        assert torch.equal(module(x.reshape(3, 1, *x.shape[1:])), module(x).unsqueeze(1))
        assert close(module(x[0]), module(x)[0])


def assert_lowered_by_loops(back, rng):
    """A backprojection without a matrix: loops with the bits of ODL, and the gathers of torch."""
    for op, name in ((back, "backprojected"), (back.adjoint, "spread")):
        module, x = as_module(op), draw(op.domain, rng, 3)
        pairs = [part.pair for part in module.modules() if isinstance(part, RayProjector)]
        assert [type(pair) for pair in pairs] == [InterpolatedPair]
        assert close(module(x), by_odl(op, x))
        ratio = back.weight_ratio if op is not back else 1.0
        if not x.is_complex():
            assert close(ratio * getattr(gathered, name)(back.shadows, x), by_odl(op, x))
