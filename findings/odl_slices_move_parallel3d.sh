#!/usr/bin/env bash
# ODL 1.0.0: some views of a Parallel3dAxisGeometry, geometry[1::2], are to be views of the same
# scanner. Where the geometry is translated and det_pos_init was given, that holds for the first
# slice that is taken, and only until there is a second: the constructor adds the translation in
# place to the array that it gets, all slices share one, and with each of them the detectors of all
# move by the translation. So an array det_pos_init of one's own is changed by building a geometry.
# Exits with 0 as long as ODL behaves like this.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "odl==1.0.0" "numpy==2.3.5" "scipy==1.16.3"
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import odl
from odl.applications import tomo

angles = odl.uniform_partition(0, np.pi, 4)
detector = odl.uniform_partition([-1, -1], [1, 1], (4, 3))
translation = np.array([0.0, 0.0, 0.25])  # along the axis, so that turns do not matter
geometry = tomo.Parallel3dAxisGeometry(angles, detector, det_pos_init=(0, 1, 0),
                                       translation=translation)
view = geometry.angles[1]
first = geometry[1::2]
before = first.det_refpoint(view)[2]
second = geometry[1::2]
heights = [float(part.det_refpoint(view)[2]) for part in (geometry, first, second)]
print(f"height of the detector: whole {heights[0]}, a slice {before}, the same slice after another "
      f"one was taken {heights[1]}, the other one {heights[2]}")
assert np.isclose(before, 0.25) and np.allclose(heights, [0.25, 0.5, 0.5])

mine = np.array([0.0, 1.0, 0.0])
tomo.Parallel3dAxisGeometry(angles, detector, det_pos_init=mine, translation=translation)
print("the array that was passed:", mine)
assert np.allclose(mine, [0.0, 1.0, 0.25])
PYTHON
