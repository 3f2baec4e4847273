r"""Layers of total deep variation, each computed in three ways.

A network whose only nonlinear parts are activations ``phi(a_l)``, entry by entry, has the Hessian

.. math:: R''(x) = \sum_l J_l^T \text{diag}\big( c_l \, \phi''(a_l) \big) J_l, \qquad
          J_l = a_l'(x), \quad c_l = \frac{\partial R}{\partial \phi(a_l)} .

The same layers act on images, on bounds of ``|J|`` (numbers), and on bounds of how large entries
can be made (one number for each channel), whose derivatives bound ``|c_l|``.
"""

import abc
import math

import torch
from torch import nn

from odl_learned.networks.boundaries import ROUNDING, Boundary
from odl_learned.networks.lipschitz import CORRELATE

TRANSPOSE = {1: nn.functional.conv_transpose1d, 2: nn.functional.conv_transpose2d,
             3: nn.functional.conv_transpose3d}  # fmt: skip
#: ``phi(t) = log(1 + nu t^2) / (2 nu)``, with ``|phi'| <= 1 / (2 sqrt(nu))`` and ``|phi''| <= 1``.
NU = 9.0
STEEPEST = 1 / (2 * math.sqrt(NU))


class Arithmetic(abc.ABC):
    """Abstract: what layers are computed with."""

    def __init__(self, boundary: Boundary):
        self.boundary = boundary

    @abc.abstractmethod
    def convolve(self, kernel, z, stride=1):
        """A convolution, every ``stride``-th output along each axis."""

    @abc.abstractmethod
    def expand(self, kernel, z, like):
        """The transpose of a convolution with stride 2, of the size of ``like``."""

    @abc.abstractmethod
    def activate(self, a):
        """phi."""


class OnImages(Arithmetic):
    """Channels ``(N, c, *shape)``."""

    def convolve(self, kernel, z, stride=1):
        padded = self.boundary(z, kernel.shape[2:])
        return CORRELATE[kernel.ndim - 2](padded, kernel, stride=stride)

    def expand(self, kernel, z, like):
        sizes, axes = kernel.shape[2:], kernel.ndim - 2
        # n outputs of stride 2 reach over 2 (n - 1) + s entries, of n' + s - 1 padded ones.
        missing = [m + s - 1 - (2 * (n - 1) + s)
                   for n, m, s in zip(z.shape[2:], like.shape[2:], sizes)]  # fmt: skip
        full = TRANSPOSE[axes](z, kernel, stride=2, output_padding=missing)
        return self.boundary.fold(full, sizes)

    def activate(self, a):
        return torch.log1p(NU * a.square()) / (2 * NU)


class OnNorms(Arithmetic):
    """Bounds of ``|J|``; those of arguments of phi are kept in ``steep``."""

    def __init__(self, boundary):
        super().__init__(boundary)
        self.steep = []

    def convolve(self, kernel, z, stride=1):
        square = float(self.boundary.largest_square(kernel.detach().double()))
        return math.sqrt(square) * (1 + ROUNDING) * z

    def expand(self, kernel, z, like):
        return self.convolve(kernel, z)

    def activate(self, a):
        self.steep.append(a)
        return STEEPEST * a


class OnSensitivities(Arithmetic):
    """The network with absolute values of weights; its derivatives bound those of R.

    Where an entry of one side reaches several of the other, the sums of ``|K|`` are taken over what
    one entry reaches: they are what derivatives are multiplied by on their way back.
    """

    def __init__(self, boundary):
        super().__init__(boundary)
        self.outputs = []

    def convolve(self, kernel, z, stride=1):
        return self.boundary.largest_sums(kernel.detach().double()) @ z

    def expand(self, kernel, z, like):
        return kernel.detach().double().abs().flatten(2).sum(2).T @ z

    def activate(self, a):
        self.outputs.append(STEEPEST * a)
        return self.outputs[-1]


def binomial(dimension: int) -> torch.Tensor:
    """Weights ``(1, 2, 1) / 4`` along each axis, against aliasing."""
    patch = torch.ones(())
    for _ in range(dimension):
        patch = patch[..., None] * torch.tensor([0.25, 0.5, 0.25])
    return patch


class MicroBlock(nn.Module):
    """``z -> z + K_2 phi(K_1 z)``."""

    def __init__(self, width, dimension, first, generator):
        super().__init__()
        self.first = nn.Parameter(_noise(width, width, dimension, 0.1, generator))
        self.second = nn.Parameter(_noise(width, width, dimension, 0.1, generator))
        if first:  # potentials of filter responses to begin with
            with torch.no_grad():
                for kernel in (self.first, self.second):
                    kernel += _impulses(width, dimension)

    def forward(self, on, z):
        return z + on.convolve(self.second, on.activate(on.convolve(self.first, z)))


class MacroBlock(nn.Module):
    """A network over several scales: down, up, and across where scales are the same."""

    def __init__(self, width, scales, dimension, first, generator):
        super().__init__()
        blocks, steps = [], range(scales - 1)

        def micro(first=False):
            blocks.append(MicroBlock(width, dimension, first, generator))
            return blocks[-1]

        self.down = nn.ModuleList(micro(first and k == 0) for k in range(scales))
        self.up = nn.ModuleList(micro() for _ in steps)
        self.coarser, self.finer = (
            nn.ParameterList(factor * (_impulses(width, dimension)
                                       + _noise(width, width, dimension, 0.1, generator))
                             for _ in steps) for factor in (1.0, 2.0**dimension))  # fmt: skip
        one = [1] * dimension
        self.mixes = nn.ParameterList(
            torch.cat([0.1 * torch.eye(width), torch.eye(width)], 1).reshape(width, -1, *one)
            for _ in steps)
        self.dimension, self.width = dimension, width

    def forward(self, on, z, before):
        """Return features at all scales, fine ones first, from those of the block before."""
        levels = []
        for k, block in enumerate(self.down):
            if k:
                z = on.convolve(self._blurred(self.coarser[k - 1]), levels[-1], stride=2)
            if k and before is not None:
                z = z + before[k]
            levels.append(block(on, z))
        found = [levels[-1]]
        for k in reversed(range(len(self.up))):
            w = self.width
            fine = on.expand(self._blurred(self.finer[k]), found[0], levels[k])
            z = (on.convolve(self.mixes[k][:, :w], fine)
                 + on.convolve(self.mixes[k][:, w:], levels[k]))  # fmt: skip
            found.insert(0, self.up[k](on, z))
        return found

    def _blurred(self, kernel):
        """A kernel of size three behind a binomial filter: one of size five."""
        flat = kernel.reshape(-1, 1, *kernel.shape[2:])
        blur = binomial(self.dimension).to(kernel).reshape(1, 1, *kernel.shape[2:])
        return TRANSPOSE[self.dimension](flat, blur).reshape(
            *kernel.shape[:2], *[5] * self.dimension)


def _noise(out, before, dimension, size, generator):
    shape = (out, before, *[3] * dimension)
    return size * torch.randn(shape, generator=generator) / math.sqrt(before * 3**dimension)


def _impulses(width, dimension):
    kernel = torch.zeros(width, width, *[3] * dimension)
    kernel[(slice(None), slice(None), *[1] * dimension)] = torch.eye(width)
    return kernel
