r"""How images go on beyond their boundary, and what that does to the norm of a convolution.

A kernel ``k`` of shape ``(out, in, s_1, ..., s_d)`` acts on channels by correlation,

.. math:: (K x)_o(i) = \sum_c \sum_t k_{oc}(t) \, x_c(i + t - s // 2),

which reads ``x`` outside of the image. Each boundary says how, pads accordingly, and bounds
``|K|^2`` from above by the largest eigenvalue of a Hermitian matrix over frequencies. With a shape
of images given, frequencies are those of a grid on which the bound holds; without one it holds for
images of every size: the entries of the matrix are trigonometric polynomials of degree ``s - 1``
along an axis, and of such a one the maximum is at most ``1 / cos(pi (s - 1) / N)`` times that on
``N > 2 (s - 1)`` points (Ehlich and Zeller, 1964).
"""

import abc
import itertools
import math

import torch
from torch import nn

#: Points of the grid per axis for images of every size, at least, by the number of axes.
GRID = {1: 256, 2: 32, 3: 16}
#: Share of the weight of a kernel that each of its parts counts at least for.
LEAST_PART = 1e-12
#: Relative rounding error of a bound in double precision: the transform of N points is off by
#: ``eps log2 N`` of the norm of the kernel, eigenvalues of c x c matrices by ``c eps`` of the
#: largest one, with c at most some hundreds.
ROUNDING = 2.0**-40


class Boundary(nn.Module, abc.ABC):
    """Abstract: a continuation of images with norms of convolutions."""

    @abc.abstractmethod
    def forward(self, x: torch.Tensor, sizes: tuple[int, ...]) -> torch.Tensor:
        """Return images ``(..., *shape)`` with ``s // 2`` entries before and the rest after."""

    @abc.abstractmethod
    def fold(self, x: torch.Tensor, sizes: tuple[int, ...]) -> torch.Tensor:
        """Return the transpose of the padding, ``(..., *shape)``."""

    @abc.abstractmethod
    def largest_square(
        self, kernel: torch.Tensor, shape: tuple[int, ...] | None = None
    ) -> torch.Tensor:
        """Return a bound of ``|K|^2``, differentiable, in double precision.

        It holds in exact arithmetic for the kernel as it is given; its own rounding is allowed for
        by the factor ``1 + ROUNDING``.

        Parameters
        ----------
        kernel : tensor ``(out, in, s_1, ..., s_d)``, real
        shape : tuple of int, optional
            Of the images; default: for images of every size.
        """

    def largest_sums(self, kernel: torch.Tensor) -> torch.Tensor:
        """Return how much one entry of a channel weighs in all outputs, at most: ``(out, in)``.

        The sum of ``|K|`` over the places that one entry of an input channel reaches in an output
        channel, whatever the size of the images: a bound of column sums.

        Parameters
        ----------
        kernel : tensor ``(out, in, s_1, ..., s_d)``, real
        """
        return kernel.abs().flatten(2).sum(2)


class Circular(Boundary):
    """Images repeat themselves; the bound is exact for images of a given shape.

    Examples
    --------
    >>> import torch
    >>> from odl_learned import networks
    >>> seed = torch.Generator().manual_seed(0)
    >>> x = torch.rand(1, 1, 6, 6, generator=seed)
    >>> for boundary in (networks.Circular(), networks.Zero(), networks.Inside()):
    ...     layer = networks.NormalizedConvolution(1, 1, 3, boundary, dimension=2, generator=seed)
    ...     y = layer(x)
    ...     print(tuple(y.shape), bool(y.norm() <= x.norm()))
    ...
    (1, 1, 6, 6) True
    (1, 1, 6, 6) True
    (1, 1, 4, 4) True
    """

    def forward(self, x: torch.Tensor, sizes: tuple[int, ...]) -> torch.Tensor:
        for axis, (before, after) in _paddings(x, sizes):
            n = x.shape[axis]
            x = torch.cat([x.narrow(axis, n - before, before), x, x.narrow(axis, 0, after)], axis)
        return x

    def fold(self, x: torch.Tensor, sizes: tuple[int, ...]) -> torch.Tensor:
        for axis, (before, after) in _folds(x, sizes):
            first, inner, last = _split(x, axis, before, after)
            x = inner + _placed(first, inner, axis, True) + _placed(last, inner, axis, False)
        return x

    def largest_square(
        self, kernel: torch.Tensor, shape: tuple[int, ...] | None = None
    ) -> torch.Tensor:
        grid, factor = _grid(kernel, shape)
        return factor * _largest_eigenvalue(_gram(symbols(kernel.double(), grid)))


