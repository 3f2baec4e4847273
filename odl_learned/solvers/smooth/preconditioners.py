"""Preconditioners that are diagonal in frequencies, and the symbols of Laplacians."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import scipy.fft
from array_api_compat import array_namespace

from odl_learned.solvers.arithmetic.row_sums import on_host
from odl_learned.solvers.types import Image
from odl_learned.validation import is_finite_number, require_count
from odl_learned.weights import constant_weight


def periodic_laplacian(
    shape: tuple[int, ...], cell_sides: float | Sequence[float] | np.ndarray = 1.0
) -> np.ndarray:
    r"""Return the symbol of ``grad* grad`` with periodic boundary, in the order of the FFT.

    .. math:: \sum_j \Big( \frac{2}{h_j} \sin \frac{\pi k_j}{n_j} \Big)^2,
              \qquad 0 \le k_j < n_j .

    These are the eigenvalues for forward differences; divided by, they precondition `circulant`.

    Parameters
    ----------
    shape : tuple of int
        Of the images, ``n``.
    cell_sides : float or sequence of float, optional
        ``h``, such as ``space.cell_sides``.

    Returns
    -------
    symbol : numpy.ndarray of the shape, float64, nonnegative

    Raises
    ------
    ValueError
        If the lengths are not positive whole numbers, or the sides not positive numbers.
    """
    return _laplacian(shape, cell_sides, 1.0)


def neumann_laplacian(
    shape: tuple[int, ...], cell_sides: float | Sequence[float] | np.ndarray = 1.0
) -> np.ndarray:
    r"""Return the symbol of ``grad* grad`` with Neumann boundary, in the order of the DCT.

    .. math:: \sum_j \Big( \frac{2}{h_j} \sin \frac{\pi k_j}{2 n_j} \Big)^2,
              \qquad 0 \le k_j < n_j .

    The eigenvalues of ``gradient(space).adjoint * gradient(space)``, the forward differences of
    this package, for `cosine`.

    Parameters
    ----------
    shape : tuple of int
        Of the images, ``n``.
    cell_sides : float or sequence of float, optional
        ``h``, such as ``space.cell_sides``.

    Returns
    -------
    symbol : numpy.ndarray of the shape, float64, nonnegative

    Raises
    ------
    ValueError
        If the lengths are not positive whole numbers, or the sides not positive numbers.
    """
    return _laplacian(shape, cell_sides, 0.5)


def _laplacian(shape, cell_sides, periods):
    if not isinstance(shape, tuple | list) or not shape:
        raise ValueError(f"shape is {shape!r}, expected a tuple of whole numbers such as "
                         "space.shape.")
    for n in shape:
        require_count("a length in shape", n)
    sides = np.asarray(cell_sides)
    if sides.shape not in ((), (len(shape),)) or not all(map(_is_side, sides.ravel().tolist())):
        raise ValueError(f"cell_sides is {cell_sides!r}, expected one positive number or "
                         f"{len(shape)}, such as space.cell_sides.")
    sides = np.broadcast_to(sides.astype(float), (len(shape),))
    parts = [(2 / h * np.sin(np.pi * periods * np.arange(n) / n)) ** 2
             for n, h in zip(shape, sides, strict=True)]  # fmt: skip
    return sum(np.meshgrid(*parts, indexing="ij", sparse=True))


def _is_side(h):
    return is_finite_number(h) and h > 0


def circulant(symbol: np.ndarray) -> Callable[[Image], Image]:
    r"""Return ``v -> F^-1 (F v / symbol)`` with the discrete Fourier transform ``F``.

    Inverts convolutions with periodic boundary, for example ``1 + c * periodic_laplacian(shape)``.

    Parameters
    ----------
    symbol : numpy.ndarray of the shape of one image
        Real, positive and finite, in the order of the FFT (zero frequency first). For real images
        it must belong to a real convolution: ``symbol[k] = symbol[-k]``.

    Returns
    -------
    precondition : callable
        For elements of ODL spaces of constant weight, arrays and tensors ``(..., *shape)``, real or
        complex, on any device; the result is of the same kind and precision. On spaces of other
        weights it would not be self-adjoint, and is a TypeError.

    Raises
    ------
    ValueError
        If the symbol is not real, positive and finite, or, for real images, not symmetric.

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> from odl_learned import solvers
    >>> X = odl.uniform_discr([0, 0], [8, 8], (8, 8))
    >>> symbol = 1 + solvers.periodic_laplacian((8, 8), X.cell_sides)
    >>> smooth = solvers.circulant(symbol)
    >>> u = odl.phantom.shepp_logan(X, modified=True)
    >>> D = odl.Gradient(X, method="forward", pad_mode="periodic")
    >>> v = smooth(u)
    >>> print((v + D.adjoint(D(v)) - u).norm() < 1e-12)  # it solves (I + grad* grad) v = u
    True
    """
    symbol = _inverse_symbol(symbol)
    axes = tuple(range(-symbol.ndim, 0))
    mirrored = np.roll(np.flip(symbol), 1, tuple(range(symbol.ndim)))
    is_real = np.allclose(symbol, mirrored, rtol=1e-5, atol=0)
    half = symbol[..., : symbol.shape[-1] // 2 + 1]

    def host(v):
        require(np.iscomplexobj(v))
        if np.iscomplexobj(v):
            return scipy.fft.ifftn(scipy.fft.fftn(v, axes=axes) * _like(symbol, v), axes=axes)
        values = scipy.fft.rfftn(v, axes=axes) * _like(half, v)
        return scipy.fft.irfftn(values, symbol.shape, axes=axes)

    def device(v, xp):
        require(xp.isdtype(v.dtype, "complex floating"))
        return _filtered(v, symbol, axes, xp)

    def require(is_complex):
        if not (is_real or is_complex):
            raise ValueError(
                "symbol is not symmetric, expected symbol[k] = symbol[-k] for real images, in the "
                "order of the FFT; a centered symbol needs numpy.fft.ifftshift."
            )

    return _on_images(host, device, symbol.shape)


def cosine(symbol: np.ndarray) -> Callable[[Image], Image]:
    r"""Return ``v -> C^-1 (C v / symbol)`` with the discrete cosine transform ``C`` (DCT-II).

    Inverts symmetric convolutions with reflecting boundary, for example
    ``1 + c * neumann_laplacian(shape)``.

    Parameters
    ----------
    symbol : numpy.ndarray of the shape of one image
        Real, positive and finite, in the order of the DCT.

    Returns
    -------
    precondition : callable
        For elements of ODL spaces of constant weight, arrays and tensors ``(..., *shape)``, real or
        complex, on any device; the result is of the same kind and precision. On spaces of other
        weights it would not be self-adjoint, and is a TypeError.

    Raises
    ------
    ValueError
        If the symbol is not real, positive and finite.
    """
    symbol = _inverse_symbol(symbol)
    shape, axes = symbol.shape, tuple(range(-symbol.ndim, 0))

    def host(v):
        values = scipy.fft.dctn(v, axes=axes, norm="ortho") * _like(symbol, v)
        return scipy.fft.idctn(values, axes=axes, norm="ortho")

    # The DCT-II is the Fourier transform of the image with its mirror image beside it, where
    # frequency k of the period 2n carries cosine k, and n carries nothing.
    folded = symbol
    for axis, n in enumerate(shape):
        k = np.arange(2 * n)
        folded = np.take(folded, np.minimum(np.minimum(k, 2 * n - k), n - 1), axis=axis)

    def device(v, xp):
        for axis in axes:
            v = xp.concat([v, xp.flip(v, axis=axis)], axis=axis)
        return _filtered(v, folded, axes, xp)[(..., *(slice(n) for n in shape))]

    return _on_images(host, device, shape)


def _inverse_symbol(symbol):
    values = np.asarray(symbol)
    if values.dtype.kind not in "iuf" or values.ndim == 0 or not values.size:
        raise ValueError(
            f"symbol has dtype {values.dtype} and shape {values.shape}, expected real numbers of "
            "the shape of an image."
        )
    if not (np.all(np.isfinite(values)) and np.all(values > 0)):
        raise ValueError(
            f"symbol has values from {values.min()} to {values.max()}, expected positive finite "
            "ones; add a positive constant, such as 1 + c * neumann_laplacian(shape)."
        )
    return 1 / values.astype(float)


def _on_images(host, device, shape):
    def apply(v):
        if hasattr(v, "space"):
            constant_weight("the space of v", v.space)
            return v.space.element(apply(v.data))
        if tuple(v.shape[-len(shape):]) != shape:  # fmt: skip
            raise ValueError(
                f"v has shape {tuple(v.shape)}, expected (..., {', '.join(map(str, shape))}) as "
                "the symbol."
            )
        xp, array = array_namespace(v), on_host(v)
        if array is None:
            return device(v, xp)
        if not math.prod(array.shape):
            return v
        return xp.asarray(host(array))

    return apply


def _like(symbol, v):
    single = v.dtype in (np.float32, np.complex64)
    return symbol.astype(np.float32) if single else symbol


def _filtered(v, symbol, axes, xp):
    is_complex = xp.isdtype(v.dtype, "complex floating")
    dtype = v.real.dtype if is_complex else v.dtype
    factor = xp.asarray(symbol, dtype=dtype, device=v.device)
    result = xp.fft.ifftn(xp.fft.fftn(v, axes=axes) * factor, axes=axes)
    return result if is_complex else result.real
