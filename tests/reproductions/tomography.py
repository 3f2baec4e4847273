"""Reproductions for the repairs of geometries, by the name of the repair."""

import numpy as np
import odl
from odl.applications import tomo

from reproductions.elements import close

ANGLES, BINS = odl.uniform_partition(0, np.pi, 4), odl.uniform_partition(-2, 2, 21)


def detector_place():
    # A spot at (0.5, -0.25), seen by the bin to which its line belongs.
    space = odl.uniform_discr([-1, -1], [1, 1], (80, 80), dtype="float32")
    spot = space.element(lambda x: np.exp(-((x[0] - 0.5) ** 2 + (x[1] + 0.25) ** 2) / 0.02))
    for options in ({"translation": (0.3, 0.1)}, {"det_pos_init": (1, 0)},
                    {"det_axis_init": (-1, 0)}, {}):  # fmt: skip
        bins = BINS if options else odl.uniform_partition(-1, 3, 21)
        geometry = tomo.Parallel2dGeometry(ANGLES, bins, **options)
        data = tomo.RayTransform(space, geometry, impl="astra_cpu")(spot).data
        for angle, row in zip(geometry.angles, data, strict=True):
            start, axis = geometry.det_point_position(angle, 0.0), geometry.det_axis(angle)
            place = float(np.dot(np.subtract((0.5, -0.25), start), axis))
            seen = np.sum(row * bins.grid.coord_vectors[0]) / np.sum(row)
            close(10 + seen, 10 + place, rtol=1e-3)


def sliced_translation():
    geometry = tomo.Parallel2dGeometry(ANGLES, BINS, translation=(0.3, 0.5))
    angles = geometry.angles[1::2]
    close(geometry[1::2].det_axis(angles), geometry.det_axis(angles))
    flat = odl.uniform_partition([-1, -1], [1, 1], (4, 3))
    volume = tomo.Parallel3dAxisGeometry(ANGLES, flat, det_pos_init=(0, 1, 0),
                                         translation=(0.3, 0.5, 0.2))  # fmt: skip
    for part in (volume[1::2], volume[1::2]):
        close(part.det_refpoint(angles), volume.det_refpoint(angles))
