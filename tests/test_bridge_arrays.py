"""Arrays that torch refuses, from flips, files and records, cross the bridge with their values."""

import warnings

import numpy as np
import odl
import pytest
import torch

from odl_learned import functionals, metrics, operators, plotting
from odl_learned.bridge import as_batch, as_functional, as_module, as_operator, as_proximal_module
from odl_learned.bridge.layouts.arrays import array_of, tensor_of
from odl_learned.validation import require_finite

X = odl.uniform_discr([0, 0], [1, 1], (4, 3))
F = odl.functionals
RECORDS = np.zeros((4, 3), dtype=[("value", "f8"), ("flag", "i2")])
RECORDS["value"] = np.arange(12.0).reshape(4, 3)


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


ODD = {
    "rows turned over": lambda a: a[::-1],
    "columns turned over": lambda a: a[:, ::-1],
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "read-only": read_only,
    "transposed": lambda a: np.asfortranarray(a),
    "every other": lambda a: np.repeat(np.repeat(a, 2, 0), 2, 1)[::2, ::2],
    "broadcast": lambda a: np.broadcast_to(a[0], a.shape),
    "records": lambda a: RECORDS["value"],
}
CROSSINGS = {
    "operator": lambda x: as_operator(torch.nn.Identity(), X, X)(x).data,
    "functional": lambda x: as_functional(as_module(F.L2NormSquared(X)), X).gradient(x).data,
    "translation": lambda x: as_module(F.L2NormSquared(X).translated(x))(torch.ones(4, 3).double()),
    "factor": lambda x: as_module(odl.MultiplyOperator(x))(torch.ones(4, 3).double()),
    "constant": lambda x: as_module(odl.ConstantOperator(x, X))(torch.ones(4, 3).double()),
    "bound": lambda x: as_proximal_module(F.IndicatorBox(X, x, 20))(torch.ones(4, 3).double(), 1.0),
    "fidelity": lambda x: as_module(functionals.l2_fidelity(x))(torch.ones(4, 3).double()),
    "batch": lambda x: as_batch(F.L2NormSquared(X).translated(x))(torch.ones(1, 4, 3).double()),
    "power space": lambda x: as_operator(torch.nn.Identity(), X**2, X**2)((X**2).element(
        [x, x]))[1].data,
    "matrix": lambda x: as_module(odl.MatrixOperator(x.data))(torch.arange(3.0).double()),
    "filters": lambda x: as_module(operators.FilterBank(X, x.data[None, :3]))(
        torch.ones(4, 3).double()),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize("cross", CROSSINGS.values(), ids=CROSSINGS)
def test_odd_arrays_have_the_values_of_their_copies(cross, odd):
    array = odd(np.arange(12.0).reshape(4, 3))
    plain = np.array(array, dtype=float, order="C")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        found = cross(X.element(array))
    np.testing.assert_array_equal(np.asarray(found), np.asarray(cross(X.element(plain))))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8", "c16", "?", "i1", "u2", "i4", "u8"])
@pytest.mark.parametrize("odd", list(ODD.values())[:6], ids=list(ODD)[:6])
def test_tensors_keep_shape_dtype_and_values(dtype, odd):
    array = odd(np.arange(12).reshape(4, 3).astype(dtype))
    tensor = tensor_of(array)
    np.testing.assert_array_equal(tensor.numpy(), array)
    assert tensor.numpy().dtype == np.dtype(dtype)


def test_memory_is_shared_where_it_can_be():
    array = np.ones((4, 3))
    assert np.shares_memory(tensor_of(array).numpy(), array)
    assert np.shares_memory(tensor_of(array.T[1:]).numpy(), array)
    tensor = torch.ones(3)
    assert tensor_of(tensor) is tensor
    for refused in (read_only(array), array[::-1]):
        tensor_of(refused).zero_()
    assert array.all()


def test_arrays_without_axes_or_entries_and_arrays_of_nothing_that_torch_has():
    assert tensor_of(np.float32(3)).shape == () and tensor_of(2.5).item() == 2.5
    assert tensor_of(np.zeros((0, 3))[::-1]).shape == (0, 3)
    for bad in (np.array(["a"]), np.array([None]), np.ones(2, np.longdouble)):
        with pytest.raises(TypeError, match="array has dtype .*expected numbers.*astype"):
            tensor_of(bad)


def test_conjugate_and_negative_views_go_back():
    z = torch.tensor([1 + 2j, 3 - 1j])
    np.testing.assert_array_equal(array_of(z.conj()), [1 - 2j, 3 + 1j])
    np.testing.assert_array_equal(array_of(z.conj().imag), [-2, 1])
    assert metrics.psnr(z.conj().imag, z.conj().imag) == np.inf
    op = as_operator(_Minus(), odl.cn(2), odl.rn(2))
    np.testing.assert_array_equal(op(op.domain.element([1 + 2j, 3 - 1j])).data, [-2, 1])


class _Minus(torch.nn.Module):
    def forward(self, z):
        return z.conj().imag


def test_masks_are_never_dropped():
    image = np.arange(256.0).reshape(16, 16)
    masked = np.ma.masked_array(image, image > 99)
    pattern = "is a masked array with 156 masked entries among 256.*dropped.*compressed"
    attempts = [
        lambda: metrics.psnr(masked, image), lambda: metrics.psnr(image, masked),
        lambda: metrics.ssim(masked, image), lambda: metrics.relative_error(image, masked),
        lambda: tensor_of(masked), lambda: require_finite("image", masked),
        lambda: odl.rn((16, 16)).element(masked),
        lambda: plotting.comparison({"x": masked}, image, "no.png"),
    ]  # fmt: skip
    for attempt in attempts:
        with pytest.raises(ValueError, match=pattern):
            attempt()
    kept = image[image <= 99]
    wrong = np.ma.masked_array(image + 1, image > 99).compressed()
    assert metrics.psnr(wrong, kept) == pytest.approx(20 * np.log10(99))
    without = np.ma.masked_array(image, False)
    assert metrics.psnr(without, image) == np.inf and tensor_of(without).shape == (16, 16)
