"""Reproductions for the repairs of adjoints, by the name of the repair."""

import numpy as np
import odl
import scipy.sparse
from odl.applications import tomo

from reproductions.elements import close

MATRIX = np.random.default_rng(0).standard_normal((3, 4))


def units(space):
    """The unit vectors of a space, one for each entry of each component."""
    if isinstance(space, odl.ProductSpace):
        for i, part in enumerate(space):
            for unit in units(part):
                x = space.zero()
                x[i].assign(unit)
                yield x
        return
    for index in np.ndindex(space.shape):
        values = np.zeros(space.shape, space.dtype_identifier)
        values[index] = 1
        yield space.element(values)


def flat(x):
    return np.concatenate([flat(part) for part in x]) if hasattr(x, "parts") else x.data.ravel()


def assert_adjoint(op, rtol=1e-12):
    """The matrix of the adjoint is W_X^-1 M^H W_Y, with the weights of ODL's inner products."""
    matrix = np.stack([flat(op(unit)) for unit in units(op.domain)], axis=1)
    of_domain, of_range = (np.array([unit.inner(unit).real for unit in units(space)])
                           for space in (op.domain, op.range))
    expected = matrix.conj().T * of_range / of_domain[:, None]
    actual = np.stack([flat(op.adjoint(unit)) for unit in units(op.range)], axis=1)
    close(actual / np.abs(expected).max(), expected / np.abs(expected).max(), rtol=rtol)
    x = sum((1 + j) * unit for j, unit in enumerate(units(op.domain)))
    close(flat(op.adjoint.adjoint(x)), flat(op(x)), rtol=rtol)


def weighted_spaces(shape, dtype="float64"):
    """Boundary points on all sides and on one, and an array of weights, alone and on top."""
    array = np.random.default_rng(1).uniform(0.5, 2.0, shape)
    low, high = [0] * len(shape), list(range(1, len(shape) + 1))
    for boundary, weighting in ((True, None), ([(True, False)] * len(shape), None),
                                (False, array), (True, array)):
        yield odl.uniform_discr(low, high, shape, dtype=dtype, nodes_on_bdry=boundary,
                                weighting=weighting)


def weighted_adjoints():
    matrices()
    multiples()
    projections()
    differences()
    samples()
    rays()


def matrices():
    cell = odl.uniform_discr(0, 1, 4)
    weighted = odl.rn(3, weighting=[1.0, 2.0, 5.0])
    for domain in (cell, odl.uniform_discr(0, 1, 4, nodes_on_bdry=True),
                   odl.rn(4, weighting=[1.0, 2.0, 3.0, 4.0])):
        for target in (None, odl.rn(3), weighted):
            assert_adjoint(odl.MatrixOperator(MATRIX, domain, target))
            assert_adjoint(odl.MatrixOperator(scipy.sparse.coo_matrix(MATRIX), domain, target))
        complex_target = odl.cn(3, weighting=[1.0, 2.0, 5.0])
        assert_adjoint(odl.MatrixOperator(MATRIX * (1 - 2j), domain.complex_space, complex_target))
    assert isinstance(odl.MatrixOperator(MATRIX, cell).adjoint, odl.MatrixOperator)
    for domain in weighted_spaces((2, 4)):
        assert_adjoint(odl.MatrixOperator(MATRIX, domain, odl.rn((2, 3), weighting=0.5), axis=1))


def multiples():
    array = np.random.default_rng(1).uniform(0.5, 2.0, (3, 4))
    spaces = [*weighted_spaces((3, 4)), odl.rn((3, 4)), odl.rn((3, 4), weighting=2.5)]
    for domain, target in zip(spaces, spaces[1:]):
        assert_adjoint(odl.MultiplyOperator(domain.element(array), domain, target))
    x = spaces[0].element(array)
    assert isinstance(odl.MultiplyOperator(x).adjoint, odl.MultiplyOperator)
    close(odl.MultiplyOperator(x, domain=x.space.field).adjoint(x), x.inner(x))


def projections():
    X = odl.uniform_discr(0, 1, 3, nodes_on_bdry=True)
    for product in (odl.ProductSpace(X, odl.rn(2), X, weighting=[1.0, 3.0, 0.5]),
                    odl.ProductSpace(X, odl.rn(2), X, weighting=2.0)):
        for index in (1, [0, 2], slice(1, 3)):
            assert_adjoint(odl.ComponentProjection(product, index))
            assert_adjoint(odl.ComponentProjection(product, index).adjoint)
    plain = odl.ComponentProjection(odl.ProductSpace(X, odl.rn(2)), 1).adjoint
    assert isinstance(plain, odl.ComponentProjectionAdjoint)


def differences():
    for space in weighted_spaces((3, 4)):
        for op in (odl.Gradient(space, pad_mode="symmetric"), odl.Divergence(space**2),
                   odl.PartialDerivative(space, 1, method="central"), odl.Laplacian(space)):
            assert_adjoint(op)


def samples():
    points = [[0, 2, 0], [3, 1, 3]]
    array = np.random.default_rng(1).uniform(0.5, 2.0, (3, 4))
    for space in (*weighted_spaces((3, 4)), odl.rn((3, 4), weighting=2.5),
                  odl.rn((3, 4), weighting=array),
                  odl.uniform_discr([0, 0], [1, 2], (3, 4), weighting=2.5)):
        for variants in (("point_eval", "dirac"), ("integrate", "char_fun")):
            assert_adjoint(odl.SamplingOperator(space, points, variants[0]))
            assert_adjoint(odl.WeightedSumSamplingOperator(space, points, variants[1]))
        assert_adjoint(odl.FlatteningOperator(space))
        assert_adjoint(odl.FlatteningOperator(space).inverse)
        if isinstance(space, odl.DiscretizedSpace):
            wavelet = odl.trafos.WaveletTransform(space, "haar", nlevels=1)
            assert_adjoint(wavelet)
            assert_adjoint(wavelet.inverse)
    space = odl.uniform_discr([0, 0], [1, 2], (3, 4), nodes_on_bdry=True)
    assert_adjoint(odl.ResizingOperator(space, ran_shp=(5, 4), pad_mode="symmetric"))
    assert_adjoint(odl.ResizingOperator(space, ran_shp=(2, 6)))
    space = odl.uniform_discr([0, 0], [1, 2], (3, 4))
    larger = odl.uniform_discr([0, 0], [1, 3], (3, 6), weighting=3.0)
    assert_adjoint(odl.ResizingOperator(space, larger))


def rays():
    # Angles with points on the boundary: the first and the last view count half.
    geometry = tomo.Parallel2dGeometry(odl.uniform_partition(0, np.pi, 4, nodes_on_bdry=True),
                                       odl.uniform_partition(-2, 2, 5))
    space = odl.uniform_discr([-1, -1], [1, 1], (3, 3), dtype="float32")
    assert_adjoint(tomo.RayTransform(space, geometry, impl="astra_cpu"), rtol=1e-5)
