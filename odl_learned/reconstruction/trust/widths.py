"""Where a band is wide: guesses of errors, which need not be right for the band to be.

A width is a function of data ``(N, *Y.shape)`` and images ``(N, *X.shape)``, to positive tensors of
the shape of the images. Coverage holds for every one of them; a better guess has narrower bands.
"""

import functools
from collections.abc import Callable

import odl
import torch
from torch import nn

from odl_learned.bridge.learned.separation import evaluation_mode
from odl_learned.bridge.lowering import as_module
from odl_learned.operators import gradient
from odl_learned.validation import require_count, require_method, require_positive, shown

#: A function of data and images.
Width = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def edge_width(space: odl.DiscretizedSpace, floor: float) -> Width:
    r"""Return a width that is large at edges, ``w = (|grad u|^2 + floor^2)^{1/2}``.

    Parameters
    ----------
    space : odl.DiscretizedSpace
        X, a ``uniform_discr`` space; the gradient is that of total variation.
    floor : float
        Positive, in intensity over length.

    Returns
    -------
    width : callable

    Raises
    ------
    TypeError, ValueError
        If the space has no grid, or floor is not positive.
    """
    require_positive("floor", floor)
    return functools.partial(_edge_width, as_module(gradient(space)), floor, -1 - space.ndim)


def network_width(net: nn.Module, floor: float) -> Width:
    """Return a width that a network guesses, ``w = |N(u)| + floor``.

    Train the network on images that are not used for calibration, to give ``|x - u|`` from u, by
    `learning.train`: the mean squared error gives means of the errors, the mean absolute one
    medians.

    Parameters
    ----------
    net : torch.nn.Module
        On tensors ``(*batch, *X.shape)``.
    floor : float
        Positive, in the units of images.

    Returns
    -------
    width : callable

    Raises
    ------
    TypeError, ValueError
        If they are something else.
    """
    if not isinstance(net, nn.Module):
        raise TypeError(f"net is {shown(net)}, expected a torch module on images.")
    require_positive("floor", floor)
    return functools.partial(_network_width, net, floor)


def sample_deviation(
    sample: Callable[[torch.Tensor], torch.Tensor], count: int, floor: float
) -> Width:
    r"""Return a width that is large where samples differ from the image: their root mean square.

    .. math:: w = \Big( \frac{1}{K} \sum_{k=1}^K |u_k - u|^2 \Big)^{1/2} + \text{floor}

    Parameters
    ----------
    sample : callable
        From data ``(N, *Y.shape)`` to random images ``(N, *X.shape)``, other ones at every call,
        such as posterior samples.
    count : int
        K, at least 1.
    floor : float
        Positive, in the units of images.

    Returns
    -------
    width : callable

    Raises
    ------
    TypeError, ValueError
        If they are something else.
    """
    require_method("sample", sample, "lambda data: draw(data)", 1)
    require_count("count", count)
    require_positive("floor", floor)
    return functools.partial(_sample_deviation, sample, count, floor)


def _edge_width(grad, floor, axis, data, images):
    return (grad(images).abs().square().sum(axis) + floor**2).sqrt()


def _network_width(net, floor, data, images):
    with evaluation_mode(net):
        return net(images).abs() + floor


def _sample_deviation(sample, count, floor, data, images):
    squares = sum((sample(data) - images).abs().square() for _ in range(count))
    return (squares / count).sqrt() + floor
