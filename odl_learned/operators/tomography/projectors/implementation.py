"""ODL's ray transform by its matrix: an ``impl`` of `odl.applications.tomo.RayTransform`."""

import warnings

from odl.applications import tomo
from odl.applications.tomo.backends.astra_cpu import AstraCpuImpl
from odl.applications.tomo.operators.ray_trafo import RAY_TRAFO_IMPLS

from odl_learned.operators.tomography.projectors.geometry import geometry_between
from odl_learned.operators.tomography.projectors.matrices import fits_in_memory, matrix_pair
from odl_learned.weights import weighting_constant


class MatrixImpl:
    """The ray transform in the plane as a sparse matrix, and its back projection as the transpose.

    .. math:: A x = M x, \\qquad A^* y = \\frac{w_Y}{w_X} M^T y

    The entries of ``M`` are those of ASTRA's projector. The matrices are built for the first
    product; where they would take more than `matrices.SPARSE_LIMIT`, and on spaces that do not use
    numpy, ASTRA itself computes, as with ``impl="astra_cpu"``.

    Parameters
    ----------
    geometry : odl.applications.tomo.Geometry
        Of parallel or fan beams in the plane.
    vol_space, proj_space : odl.DiscretizedSpace
        Of images and of their data, in single or double precision; products are computed in single
        precision, that of ASTRA.
    """

    def __init__(self, geometry, vol_space, proj_space):
        if vol_space.ndim != 2:
            raise TypeError(f"vol_space has {vol_space.ndim} dimensions, expected 2; volumes have "
                            "StackedImpl for parallel beams and JosephImpl for cone beams.")
        self.geometry, self.vol_space, self.proj_space = geometry, vol_space, proj_space
        self._computer = None

    def call_forward(self, x, out=None):
        """``A x``."""
        return self._call("project", x, self.proj_space, out)

    def call_backward(self, y, out=None):
        """``A* y``."""
        return self._call("backproject", y, self.vol_space, out)

    @property
    def pair(self):
        """The pair of matrices, built where it is missing, or None where ASTRA computes."""
        if self._computer is None:
            self._computer = self._start()
        return None if isinstance(self._computer, AstraCpuImpl) else self._computer

    def product(self, direction, x):
        """``A x`` by ``"project"`` or ``A* x`` by ``"backproject"`` of an array.

        Its axes after those of an image, or of its data, count independent ones.
        """
        result = getattr(self.pair, direction)(x)
        if direction == "backproject":
            result *= result.dtype.type(self._weight)
        return result

    def _call(self, direction, x, space, out):
        if self.pair is None:
            call = {"project": "call_forward", "backproject": "call_backward"}[direction]
            return getattr(self._computer, call)(x, out)
        result = self.product(direction, x.data)
        if out is None:
            return space.element(result.astype(space.dtype, copy=False))
        out.data[...] = result
        return out

    def _start(self):
        """The pair of matrices, or ASTRA."""
        weights = weighting_constant(self.vol_space), weighting_constant(self.proj_space)
        if self.vol_space.impl == self.proj_space.impl == "numpy" and None not in weights:
            self._weight = weights[1] / weights[0]
            geometry = geometry_between(self.vol_space, self.proj_space, self.geometry)
            if fits_in_memory(geometry):
                return matrix_pair(geometry)
        with warnings.catch_warnings():  # of its slowness, which was said
            warnings.simplefilter("ignore", RuntimeWarning)
            return AstraCpuImpl(self.geometry, self.vol_space, self.proj_space)


def runs_on_cpu(op):
    """Whether a ray transform is computed on the CPU with the entries of ASTRA's projectors."""
    return op.domain.ndim == 2 and op.impl in ("astra_cpu", "AstraCpuImpl", MatrixImpl.__name__)


def with_views(op, views):
    """Return a ray transform of some of the views, computed in the same way.

    Parameters
    ----------
    op : odl.applications.tomo.RayTransform
    views : slice or list of int
    """
    impl = op.impl if op.impl in RAY_TRAFO_IMPLS else op._impl_type
    return tomo.RayTransform(op.domain, op.geometry[views], impl=impl)
