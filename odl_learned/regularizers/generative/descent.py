"""Descent in latent vectors: quasi-Newton with backtracking, each sample of a batch by itself."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from odl_learned.validation import require_count, require_nonnegative, shown

#: Sufficient decrease of Armijo, and the largest number of halvings of a step.
SUFFICIENT, HALVINGS = 1e-4, 30


class Descent(NamedTuple):
    """Where a descent ends, per sample.

    Parameters
    ----------
    z : torch.Tensor, shape (N, latent)
    value : torch.Tensor, shape (N,)
        Never larger than at the start.
    start, slope : torch.Tensor, shape (N,)
        Norms of the gradient at the start and at the end.
    niter : array of int, shape (N,)
    reason : array of str, shape (N,)
        ``"accuracy"``, ``"maxiter"`` or ``"rounding"``: no step along the last direction decreased
        the value, in this precision.
    inverse : torch.Tensor, shape (N, latent, latent)
        H, with which a descent of a similar function may start.
    """

    z: torch.Tensor
    value: torch.Tensor
    start: torch.Tensor
    slope: torch.Tensor
    niter: np.ndarray
    reason: np.ndarray
    inverse: torch.Tensor


def latent_descent(
    objective: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    z: torch.Tensor,
    *,
    accuracy: float,
    maxiter: int,
    inverse: torch.Tensor | None = None,
) -> Descent:
    r"""Decrease a smooth function of latent vectors until its gradient is small.

    .. math:: z^{k+1} = z^k - t_k H_k g^k, \qquad g^k = \nabla \varphi(z^k), \qquad
              \varphi(z^{k+1}) \le \varphi(z^k) - c \, t_k \langle H_k g^k, g^k \rangle

    with ``t_k`` = 1, 1/2, 1/4 ... and the matrices H of Broyden, Fletcher, Goldfarb and Shanno,
    which stay positive definite: an update with negative curvature is left out. So values never
    increase. The function need not be convex; what is found is a stationary point near the start.

    Parameters
    ----------
    objective : callable
        ``(z, index) -> values``, the values ``(n,)`` at latent vectors ``(n, latent)`` of the
        samples ``index``, in double precision, differentiable by autograd; samples stay apart.
    z : torch.Tensor, shape (N, latent)
        Where to start, not changed.
    accuracy : float
        Norm of the gradient at which a sample stops, nonnegative.
    maxiter : int
        Largest number of steps.
    inverse : torch.Tensor, shape (N, latent, latent), optional
        H to start with, symmetric positive definite, such as that of a descent before, for a
        function that has changed a little: it saves steps and backtracking. By default a multiple
        of the identity, scaled by the first step.

    Returns
    -------
    descent : Descent

    Raises
    ------
    FloatingPointError
        If the objective is not finite at the start.
    ValueError
        If a number is out of range.

    Source: Nocedal, Wright, Numerical optimization (2006), algorithms 3.1 and 6.1.
    """
    require_nonnegative("accuracy", accuracy)
    require_count("maxiter", maxiter, 0)
    z = z.detach().double().clone()
    count, latent = z.shape
    value, slope = _evaluated(objective, z, torch.arange(count, device=z.device))
    if not bool(torch.isfinite(value).all()):
        raise FloatingPointError("the objective of latent vectors is not finite at the start; "
                                 "expected numbers. Start nearer to zero, such as from an encoder.")
    first = slope.norm(dim=1)
    fresh = torch.full((count,), inverse is None, device=z.device)
    identity = torch.eye(latent, dtype=torch.float64, device=z.device)
    inverse = (identity / first.clamp_min(1)[:, None, None] if inverse is None
               else inverse.clone())  # fmt: skip
    niter, reason = np.zeros(count, int), np.full(count, "maxiter", dtype=object)
    active = torch.arange(count, device=z.device)
    for _ in range(maxiter):
        active = active[slope[active].norm(dim=1) > accuracy]
        if not len(active):
            break
        direction = -(inverse[active] @ slope[active][:, :, None])[:, :, 0]
        decrease = (direction * slope[active]).sum(1)
        new, new_value, new_slope, found = _searched(
            objective, z[active], value[active], direction, decrease, active)
        reason[active[~found].cpu().numpy()] = "rounding"
        active, new, new_value, new_slope = (v[found] for v in (active, new, new_value, new_slope))
        if not len(active):
            break
        niter[active.cpu().numpy()] += 1
        step, change = new - z[active], new_slope - slope[active]
        inverse[active], fresh[active] = _updated(inverse[active], step, change, fresh[active])
        z[active], value[active], slope[active] = new, new_value, new_slope
    reason[(slope.norm(dim=1) <= accuracy).cpu().numpy()] = "accuracy"
    return Descent(z, value, first, slope.norm(dim=1), niter, reason, inverse)


def require_start(start: torch.Tensor, count: int, latent: int) -> None:
    """Raise unless the start has a latent vector for each sample."""
    if not isinstance(start, torch.Tensor) or tuple(start.shape) != (count, latent) or (
            start.is_complex()):  # fmt: skip
        given = ((start.dtype, tuple(start.shape)) if isinstance(start, torch.Tensor)
                 else shown(start))  # fmt: skip
        raise ValueError(f"start is {given}, expected a real tensor of shape {(count, latent)}, "
                         "a latent vector for each sample, such as encoder_start or prior_samples.")


def _searched(objective, z, value, direction, decrease, index):
    """Backtracking, each sample by itself: points, values, gradients, and whether one was found."""
    new, new_value, new_slope = z.clone(), value.clone(), torch.zeros_like(z)
    pending, length = torch.arange(len(z), device=z.device), 1.0
    for _ in range(HALVINGS):
        trial = z[pending] + length * direction[pending]
        trial_value, trial_slope = _evaluated(objective, trial, index[pending])
        good = trial_value <= value[pending] + SUFFICIENT * length * decrease[pending]
        kept = pending[good]
        new[kept], new_value[kept], new_slope[kept] = (
            trial[good], trial_value[good], trial_slope[good])
        pending, length = pending[~good], length / 2
        if not len(pending):
            break
    found = torch.ones(len(z), dtype=torch.bool, device=z.device)
    found[pending] = False
    return new, new_value, new_slope, found


def _updated(inverse, step, change, fresh):
    """The update of Broyden, Fletcher, Goldfarb, Shanno where the curvature is positive."""
    curvature = (step * change).sum(1)
    good = curvature > 1e-10 * step.norm(dim=1) * change.norm(dim=1)
    safe = torch.where(good, curvature, 1.0)[:, None, None]
    scale = (safe / change.square().sum(1).clamp_min(1e-300)[:, None, None])
    identity = torch.eye(step.shape[1], dtype=step.dtype, device=step.device)
    start = torch.where((fresh & good)[:, None, None], scale * identity, inverse)
    s, y = step[:, :, None], change[:, :, None]
    left = identity - s @ y.mT / safe
    updated = left @ start @ left.mT + s @ s.mT / safe
    return torch.where(good[:, None, None], updated, inverse), fresh & ~good


def _evaluated(objective, z, index):
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        value = objective(z, index)
        (slope,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), slope
