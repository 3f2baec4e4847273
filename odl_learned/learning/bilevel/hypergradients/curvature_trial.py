r"""Second points in search of what refutes the other constants of hypergradient bounds.

``LA``, ``LB`` and ``B`` of ``curvature_constants``, and a ``variation_bound``, of energies without
formulas are claims, too. With ``x`` and ``z`` any two points and ``q`` a direction,

.. math:: |(H(x) - H(z)) q| \le L_A |x - z| |q|, \qquad |(J(x) - J(z))^T q| \le L_B |x - z| |q|,
          \qquad |J(x)^T q| \le B |q| .

Where the third derivative is large, ``d -> (H(x + h d) - H(x - h d)) d`` turns directions towards
it: the power method for symmetric tensors (L. De Lathauwer, B. De Moor, J. Vandewalle, SIAM J.
Matrix Anal. Appl. 21, 2000). One sample is tried, another one the next time.
"""

import math

import torch

from odl_learned.energies.hessian_variation import pencil_seen, variation
from odl_learned.energies.samples import sample_norms
from odl_learned.learning.bilevel.claims import EPS, MARGIN

STEPS = 4
LENGTHS = (1e-2, 1.0)


def try_curvature(f, x, q, number):
    """Compare the claims about second derivatives with pairs of points around ``x``.

    Parameters
    ----------
    f : CountedEnergy
    x, q : tensor ``(B, *shape)``, finite
        A reconstruction and its adjoint.
    number : int
        Of the trial, from 0.
    """
    constants = f.energy.curvature_constants(f.params)
    local = hasattr(f.energy, "variation_bound")
    if not (local or any(map(math.isfinite, constants))):
        return
    one = torch.tensor([number % len(x)], device=x.device)
    f, x, q = f.take(one).in_double(), _double(x[one]), _double(q[one])
    generator = torch.Generator().manual_seed(number)
    v = _unit(torch.randn(x.shape, dtype=x.dtype, generator=generator).to(x.device))
    here, size = f.linearize(x), float(sample_norms(x)[0]) or 1.0
    claims = dict(zip(("LA", "LB", "B"), constants, strict=True))
    for direction in (v, _unit(q)):
        image, doubt = _measured(here.mixed_adjoint, direction)
        _compare(f, "B", claims["B"], float(image.norm()) - doubt)
    for length in LENGTHS:
        h = length * size / math.sqrt(x.numel())
        d = v
        for _ in range(STEPS):
            d = _try_pair(f, claims, x, d, h)
        if local:
            _try_variation(f, here, x, _unit(q) if bool(q.any()) else v, d, h)


def _try_pair(f, claims, x, d, h):
    """Compare ``x + h d`` and ``x - h d`` along ``d``; return the direction of the change."""
    above, below = f.linearize(x + h * d), f.linearize(x - h * d)
    bent, doubt = _change(above.hessian, below.hessian, d)
    _compare(f, "LA", claims["LA"], (float(bent.norm()) - doubt) / (2 * h))
    moved, doubt = _change(above.mixed_adjoint, below.mixed_adjoint, d)
    _compare(f, "LB", claims["LB"], (float(moved.norm()) - doubt) / (2 * h))
    return _unit(bent) if float(bent.norm()) > 0 else d


def _try_variation(f, here, x, q, d, h):
    """Compare the `bounds.Variation` of a ball with a point on its boundary."""
    radius = torch.full((1,), h, dtype=torch.float64, device=x.device)
    claimed = variation(f.energy, x, f.params, f.data, radius, q)
    there = f.linearize(x + h * d)
    for name, (change, doubt) in {
        "hessian": _change(there.hessian, here.hessian, q),
        "mixed": _change(there.mixed_adjoint, here.mixed_adjoint, q),
        "jacobian": _measured(there.mixed_adjoint, q),
    }.items():
        _compare(f, f"{name} of the variation on a ball of radius {h:.3g}",
                 float(getattr(claimed, name)[0]), float(change.norm()) - doubt)  # fmt: skip
    _compare(f, f"pencil of the variation on a ball of radius {h:.3g}", float(claimed.pencil[0]),
             float(pencil_seen(here, there, h * d, q)[0]))  # fmt: skip


def _compare(f, name, claim, found):
    if found > claim * (1 + MARGIN):
        f.claims.refute("curvature", f"{name} of {type(f.energy).__name__} is {claim:.6g}, but "
                        f"points of a sample show {found:.6g} at least")  # fmt: skip


def _change(one, other, d):
    """The change of a product, and a bound of its rounding errors."""
    (first, doubt), (second, more) = _measured(one, d), _measured(other, d)
    return first - second, doubt + more


def _measured(product, d):
    """A product and its rounding errors: the model of energies, and what is measured."""
    image = product(d)
    again = 1.5 * product(d / 1.5)
    return image, float(64 * EPS * image.norm() + 4 * (again - image).norm())


def _double(x):
    return x.to(torch.complex128 if x.is_complex() else torch.float64)


def _unit(v):
    return v / max(float(v.norm()), 1e-300)
