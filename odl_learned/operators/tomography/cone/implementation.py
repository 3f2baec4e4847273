"""ODL's ray transform of cone beams on the CPU: an ``impl`` of its `RayTransform`."""

from odl.applications import tomo

from odl_learned.operators.tomography.cone.geometry import cone_geometry
from odl_learned.operators.tomography.cone.pair import backproject, project
from odl_learned.weights import weighting_constant


class JosephImpl:
    r"""The ray transform of cone beams by Joseph's projector, and its exact adjoint.

    .. math:: A x = M x, \qquad A^* y = \frac{w_Y}{w_X} M^T y

    No entry of ``M`` is kept: they are computed when they are needed, in both directions by the
    same operations (`cone.joseph`). Circles, helices, offset and tilted detectors, and sources that
    wander are all the same.

    Parameters
    ----------
    geometry : odl.applications.tomo.ConeBeamGeometry
        With a flat detector, and sources outside of the volume.
    vol_space, proj_space : odl.DiscretizedSpace
        Of volumes and of their data, on numpy, real or complex, in single or double precision, in
        which values are computed; places are in double precision.

    Raises
    ------
    TypeError
        If this is no cone beam, or a space is not on numpy or has an array of weights.
    ValueError
        If a source is inside of the volume.
    NotImplementedError
        If the detector is curved.
    """

    def __init__(self, geometry, vol_space, proj_space):
        if not isinstance(geometry, tomo.ConeBeamGeometry):
            raise TypeError(f"geometry is {geometry!r}, expected a ConeBeamGeometry; parallel and "
                            "fan beams have projectors of their own.")  # fmt: skip
        for name, space in (("vol_space", vol_space), ("proj_space", proj_space)):
            if space.impl != "numpy":
                raise TypeError(f"{name} is on {space.impl!r}, expected numpy; build it with "
                                "impl='numpy', and use bridge.as_module for tensors.")
            if weighting_constant(space) is None:
                raise TypeError(f"{name} is {space!r}, expected one with a constant weight; "
                                "build it with odl.uniform_discr(...).")
        self.vol_space, self.proj_space = vol_space, proj_space
        self.geometry = cone_geometry(vol_space, geometry)
        self.weight = weighting_constant(proj_space) / weighting_constant(vol_space)

    def call_forward(self, x, out=None):
        """``A x``."""
        return _written(project(self.geometry, x.data), self.proj_space, out)

    def call_backward(self, y, out=None):
        """``A* y``."""
        result = backproject(self.geometry, y.data)
        result *= result.real.dtype.type(self.weight)
        return _written(result, self.vol_space, out)


def _written(result, space, out):
    if out is None:
        return space.element(result)
    out.data[...] = result
    return out
