"""deepinv's own tests of linear physics, run on operators of ODL.

    python benchmarks/deepinv_tests.py [options of pytest]

deepinv ships its tests. Those that go over its list of linear operators (adjoint, norm,
pseudo-inverse, derivatives, state, ...) run here on seven operators of ours instead, through the
adapter of `deepinv_physics`, which takes any linear operator with constant weights. It needs
deepinv and pytest in an environment apart.
"""

import sys
from pathlib import Path

import numpy as np
import odl
import peers
import torch
from deepinv_physics import physics_of

from odl_learned import operators
from odl_learned.operators import operator_norm


def space(n, dtype="float32"):
    """Square images with cells that are not of volume one."""
    return odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype=dtype)


def mask(n):
    """A random mask."""
    return np.random.default_rng(0).random((n, n)) < 0.5


OPERATORS = {
    "ray_transform": lambda n: operators.parallel_ray_transform(space(n), 20),
    "sampled_Fourier": lambda n: operators.SampledFourier(space(n, "complex64"), mask(n)),
    "mask": lambda n: operators.mask_operator(space(n), mask(n)),
    "periodic_blur": lambda n: operators.PeriodicConvolution(
        space(n), operators.gaussian_kernel(space(n), 0.2)),
    "blur_with_reflection": lambda n: operators.ReflectingConvolution(
        space(n), operators.gaussian_kernel(space(n), 0.2)),
    "wavelet": lambda n: operators.OrthogonalWavelet(space(n), "db2", 2),
    "rotation": lambda n: operators.Rotation(space(n), 0.5),
}

#: What deepinv says that it does not support with complex images; it skips its own complex
#: operators there, by name.
REAL_ONLY = "not (sampled_Fourier and (multiscale_wrapper or adjoint_autograd))"


def find_operator(name, device, imsize=None, get_physics_param=False):
    """Stand in for the function of deepinv's tests: physics, shape, squared norm, dtype."""
    op = OPERATORS[name](16 if imsize is None else imsize[-1])
    physics = physics_of(op, peers.deepinv()).to(device)
    ratio = float(op.domain.weighting.const) / float(op.range.weighting.const)
    norm = ratio * operator_norm(op) ** 2
    dtype = torch.complex64 if op.domain.is_complex else torch.float32
    found = physics, (1, *op.domain.shape), norm, dtype
    return (*found, []) if get_physics_param else found


def main(arguments):
    """Run them; the exit status is that of pytest."""
    import pytest

    folder = Path(peers.deepinv().__file__).parent / "tests"
    sys.path.insert(0, str(folder))
    import test_physics

    theirs = list(test_physics.OPERATORS)
    for test in vars(test_physics).values():
        for mark in getattr(test, "pytestmark", []):
            if mark.name == "parametrize" and set(theirs) <= set(map(str, mark.args[1])):
                mark.args[1][:] = OPERATORS
    test_physics.OPERATORS[:] = OPERATORS
    test_physics.find_operator = find_operator
    names = " or ".join(OPERATORS)
    return pytest.main(["-p", "no:odl_plugins", "-p", "no:cacheprovider", "--rootdir", str(folder),
                        "-q", "-k", f"({names}) and {REAL_ONLY}",
                        str(folder / "test_physics.py"), *arguments])


if __name__ == "__main__":
    if peers.deepinv() is None:
        raise SystemExit("deepinv is not installed; pip install deepinv, in an environment apart.")
    raise SystemExit(main(sys.argv[1:]))