class Zero(Boundary):
    """Images are zero outside: a part of a circular convolution on ``n + s - 1`` points."""

    def forward(self, x: torch.Tensor, sizes: tuple[int, ...]) -> torch.Tensor:
        for axis, (before, after) in _paddings(x, sizes):
            zeros = torch.zeros_like(x.narrow(axis, 0, 1))
            shape = [1] * x.ndim
            shape[axis] = before
            start = zeros.repeat(shape)
            shape[axis] = after
            x = torch.cat([start, x, zeros.repeat(shape)], axis)
        return x

    def fold(self, x: torch.Tensor, sizes: tuple[int, ...]) -> torch.Tensor:
        for axis, (before, after) in _folds(x, sizes):
            x = _split(x, axis, before, after)[1]
        return x

    def largest_square(
        self, kernel: torch.Tensor, shape: tuple[int, ...] | None = None
    ) -> torch.Tensor:
        if shape is not None:
            shape = tuple(n + s - 1 for n, s in zip(shape, kernel.shape[2:], strict=True))
        grid, factor = _grid(kernel, shape)
        return factor * _largest_eigenvalue(_gram(symbols(kernel.double(), grid)))


class Inside(Boundary):
    """Responses only where the filter is inside of the image: nothing is padded.

    They are some of those of the circular convolution, with a bound that is nearly attained.
    """

    def forward(self, x: torch.Tensor, sizes: tuple[int, ...]) -> torch.Tensor:
        for axis, size in zip(range(-len(sizes), 0), sizes):
            if x.shape[axis] < size:
                raise ValueError(f"the image has {x.shape[axis]} entries along axis {axis}, "
                                 f"expected at least {size} for a filter of {size}.")
        return x

    def fold(self, x: torch.Tensor, sizes: tuple[int, ...]) -> torch.Tensor:
        return x

    def largest_square(
        self, kernel: torch.Tensor, shape: tuple[int, ...] | None = None
    ) -> torch.Tensor:
        grid, factor = _grid(kernel, shape)
        return factor * _largest_eigenvalue(_gram(symbols(kernel.double(), grid)))


class Reflecting(Boundary):
    r"""Images go on as their mirror images, edge values repeated (Neumann).

    The kernel is the sum of ``2^d`` parts that are even or odd along each axis. An image is a sum
    of products of cosines; an even part leaves a cosine one and an odd part makes it a sine, and
    both systems are orthogonal, so that ``K_m^T K_m = C^T |k_m^|^2 C`` for each part ``m``, with
    the cosine transform ``C``. For the sum, by Cauchy and Schwarz in every output channel,

    .. math:: |K x|^2 \le \langle C x, \sum_m \hat k_m^* \text{diag}(1 / a_m) \hat k_m \, C x
              \rangle, \qquad \sum_m a_m = 1,

    with ``a_m`` in proportion to the norms of the parts. It is exact for one output channel whose
    filters have one part, such as those of differences and cosines.
    """

    def forward(self, x: torch.Tensor, sizes: tuple[int, ...]) -> torch.Tensor:
        for axis, (before, after) in _paddings(x, sizes):
            n = x.shape[axis]
            x = torch.cat([x.narrow(axis, 0, before).flip(axis), x,
                           x.narrow(axis, n - after, after).flip(axis)], axis)  # fmt: skip
        return x

    def fold(self, x: torch.Tensor, sizes: tuple[int, ...]) -> torch.Tensor:
        for axis, (before, after) in _folds(x, sizes):
            first, inner, last = _split(x, axis, before, after)
            x = (inner + _placed(first.flip(axis), inner, axis, False)
                 + _placed(last.flip(axis), inner, axis, True))  # fmt: skip
        return x

    def largest_square(
        self, kernel: torch.Tensor, shape: tuple[int, ...] | None = None
    ) -> torch.Tensor:
        if shape is not None:
            shape = tuple(2 * n for n in shape)
        kernel = _of_odd_sizes(kernel.double())
        grid, factor = _grid(kernel, shape)
        parts = _parts(kernel)
        squares = torch.stack([part.flatten(1).square().sum(1) for part in parts])
        total = squares.sum(0)
        sizes = (squares + LEAST_PART * total + torch.finfo(total.dtype).tiny).sqrt()
        gram = 0
        for part, share in zip(parts, sizes / sizes.sum(0), strict=True):
            column = share.sqrt().reshape(-1, *[1] * (kernel.ndim - 1))
            gram = gram + _gram(symbols(part / column, grid))
        return factor * _largest_eigenvalue(gram)

    def largest_sums(self, kernel: torch.Tensor) -> torch.Tensor:
        # Along an axis, output i reads entry j by the entry t of the kernel if i + t = j, or if its
        # mirror image -1 - j or 2 n - 1 - j is i + t. By -t < 0 it is read directly if j + t < n
        # and in the mirror if t > j; by t > 0 directly if t <= j and in the mirror if t >= n - j.
        # If both hold for one sign, none holds for the other: at most twice the larger of both.
        size = _of_odd_sizes(kernel).abs()
        for axis in range(2, kernel.ndim):
            size = torch.maximum(size, size.flip(axis))
        return size.flatten(2).sum(2)


