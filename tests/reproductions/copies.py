"""Reproductions for the repairs of pickling, by the name of the repair."""

import pickle

import numpy as np
import odl

from reproductions.elements import close, draw, image_space

F = odl.functionals


def again(obj):
    return pickle.loads(pickle.dumps(obj))


def pickled_classes():
    space = image_space()
    extension = odl.ResizingOperator(space, ran_shp=(8, 9))
    gradient = odl.Gradient(space)
    for op in (extension.adjoint, F.L1Norm(space).gradient, F.KullbackLeibler(space).gradient,
               (F.L2NormSquared(gradient.range) @ gradient).gradient,
               odl.ComplexModulusSquared(odl.cn(3)).derivative([1, 2j, 3])):
        x = draw(op.domain)
        close(again(op)(x).asarray(), op(x).asarray())


def pickled_backends():
    matrix = odl.MatrixOperator(np.arange(6.0).reshape(2, 3))
    close(again(matrix)([1, 2, 3]).asarray(), [8, 26])


def pickled_rays():
    angles, bins = odl.uniform_partition(0, 6, 4), odl.uniform_partition(-2, 2, 7)
    geometry = odl.applications.tomo.FanBeamGeometry(angles, bins, 4, 2)
    close(again(geometry).src_position(0.3), geometry.src_position(0.3))
    cone = odl.applications.tomo.cone_beam_geometry(
        odl.uniform_discr([-1] * 3, [1] * 3, (4, 4, 4)), 4, 2, num_angles=3)
    close(again(cone).det_point_position(0.3, [0.1, 0.2]), cone.det_point_position(0.3, [0.1, 0.2]))


def copied_wavelets():
    op = odl.trafos.WaveletTransform(
        odl.uniform_discr(0, 1, 8), "db2", 1, pad_mode="pywt_periodic", impl="pywt")
    y = draw(op.range)
    close(again(op).adjoint(y).asarray(), op.adjoint(y).asarray())
