"""Repair of finite differences along axes of one point."""

from odl.core.discr import diff_ops

from odl_learned.odl_fixes.registry import cures, everywhere

#: Paddings that continue a single value by itself, and their adjoints.
REPEATING = ("symmetric", "symmetric_adjoint", "periodic", "order0", "order0_adjoint")


@cures("Gradients of images with one point along an axis raise ValueError.")
def single_points():
    original = diff_ops._finite_diff_pure

    def _finite_diff_pure(f_arr, axis, dx=1.0, method="forward", pad_mode="constant", pad_const=0):
        if f_arr.shape[axis] != 1 or pad_mode not in ("constant", *REPEATING):
            return original(f_arr, axis, dx, method, pad_mode, pad_const)
        array = getattr(f_arr, "data", f_arr) if hasattr(f_arr, "space") else f_arr
        if pad_mode != "constant" or method == "central":
            return 0 * array
        return (pad_const - array if method == "forward" else array - pad_const) / float(dx)

    yield from everywhere(original, _finite_diff_pure)