def _paddings(x, sizes):
    """Axes with what is padded before and after them; an error if the image is too small."""
    for axis, size in zip(range(-len(sizes), 0), sizes):
        n, widths = x.shape[axis], (size // 2, size - 1 - size // 2)
        if max(widths) > n:
            raise ValueError(f"the image has {n} entries along axis {axis}, expected at least "
                             f"{max(widths)} for a filter of {size}; take a smaller filter.")
        yield axis, widths


def _folds(x, sizes):
    for axis, size in zip(range(-len(sizes), 0), sizes):
        yield axis, (size // 2, size - 1 - size // 2)


def _split(x, axis, before, after):
    return x.split([before, x.shape[axis] - before - after, after], dim=axis)


def _placed(part, like, axis, at_end):
    """A part among zeros, at the start or the end of an axis."""
    zeros = torch.zeros_like(like.narrow(axis, 0, like.shape[axis] - part.shape[axis]))
    return torch.cat([zeros, part] if at_end else [part, zeros], axis)


def _grid(kernel, shape):
    """Points per axis, and the factor by which a maximum on them may be too small."""
    sizes = kernel.shape[2:]
    if shape is not None:  # a multiple contains the points, and no filter is cut
        return tuple(n * -(-s // n) for n, s in zip(shape, sizes, strict=True)), 1.0
    grid = tuple(max(GRID[len(sizes)], 2 ** math.ceil(math.log2(8 * s))) for s in sizes)
    factor = math.prod(1 / math.cos(math.pi * (s - 1) / n) for s, n in zip(sizes, grid))
    return grid, factor


def symbols(kernel, grid):
    """Fourier transform ``(out, in, frequencies)``; a real kernel needs one half of them."""
    return torch.fft.rfftn(kernel, s=grid, dim=tuple(range(2, kernel.ndim))).flatten(2)


def _gram(symbols):
    """``S* S`` for every frequency, ``(frequencies, in, in)``."""
    return torch.einsum("oif,ojf->fij", symbols.conj(), symbols)


def _largest_eigenvalue(gram):
    if gram.shape[-1] == 1:
        return (1 + ROUNDING) * gram.real.amax()
    return (1 + ROUNDING) * torch.linalg.eigvalsh(gram)[:, -1].amax()


def _of_odd_sizes(kernel):
    """The kernel with zeros at the end of even axes, so that the center is in the middle."""
    pads = [pad for s in reversed(kernel.shape[2:]) for pad in (0, 1 - s % 2)]
    return nn.functional.pad(kernel, pads)


def _parts(kernel):
    """The parts that are even or odd along each axis; their sum is the kernel."""
    parts = []
    for signs in itertools.product((1, -1), repeat=kernel.ndim - 2):
        part = kernel
        for axis, sign in zip(range(2, kernel.ndim), signs):
            part = (part + sign * part.flip(axis)) / 2
        parts.append(part)
    return parts
