r"""How much second derivatives change on a ball, from intervals of a potential.

In ``R(x) = sum_j phi_nu(|(D x)_j|)`` no length ``|(D x)_j|`` changes by more than ``|D_j| e`` while
``x`` moves by ``e``. So the derivatives of the potential are needed on these intervals only, which
are short compared with ``nu`` where a bound can be useful at all; and where the image has an edge,
the third derivative, the cause of pessimistic bounds, is nearly zero.
"""

import math
from typing import NamedTuple

import torch

from odl_learned.dispatch import rules_by_class
from odl_learned.energies.coefficients.functions import evaluated
from odl_learned.energies.coefficients.slopes import coefficient_slopes, joined_norms
from odl_learned.energies.fidelities import real_products
from odl_learned.energies.hessian_variation import Variation
from odl_learned.energies.potentials.potential import (
    Charbonnier,
    CubicAbsolute,
    Potential,
    inverses,
)
from odl_learned.energies.samples import sample_norms
from odl_learned.energies.transforms.transform import group_squares


class BlockVariation(NamedTuple):
    r"""The same for ``R(x) = sum_j Phi((D x)_j)`` with parameters; see `block_variation`.

    Parameters
    ----------
    hessian, mean_hessian
        As in `Variation`, for the Hessian ``D^T A(D x) D`` of ``R``.
    curvature
        ``>= |d_x^2 R(x)|`` for all ``x`` of the ball.
    mixed
        ``>= |<d_x d_nu R(x) - d_x d_nu R(x~), q>|`` for the parameter ``nu`` of the potential.
    mixed_curvature
        ``>= |d_x d_nu d_x R(x)|`` for all ``x`` of the ball.
    """

    hessian: torch.Tensor
    mean_hessian: torch.Tensor
    curvature: torch.Tensor
    mixed: torch.Tensor
    mixed_curvature: torch.Tensor


class Interval(NamedTuple):
    """Bounds of derivatives of ``v -> phi_nu(|v|)`` where ``a <= |v| <= b``, entry by entry.

    ``curvature`` bounds ``d_v^2``, ``third`` is a Lipschitz constant of ``d_v^2``, ``mixed`` bounds
    ``d_nu d_v^2``, all as norms of forms; ``convexity`` bounds the eigenvalues of ``d_v^2`` from
    below.
    """

    curvature: torch.Tensor
    third: torch.Tensor
    mixed: torch.Tensor
    convexity: torch.Tensor


@rules_by_class(Potential, "value", "weight", "weight_and_curvature", "third_derivative")
def interval(potential, nu, a, b, scalar):
    r"""Return the `Interval` of a potential; the constants for all lengths, if it has no rule.

    Parameters
    ----------
    potential : Potential
        Other classes get a rule with ``interval.register``.
    nu : float
    a, b : tensor, ``0 <= a <= b``, in double precision
    scalar : bool
        Whether the argument is one real number, so that only radial derivatives exist.
    """
    constants = potential.constants(nu)
    return Interval(*(torch.full_like(a, c) for c in (
        constants.curvature, constants.third, constants.curvature_in_nu, 0.0)))  # fmt: skip


@interval.register
def _(potential: Charbonnier, nu, a, b, scalar):
    # With s^2 = t^2 + nu^2 and <v, c> = k t, |c| = 1, the third derivative along c has the modulus
    # |3 k t / s^3 - 3 (k t)^3 / s^5|, and the norm of a symmetric form is attained on a diagonal.
    # Its maximum over k is 3 t nu^2 / s^5 (k = 1) for 2 t^2 <= nu^2 or scalars, 2 / (sqrt 3 s^2)
    # beyond; both grow up to t = nu / 2 and fall from there.
    # d_nu d_v^2 is -nu (I / s^3 - 3 v v^T / s^5), with eigenvalues nu / s^3 and
    # nu (2 t^2 - nu^2) / s^5 in modulus; the ratio (2 t^2 - nu^2) / s^2 grows with t.
    t, square = torch.clamp(torch.full_like(a, nu / 2), a, b), nu * nu
    low, steep, high = ((u.square() + square).rsqrt() for u in (a, t, b))  # 1 / s
    third = 3 * t * square * steep.square().square() * steep
    if not scalar:
        beyond = (2 / math.sqrt(3)) * steep.square()
        third = torch.where(2 * t.square() <= square, third, beyond)
    ratio = (2 - 3 * (nu * high).square()).clamp_min(1.0)
    # The eigenvalues of d_v^2, nu^2 / s^3 along v and 1 / s across, fall with t.
    return Interval(low, third, nu * low * low.square() * ratio, square * high * high.square())


