r"""Split data: one part is reconstructed, the other one judges.

If the noise of the two parts is independent, what one part predicts of the other one is judged
without bias. A split is a function ``(data, generator) -> kept``, a boolean tensor that broadcasts
with the data; what is not kept is held out, so that the parts are disjoint and complete.
"""

from collections.abc import Callable
from typing import final

import torch

from odl_learned.learning.batch import Batch
from odl_learned.learning.losses import mean_squared_error, require_comparable
from odl_learned.learning.objective import Loss, Objective
from odl_learned.networks.layers import require_generator
from odl_learned.reconstruction.tensor_maps import TensorMap, require_tensor, require_tensor_map
from odl_learned.validation import is_finite_number, require_count, require_method, shown

#: Draws the mask of what is kept.
Split = Callable[[torch.Tensor, torch.Generator], torch.Tensor]


@final
class ViewSplit:
    """Every K-th view of a sinogram is held out, from a random first one.

    Parameters
    ----------
    parts : int
        K, at least 2. In each part, the views are as evenly distributed as in all.
    axis : int, optional
        That of the views, counted from the end; -2 for ``(*batch, views, detectors)``, and -3 for
        data of volumes, ``(*batch, views, bins, rows)``, which has to be said.

    Calling it raises a ValueError if there are fewer views than parts.
    """

    def __init__(self, parts: int, axis: int = -2) -> None:
        require_count("parts", parts, 2)
        if not isinstance(axis, int) or axis >= 0:
            raise ValueError(f"axis is {axis!r}, expected one counted from the end, e.g. -2.")
        self.parts, self.axis = int(parts), axis

    def __call__(self, data: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        require_generator(generator)
        require_tensor("data", data)
        views = data.shape[self.axis]
        if views < self.parts:
            raise ValueError(
                f"parts is {self.parts}, expected at most {views}, the number of views; "
                "split into fewer, or name their axis."
            )
        first = int(torch.randint(self.parts, (), generator=generator))
        kept = torch.arange(views, device=data.device) % self.parts != first
        return kept.reshape(-1, *[1] * (-1 - self.axis))


@final
class PointSplit:
    """A random part of the measured points is held out, the same for all samples and coils.

    Parameters
    ----------
    sampled : torch.Tensor of bool, shape ``mask.shape``
        The measured points; broadcasts with the data from behind.
    held_out : float, optional
        The part of them that is held out, between 0 and 1.

    Raises
    ------
    ValueError
        If none or all of the points would be held out, or the mask is not boolean.
    """

    def __init__(self, sampled: torch.Tensor, held_out: float = 0.4) -> None:
        if not isinstance(sampled, torch.Tensor) or sampled.dtype != torch.bool:
            raise ValueError(f"sampled is {sampled!r}, expected a tensor of bool, true where data "
                             "are measured; torch.from_numpy(mask).")
        if not (is_finite_number(held_out) and 0 < held_out < 1):
            raise ValueError(f"held_out is {held_out!r}, expected a number between 0 and 1.")
        require_tensor("sampled", sampled)
        self.sampled = sampled.cpu()
        self.points = self.sampled.flatten().nonzero()[:, 0]
        self.count = round(held_out * len(self.points))
        if not 0 < self.count < len(self.points):
            raise ValueError(
                f"held_out is {held_out}, which is {self.count} of {len(self.points)} measured "
                "points; expected at least one on either side."
            )

    def __call__(self, data: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        require_generator(generator)
        require_tensor("data", data)
        chosen = torch.randperm(len(self.points), generator=generator)[: self.count]
        kept = torch.ones(self.sampled.numel(), dtype=torch.bool)
        kept[self.points[chosen]] = False
        return kept.reshape(self.sampled.shape).to(data.device)


@final
class Noise2Inverse(Objective):
    r"""Reconstructions from some of the views predict that from the others.

    .. math:: loss\big(Phi(c_J M_J y), R(c_{J'} M_{J'} y)\big),

    where ``M_J`` keeps the views J, ``J'`` are all others, and ``c_J`` is the number of all views
    over that of J: a linear reconstruction R of a part then has the scale of the whole. The noise
    of the two sides is independent, so that the map cannot learn it. What is trained on parts is
    used on the whole, ``Phi(y)``, as in the paper, where ``Phi = N R`` with a network N.

    Parameters
    ----------
    reconstruct : torch.nn.Module or callable
        R, linear, ``(*batch, *Y.shape) -> (*batch, *X.shape)``, e.g. ``bridge.as_module`` of
        ``operators.fbp``.
    split : callable, optional
        ``(data, generator) -> kept``; `ViewSplit` is the strategy "X:1".
    loss : callable, optional
        ``(x, target) -> real tensor of shape ()``.

    Source: Hendriksen, Pelt, Batenburg, Noise2Inverse (2020).
    """

    def __init__(
        self, reconstruct: TensorMap, split: Split, loss: Loss = mean_squared_error
    ) -> None:
        require_tensor_map("reconstruct", reconstruct)
        require_method("split", split, "ViewSplit(4)", 2)
        require_method("loss", loss, "mean_squared_error", 2)
        self.reconstruct, self.split, self.loss = reconstruct, split, loss

    def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        kept = _kept(self.split, batch)
        share = float(kept.double().mean())
        x = batch.predict(model, batch.data * kept / share)
        return self.loss(x, self.reconstruct(batch.data * ~kept / (1 - share)))


def normalized_losses(simulated: torch.Tensor, data: torch.Tensor) -> torch.Tensor:
    r"""Return ``|u - v|_2 / |v|_2 + |u - v|_1 / |v|_1``, the mean over the first axis.

    Parameters
    ----------
    simulated, data : torch.Tensor, shape (batch, ...)
        u and v, real or complex; samples of v must not be zero.

    Source: Yaman et al. (2020).

    Examples
    --------
    >>> import torch
    >>> from odl_learned.learning import objectives
    >>> y = torch.tensor([[3.0, 4.0]])
    >>> print(objectives.normalized_losses(0 * y, y), objectives.normalized_losses(y, y))
    tensor(2.) tensor(0.)
    """
    require_comparable("simulated", simulated, "data", data)
    if not (data.is_floating_point() or data.is_complex()):
        raise TypeError(f"data has dtype {data.dtype}, expected floats; convert them by "
                        ".float().")
    u, v = simulated.flatten(1), data.flatten(1)
    norms = (torch.linalg.vector_norm(u - v, p, dim=1) / torch.linalg.vector_norm(v, p, dim=1)
             for p in (2, 1))  # fmt: skip
    return sum(norms).mean()


def _masked(model, data, kept):
    return model(data * kept)


def _kept(split, batch):
    kept = split(batch.data, batch.generator)
    if not isinstance(kept, torch.Tensor) or kept.dtype != torch.bool:
        raise TypeError(f"split(data, generator) is {shown(kept)}, expected a tensor of bool, true "
                        "where data are kept.")
    return kept


@final
class SelfSupervisedSplit(Objective):
    r"""Some of the measured points predict the others (SSDU).

    .. math:: loss\big(M_\Lambda A Phi(M_\Theta y), M_\Lambda y\big),

    with the kept points Theta and those held out, Lambda, drawn anew for every batch.

    Parameters
    ----------
    forward : torch.nn.Module or callable
        The operator A, whose range has an entry for every point of the data.
    split : callable
        ``(data, generator) -> kept``, e.g. `PointSplit`.
    loss : callable, optional
        ``(simulated, data) -> real tensor of shape ()``; the default is that of the paper.
    restricted : callable, optional
        ``(model, data, kept) -> images`` evaluates the model on the kept data; the default is
        ``model(kept * data)``. A model that compares with the data inside, such as an unrolled one,
        would take zeros for measurements there: make it of ``reconstruction.KeptRows`` and pass
        ``rows.restricted``, which restricts its operator, too.

    Source: Yaman et al., Self-supervised learning of physics-guided reconstruction (2020).

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import bridge, learning
    >>> from odl_learned.learning import objectives
    >>> forward = bridge.as_module(odl.IdentityOperator(odl.rn(6)))
    >>> split = objectives.PointSplit(torch.ones(6, dtype=torch.bool), 0.5)
    >>> objective = objectives.SelfSupervisedSplit(forward, split)
    >>> y = torch.ones(1, 6, dtype=torch.float64)
    >>> batch = learning.Batch(y, None, torch.Generator().manual_seed(0), "in step 1")
    >>> print(objective(torch.nn.Identity(), batch))  # what is held out is not predicted
    tensor(2., dtype=torch.float64)
    """

    def __init__(
        self,
        forward: TensorMap,
        split: Split,
        loss: Loss = normalized_losses,
        restricted: Callable[
            [TensorMap, torch.Tensor, torch.Tensor], torch.Tensor
        ] = _masked,
    ) -> None:
        require_tensor_map("forward", forward)
        require_method("split", split, "PointSplit(sampled)", 2)
        require_method("loss", loss, "mean_squared_error", 2)
        require_method("restricted", restricted, "KeptRows().restricted", 3)
        self.forward_op, self.split, self.restricted = forward, split, restricted
        self.loss = loss

    def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        kept = _kept(self.split, batch)
        x = batch.predict(lambda data: self.restricted(model, data, kept), batch.data)
        return self.loss(self.forward_op(x) * ~kept, batch.data * ~kept)
