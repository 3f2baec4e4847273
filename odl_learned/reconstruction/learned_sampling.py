"""Sampling patterns as parameters of a network: binary in use, differentiable in training."""

import numpy as np
import torch
from torch import nn

from odl_learned.networks.layers import require_generator
from odl_learned.validation import require_count, require_image_shape, require_positive, shown


class LearnedSampling(nn.Module):
    r"""A binary sampling pattern of a fixed rate with learned scores.

    .. math:: s_m = \begin{cases} 1 & t_m \text{ is one of the } K \text{ largest scores,} \\
              0 & \text{otherwise,} \end{cases} \qquad
              \frac{\partial s_m}{\partial t_m} := \sigma'(\beta (t_m - c)) \, \beta,

    one score ``t_m`` for each member, a line or a point. Backwards, the step is taken for a sigmoid
    of slope beta at the threshold c, halfway between the last score that is kept and the first that
    is not (straight-through estimator). Lines that are not measured have derivatives, too, as full
    data are there in training. Exactly K members are kept at any time, so that the rate needs no
    penalty. More of any member is better, so that scores grow, and how fast tells what a member is
    worth: learn them by gradient descent, or by Adam with an ``eps`` above their derivatives, such
    as 1e-2. With its default Adam moves all of them at one rate, and the pattern drifts.

    Parameters
    ----------
    members : int array, shape of the mask
        The number of the member of each frequency, from zero on without gaps, centered as
        `operators.SampledFourier` counts; made by `sampling_lines` or `sampling_points`.
    kept : int
        K, at least 1 and fewer than there are members.
    slope : float, optional
        beta, positive: scores within a few ``1 / beta`` of the threshold learn.
    fixed : bool array, shape (members,), optional
        Members that are always measured, such as the center; they count among the K.
    generator : torch.Generator, optional
        Of the first scores, uniform in ``[-1, 1] / slope``; the default is torch's own.

    Called without arguments, it returns the weights s of the shape of the mask, zeros and ones.

    Raises
    ------
    ValueError
        If members are not numbered without gaps, or a number is out of bounds.

    Source: Bahadir, Wang, Dalca, Sabuncu, Deep-learning-based optimization of the under-sampling
    pattern in MRI (2020), there with probabilities; Wang et al., B-spline parameterized joint
    optimization of reconstruction and k-space trajectories (2021), for learning both together;
    Bengio, Leonard, Courville (2013) for the estimator.
    """

    members: torch.Tensor
    fixed: torch.Tensor

    def __init__(
        self,
        members: np.ndarray | torch.Tensor,
        kept: int,
        *,
        slope: float = 5.0,
        fixed: np.ndarray | torch.Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        members = np.asarray(members)
        if members.dtype.kind not in "iu" or not members.size or members.min() < 0 or not np.all(
                np.bincount(members.ravel())):  # fmt: skip
            raise ValueError(f"members is {shown(members)}, expected whole numbers from zero on "
                             "without gaps; use sampling_lines(shape) or sampling_points(shape).")
        size = int(members.max()) + 1
        require_count("kept", kept)
        require_positive("slope", slope)
        if not kept < size:
            raise ValueError(f"kept is {kept}, expected fewer than {size}, the number of members.")
        require_generator(generator)
        fixed = np.zeros(size, dtype=bool) if fixed is None else np.asarray(fixed)
        if fixed.dtype != bool or fixed.shape != (size,) or np.count_nonzero(fixed) >= kept:
            raise ValueError(f"fixed has shape {fixed.shape} and dtype {fixed.dtype}, expected bool"
                             f" of shape ({size},) with fewer than {kept} true entries.")
        self.kept, self.slope = int(kept), float(slope)
        self.register_buffer("members", torch.as_tensor(members.astype(np.int64)))
        self.register_buffer("fixed", torch.as_tensor(fixed))
        self.scores = nn.Parameter((2 * torch.rand(size, generator=generator) - 1) / slope)

    @property
    def chosen(self) -> torch.Tensor:
        """The members that are measured, a boolean tensor with K true entries."""
        scores = self.scores.detach().masked_fill(self.fixed, torch.inf)
        chosen = torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
        chosen[torch.argsort(scores, descending=True, stable=True)[: self.kept]] = True
        return chosen

    def mask(self) -> np.ndarray:
        """Return the pattern as a boolean array for `SampledFourier` and `MultiCoilFourier`."""
        return self.chosen[self.members].cpu().numpy()

    def forward(self) -> torch.Tensor:  # () -> shape of the mask
        chosen, scores = self.chosen, self.scores
        last = torch.where(chosen & ~self.fixed, scores.detach(), torch.inf).min()
        first = torch.where(chosen, -torch.inf, scores.detach()).max()
        soft = torch.sigmoid(self.slope * (scores - (last + first) / 2))
        soft = torch.where(self.fixed, soft.detach(), soft)
        return (chosen.to(scores.dtype) + (soft - soft.detach()))[self.members]


def sampling_lines(shape: tuple[int, ...], axis: int = 0) -> np.ndarray:
    """Return the members of lines; ``axis`` is the undersampled one, as in `data.cartesian_mask`.

    Raises
    ------
    TypeError
        If the shape is no tuple.
    ValueError
        If the shape has no such axis, or is not one of positive whole numbers.
    """
    shape = require_image_shape(shape)
    if not (isinstance(axis, int) and -len(shape) <= axis < len(shape)):
        raise ValueError(f"axis is {axis!r}, expected an axis of the shape {shape}.")
    return np.indices(shape)[axis]


def sampling_points(shape: tuple[int, ...]) -> np.ndarray:
    """Return the members of single frequencies.

    Raises
    ------
    TypeError
        If the shape is no tuple.
    ValueError
        If it is not one of positive whole numbers.

    Examples
    --------
    >>> from odl_learned import reconstruction
    >>> print(reconstruction.sampling_points((2, 3)))
    [[0 1 2]
     [3 4 5]]
    """
    shape = require_image_shape(shape)
    return np.arange(int(np.prod(shape))).reshape(shape)
