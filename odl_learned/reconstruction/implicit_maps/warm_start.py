"""First points of minimizers that are computed again and again while parameters change."""

from collections import OrderedDict

import torch
from torch import nn

from odl_learned.reconstruction.tensor_maps import TensorMap, require_tensor_map
from odl_learned.validation import require_count


class WarmStart(nn.Module):
    r"""A first point in training: the solution for the same data, of the last time.

    Learning changes parameters by little between two visits of a sample, and so the minimizer:
    a few iterations from the last one follow it, where from the data alone there would have to be
    many, ``sqrt(L / mu)``. What they lead to is nearer to the minimizer with every visit.

    In training mode the images that a `RegularizedLeastSquares` finds are kept, by the bits of
    their data; in evaluation mode nothing is, and this is the first point for unknown data. So the
    pairs of training have to be the same in every epoch, without new noise. Images are not part of
    checkpoints: a training that goes on from one begins its first epoch as at the start.

    Parameters
    ----------
    initial : torch.nn.Module or callable
        Maps data ``(B, *Y.shape)`` to the first images ``(B, *X.shape)``, for unknown data.
    capacity : int, optional
        Images to keep; beyond it those are forgotten that were not needed for longest.

    Raises
    ------
    TypeError
        If ``initial`` is no map of tensors.
    ValueError
        If the capacity is no positive integer.

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import bridge, networks, reconstruction, regularizers
    >>> A = odl.IdentityOperator(odl.uniform_discr([0, 0], [4, 4], (4, 4)))
    >>> forward, adjoint = bridge.as_module(A), bridge.as_module(A.adjoint)
    >>> filters = regularizers.ComposedFilters((1, 4), 3, networks.Reflecting(), dimension=2)
    >>> ridge = regularizers.Ridge(filters, regularizers.LogCosh()).double()
    >>> start = reconstruction.WarmStart(adjoint, capacity=8)
    >>> model = reconstruction.RegularizedLeastSquares(
    ...     forward, adjoint, ridge, noise_level=0.5, norm=1.0, dimension=2, accuracy=1e-3,
    ...     maxiter=100, initial=start)
    >>> y = torch.rand(1, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    >>> first, again = model.train().solve(y), model.solve(y)  # as in two epochs of training
    >>> print(first.niter > 0, again.niter)
    [ True] [0]
    """

    def __init__(self, initial: TensorMap, capacity: int = 4096) -> None:
        super().__init__()
        require_tensor_map("initial", initial)
        require_count("capacity", capacity)
        self.initial, self.capacity = initial, capacity
        self._kept: OrderedDict[tuple, torch.Tensor] = OrderedDict()

    def forward(self, data: torch.Tensor) -> torch.Tensor:  # (B, *Y.shape) -> (B, *X.shape)
        x = self.initial(data)
        if not self.training or not self._kept:
            return x
        known = [self._kept.get(key) for key in _keys(data)]
        return torch.stack([first if last is None else last.to(first)
                            for first, last in zip(x, known, strict=True)])  # fmt: skip

    def keep(self, data: torch.Tensor, x: torch.Tensor) -> None:
        """Remember the images of data, in training mode.

        Parameters
        ----------
        data, x : tensors ``(B, *Y.shape)`` and ``(B, *X.shape)``
        """
        if not self.training:
            return
        for key, image in zip(_keys(data), x.detach(), strict=True):
            self._kept[key] = image.clone()
            self._kept.move_to_end(key)
        while len(self._kept) > self.capacity:
            self._kept.popitem(last=False)


def _keys(data):
    """The shape and the bits of every sample."""
    return [(sample.shape, hash(sample.numpy().tobytes())) for sample in data.detach().cpu()]