@interval.register
def _(potential: CubicAbsolute, nu, a, b, scalar):
    # Third derivative along c, <v, c> = k t: -(3 k - k^3) / nu^2 below nu, at most 2 / nu^2;
    # -3 k (1 - k^2) / t^2 above, at most 2 / (sqrt 3 t^2), which is less, and zero for scalars.
    # The eigenvalues of d_v^2 below, 2 (nu - t) / nu^2 along v and (2 nu - t) / nu^2 across, fall.
    # d_nu d_v^2 has the eigenvalues 2 (t - nu) / nu^3 and 2 (2 t - nu) / nu^3 below, zero above.
    above, (_, inverse_square) = a.clamp_min(nu), inverses(nu)
    inside, end = a < nu, b.clamp_max(nu)
    far = torch.zeros_like(a) if scalar else 2 / (math.sqrt(3) * above.square())
    slopes = torch.maximum(nu - a, torch.maximum((2 * a - nu).abs(), (2 * end - nu).abs()))
    return Interval(
        torch.where(inside, (2 - a / nu) / nu, 1 / above),
        torch.where(inside, torch.full_like(a, 2 * inverse_square), far),
        torch.where(inside, 2 * slopes * inverse_square / nu, 0.0),
        2 * (nu - end) * inverse_square,
    )


def ball_interval(potential, nu, v, block_norm, radius):
    """Return the `Interval` of the blocks of ``D x`` for all ``|x - x~| <= e``.

    Parameters
    ----------
    potential : Potential
    nu : float
    v : tensor ``(B, m, *shape)``
        ``D x~``, real or complex, with ``m`` components in every block.
    block_norm : float
        A bound of all ``|D_j|``, the norm of the rows of one block.
    radius : tensor ``(B,)``
        ``e``.

    Returns
    -------
    interval : Interval
        With tensors ``(B, 1, *shape)``.
    """
    scalar = v.shape[1] == 1 and not v.is_complex()
    size = block_lengths(v)
    rho = block_norm * radius.reshape(-1, *[1] * (v.ndim - 1))
    return interval(potential, float(nu), (size - rho).clamp_min(0), size + rho, scalar)


def block_variation(potential, nu, v, w, norm, block_norm, radius):
    r"""Bound the variation of ``R(x) = sum_j Phi((D x)_j)`` and its Hessian on balls.

    With ``rho = |D_j| e``, ``L_j`` and ``C_j`` bounds of the third and second derivative of the
    potential where ``| |v| - |v_j| | <= rho``, and ``w = D q``,

    .. math:: |(H(x) - H(\tilde x)) q| \le
        \min\Big(|D|^2 e \max_j L_j |w_j|,\;
        |D| \big(\textstyle\sum_j \min(L_j \rho, C_j)^2 |w_j|^2\big)^{1/2}\Big),

    and half of it for the mean, as far as it is linear in ``e``.

    Parameters
    ----------
    potential : Potential
        Convex, ``Phi(v) = phi_nu(|v|)``.
    nu : float
    v, w : tensor ``(B, m, *shape)``
        ``D x~`` and ``D q``, real or complex, with ``m`` components in every block.
    norm, block_norm : float
        Bounds of ``|D|`` and of all ``|D_j|``, the norm of the rows of one block.
    radius : tensor or array ``(B,)``
        ``e``.

    Returns
    -------
    variation : BlockVariation
    """
    e = torch.as_tensor(radius, dtype=torch.float64, device=v.device)
    curvature, third, mixed, _ = (part.flatten(1) for part in ball_interval(
        potential, nu, v, block_norm, e))  # fmt: skip
    w, rho = block_lengths(w).flatten(1), (block_norm * e)[:, None]
    linear = norm * e * torch.minimum(norm * (third * w).amax(1), block_norm * _root(third * w))
    capped = norm * _root(torch.minimum(third * rho, curvature) * w)
    return BlockVariation(
        torch.minimum(linear, capped), torch.minimum(linear / 2, capped),
        norm**2 * curvature.amax(1),
        norm * e * _root(mixed * w),
        norm**2 * mixed.amax(1),
    )  # fmt: skip


