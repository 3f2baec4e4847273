"""Repairs of geometries of the ray transform."""

import numpy as np
from odl.applications.tomo.backends import astra_setup
from odl.applications.tomo.geometry import Parallel2dGeometry, Parallel3dAxisGeometry
from odl.applications.tomo.util.utility import euler_matrix

from odl_learned.odl_fixes.registry import cures, everywhere

CACHED = "astra_cpu"


@cures("2D parallel beams on the CPU ignore where the detector is, and its direction.")
def detector_place():
    original = astra_setup.astra_projection_geometry

    # ASTRA's "parallel" has the middle of the detector opposite to the origin, and one direction of
    # its axis; "parallel_vec" has any, as "fanflat_vec", which ODL uses for fan beams.
    def astra_projection_geometry(geometry, astra_impl):
        is_plane = isinstance(geometry, Parallel2dGeometry) and geometry.det_partition.is_uniform
        if astra_impl != "cpu" or not is_plane or _is_standard(geometry):
            return original(geometry, astra_impl)
        cache = geometry.implementation_cache
        if cache.get(CACHED, {}).get("type") != "parallel_vec":
            cache[CACHED] = astra_setup.astra.create_proj_geom(
                "parallel_vec", geometry.detector.size, _vectors(geometry))
        return cache[CACHED]

    yield from everywhere(original, astra_projection_geometry)


def _vectors(geometry):
    """Rows of the direction of the rays, the middle of the detector and its step, for ASTRA.

    Turned by -90 degrees, as ODL does it for all geometries: ASTRA's first axis of an image is y.
    """
    middle, turn = geometry.det_params.mid_pt.item(), euler_matrix(-np.pi / 2)
    angles = np.asarray(geometry.angles)
    parts = (
        -np.asarray(geometry.det_to_src(angles, middle)),
        np.asarray(geometry.det_point_position(angles, middle)),
        np.asarray(geometry.det_axis(angles)) * geometry.det_partition.cell_sides[0],
    )
    return np.hstack([part @ turn.T for part in parts])


def _is_standard(geometry):
    """Whether the lines are those of ASTRA's "parallel", to a billionth of a bin."""
    _, middle, step = np.split(_vectors(geometry), 3, axis=1)
    width = geometry.det_partition.cell_sides[0]
    cosine, sine = np.cos(geometry.angles - np.pi / 2), np.sin(geometry.angles - np.pi / 2)
    axis = width * np.stack([cosine, sine], axis=1)
    off_center = np.abs((middle * axis).sum(1)).max() / width
    return max(np.abs(step - axis).max(), off_center) <= 1e-9 * width


@cures("A slice of translated parallel beams has its detector moved or turned.")
def sliced_translation():
    def in_the_plane(self, indices):
        part = self.partition[indices]
        return Parallel2dGeometry(part.byaxis[0], part.byaxis[1],
                                  det_pos_init=self.det_pos_init - self.translation,
                                  det_axis_init=self._det_axis_init_arg,
                                  translation=self.translation)

    # In space the constructor adds the translation in place to the array that it is given, which
    # all slices would share: each of them would move the others.
    def in_space(self, indices):
        part = self.partition[indices]
        return Parallel3dAxisGeometry(part.byaxis[0], part.byaxis[1:], axis=self.axis,
                                      det_pos_init=self.det_pos_init - self.translation,
                                      det_axes_init=self._det_axes_init_arg,
                                      translation=self.translation)

    yield Parallel2dGeometry, "__getitem__", in_the_plane
    yield Parallel3dAxisGeometry, "__getitem__", in_space
