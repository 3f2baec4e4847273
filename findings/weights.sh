#!/usr/bin/env bash
# ODL 1.0.0: with points on the boundary (nodes_on_bdry=True), inner products of uniform_discr count
# the outer cells half, so that <1, 1> is the length of the interval; but not if the cells have
# exactly the length 1. The integral of 1 over [0, 3] is then 4, over [0, 6] with as many points 6.
# Nothing tells: DiscretizedSpace.is_uniformly_weighted takes a weight of 1 for "not weighted", and
# so norms, adjoints and regularization parameters jump when pixels become the unit of length.
# Exits with 0 as long as ODL behaves like this.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "odl==1.0.0" "numpy==2.3.5" "scipy==1.16.3"
"$folder/venv/bin/python" - <<'PYTHON'
import odl

found = {}
for length in (2.999, 3.0, 3.001, 6.0):
    space = odl.uniform_discr(0, length, 4, nodes_on_bdry=True)
    one = space.one()
    found[length] = one.inner(one)
    print(f"odl {odl.__version__}: [0, {length}], 4 points, both ends among them: "
          f"cell {space.cell_volume:.4f}, <1, 1> = {found[length]:.4f}, |1|^2 = {one.norm()**2:.4f}")
assert odl.__version__ == "1.0.0"
assert abs(found[3.0] - 4.0) < 1e-12, "the integral over [0, 3] is no longer 4"
for length in (2.999, 3.001, 6.0):
    assert abs(found[length] - length) < 1e-12, f"the integral over [0, {length}] has changed"
PYTHON