def variation_of(energy, x, params, data, radius, q):
    r"""Return the `Variation` of a `VariationEnergy` on the ball ``|z - x| <= e``.

    With coefficients ``c_k(theta)`` and derivatives ``m_k = <d_{c_k} d_x E, q>`` it is ``J^T q =
    sum_k m_k grad c_k``. Each ``m_k`` is bounded by itself: ``m_alpha`` changes by at most
    ``e (|H_R q| + mean)`` with the Hessian of the potential part, ``m_xi`` by ``e |q|``, ``m_nu``
    as in `block_variation`, and that of a weight by ``|(A q)_j| |(A d)_j|``.

    Parameters
    ----------
    energy : VariationEnergy
    x, q : tensor ``(B, *shape)``
    params : tensor ``(P,)``
        Every weight must be a nondecreasing function of every parameter there.
    data : tensor
    radius : tensor or array ``(B,)``

    Returns
    -------
    variation : Variation
    """
    c = evaluated(energy.coefficients, params)
    alpha, nu = float(c.alpha), float(c.nu)
    transform, potential = energy.transform, energy.potential
    e = torch.as_tensor(radius, dtype=torch.float64, device=x.device)
    p, w = transform.forward(x), transform.forward(q)
    block = block_variation(potential, nu, p, w, transform.norm, transform.group_norm, e)

    squares = real_products(p, p).sum(1)
    weight, bend = potential.weight_and_curvature(squares, nu)
    bent = bend * real_products(p, w).sum(1)
    second = sample_norms(transform.adjoint(weight[:, None] * w + bent[:, None] * p))
    first = sample_norms(transform.scaled_adjoint(weight, p))
    slope = potential.weight_slope(squares, nu)
    first_nu = alpha * sample_norms(transform.scaled_adjoint(slope, p))

    changes = torch.stack([e * (second + block.mean_hessian), alpha * block.mixed,
                           e * sample_norms(q)])  # fmt: skip
    sizes = torch.stack([first + e * block.curvature, first_nu + e * alpha * block.mixed_curvature,
                         sample_norms(x) + e])  # fmt: skip
    numbers, weights = coefficient_slopes(energy.coefficients, params)
    seen = energy.fidelity.forward(q).abs().to(torch.float64)
    residual = (energy.fidelity.forward(x) - data).abs().to(torch.float64)
    wide = e.reshape(-1, *[1] * (residual.ndim - 1))
    mixed = joined_norms(numbers, weights, changes, wide * seen)
    jacobian = joined_norms(numbers, weights, sizes, residual + wide)
    return Variation(alpha * block.hessian, alpha * block.mean_hessian, mixed, jacobian)


def block_lengths(v):
    """Return ``|v_j|`` of blocks along axis 1, ``(B, 1, *shape)`` in double precision."""
    v = v.to(torch.complex128 if v.is_complex() else torch.float64)
    return group_squares(v).sqrt()[:, None]


def _root(x):
    return torch.linalg.vector_norm(x, dim=1)
