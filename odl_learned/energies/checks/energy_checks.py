"""What a parametric energy claims against what it computes, for users of their own energies."""


import numpy as np
import torch

from odl_learned.energies.checks.energy_constant_checks import (
    check_constants,
    check_curvature_constants,
    check_variation,
)
from odl_learned.energies.checks.energy_point import EnergyPoint, require, require_arguments
from odl_learned.energies.energy import Data, ParametricEnergy
from odl_learned.energies.fixed_energy import take
from odl_learned.energies.samples import sample_inner, sample_norms
from odl_learned.validation import require_positive, require_rng

LEVELS, TRIALS = 4, 4
EXACT = 1e-9


def check_energy(
    energy: ParametricEnergy,
    x: torch.Tensor,
    params: torch.Tensor,
    data: Data | None,
    rng: np.random.Generator,
    tolerance: float = 1e-5,
    step: float = 1e-2,
) -> None:
    r"""Check all derivatives and constants of an energy at a point.

    With random directions ``v, w, q`` and ``d``, and ``D_h f`` the central difference quotient of
    ``f``, extrapolated to ``h = 0``:

    .. math:: D_h E(x + h v) = \langle \nabla E, v \rangle, \qquad
              D_h \nabla E(x + h v) = H v, \qquad
              D_h \langle \nabla E(x, \theta + h d), q \rangle = \langle J^T q, d \rangle,

    ``H`` and the preconditioner are symmetric, the preconditioner is positive definite, and
    ``mu |x - z|^2 <= <grad E(x) - grad E(z), x - z>`` and ``|grad E(x) - grad E(z)| <= L |x - z|``
    hold for random ``z`` and along the extreme eigenvectors of ``H``, at ``x`` and at zero; so do
    the `ParametricEnergy.curvature_constants` that are finite, and on two balls the
    `bounds.Variation`, with ``variation_bound`` where the energy has this method. A sample has the
    same values whatever the others are, and alone.

    Parameters
    ----------
    energy : ParametricEnergy
    x : tensor ``(B, *shape)``
        In double precision, real or complex, at least two samples.
    params : tensor ``(P,)``
        In double precision, where a neighborhood of size ``step`` is admissible.
    data : tensor or tuple of tensors, first axis ``B``
    rng : numpy.random.Generator
    tolerance : float, optional
        Of derivatives, relative to their size.
    step : float, optional
        The largest ``h``, for directions with entries of about one; smaller ones follow.

    Raises
    ------
    AssertionError
        If a claim is wrong: names it, both numbers, and the sample.
    TypeError, ValueError
        If arguments are not as described, or the energy is not strongly convex.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from odl_learned import energies
    >>> square = energies.AutogradEnergy(
    ...     lambda x, p, y: p[0] * ((x - y) ** 2).sum(-1), lipschitz=lambda p: 2 * float(p[0]),
    ...     strong_convexity=lambda p: 2 * float(p[0]))
    >>> x = torch.rand(2, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> params, rng = torch.ones(1, dtype=torch.float64), np.random.default_rng(0)
    >>> energies.check_energy(square, x, params, 2 * x, rng)  # no error: all claims hold
    """
    require_arguments(energy, x, params, data)
    require_rng(rng)
    require_positive("tolerance", tolerance)
    require_positive("step", step)
    at = EnergyPoint(energy, x.detach(), params.detach(), data, rng)
    _check_shapes(at)
    _check_derivatives(at, tolerance, step)
    _check_products(at)
    for point in (at.x, torch.zeros_like(at.x)):
        check_constants(at, point)
    check_curvature_constants(at)
    check_variation(at)
    _check_samples(at)


def _check_shapes(at):
    value, slope = at.energy.value(at.x, at.params, at.data), at.gradient(at.x)
    v = at.direction()
    found = {
        "value": (value, (len(at.x),)), "gradient": (slope, at.x.shape),
        "linearize(...).gradient": (at.linear.gradient, at.x.shape),
        "linearize(...).hessian(v)": (at.linear.hessian(v), at.x.shape),
        "linearize(...).mixed_adjoint(q)": (at.linear.mixed_adjoint(v), at.params.shape),
        "linearize(...).precondition(v)": (at.linear.precondition(v), at.x.shape),
    }  # fmt: skip
    for name, (tensor, shape) in found.items():
        require(tuple(tensor.shape) == tuple(shape) and not tensor.requires_grad, at,
                f"{name} has shape {tuple(tensor.shape)}"
                f"{' and a graph' if tensor.requires_grad else ''}",
                f"{tuple(shape)} without a graph")  # fmt: skip
        require(bool(torch.isfinite(tensor).all()), at, f"{name} is not finite", "finite numbers")
    _close(at, "linearize(...).gradient", at.linear.gradient, slope, EXACT, "gradient")


def _check_derivatives(at, tolerance, step):
    energy, v, q, d = at.energy, at.direction(), at.direction(), at.direction(at.params)
    linear, slope = at.linear, at.gradient(at.x)

    def along_params(h):
        return sample_inner(q, energy.gradient(at.x, at.params + h * d, at.data)).sum()[None]

    def along(function):
        return lambda h: function(at.x + h * v)

    for name, computed, function, size in (
        ("<gradient, v>", sample_inner(slope, v),
         along(lambda x: energy.value(x, at.params, at.data)),
         sample_norms(slope) * sample_norms(v)),
        ("hessian(v)", linear.hessian(v), along(at.gradient), sample_norms(linear.hessian(v))),
        ("<mixed_adjoint(q), d>", (linear.mixed_adjoint(q) @ d)[None], along_params,
         (linear.mixed_adjoint(q).norm() * d.norm())[None]),
    ):  # fmt: skip
        _compare(at, name, computed, function, size, tolerance, step)


def _compare(at, name, computed, function, size, tolerance, step):
    """Compare a derivative with extrapolated quotients, each sample relative to its size."""
    def quotient(h):
        return (function(h) - function(-h)) / (2 * h)

    trials = (_extrapolated(quotient, step / 8**k) for k in range(TRIALS))
    best, doubt = min(trials, key=lambda found: float(found[1].max()))
    scale = torch.maximum(size, _lengths(best)).clamp_min(1e-300)
    error = _lengths(computed - best)
    k = int((error / scale).argmax())
    if error[k] <= tolerance * scale[k] + doubt[k]:
        require(float(doubt[k]) <= 1e2 * tolerance * float(scale[k]), at,
                f"differences for {name} have a relative error of {float(doubt[k] / scale[k]):.2g}",
                f"at most {1e2 * tolerance:.2g}; pass a smaller step")  # fmt: skip
        return
    computed, best = (float(_lengths(part)[k]) if part.ndim > 1 else float(part[k])
                      for part in (computed, best))  # fmt: skip
    require(False, at, f"{name} is {computed:.10g}, or of this length, in sample {k}",
            f"{best:.10g} by differences (their distance relative to the size is "
            f"{float(error[k] / scale[k]):.2g}, tolerance {tolerance:g})")  # fmt: skip


def _check_products(at):
    v, w = at.direction(), at.direction()
    products = [("hessian", at.linear.hessian), ("precondition", at.linear.precondition)]
    if at.energy.follows_dual:
        _, state = at.energy.linearize_from(at.x + 0.1 * v, at.params, at.data, None)
        followed, _ = at.energy.linearize_from(at.x, at.params, at.data, state)
        products.append(("hessian of linearize_from", followed.hessian))
        _close(at, "gradient of linearize_from", followed.gradient, at.gradient(at.x), EXACT,
               "gradient")  # fmt: skip
    for name, product in products:
        image, other = product(v), product(w)
        a, b = sample_inner(image, w), sample_inner(v, other)
        size = sample_norms(image) * sample_norms(w) + sample_norms(v) * sample_norms(other)
        k = int(((a - b).abs() / size.clamp_min(1e-300)).argmax())
        require(abs(float(a[k] - b[k])) <= EXACT * float(size[k]), at,
                f"{name} is not symmetric: <M v, w> is {float(a[k]):.10g} in sample {k}",
                f"<v, M w> = {float(b[k]):.10g}")  # fmt: skip
        for u, image in ((v, image), (w, other), (at.x, product(at.x))):
            form = sample_inner(image, u)
            k = int(form.argmin())
            positive = bool((form > 0)[sample_norms(u) > 0].all())
            require(positive, at, f"<v, M v> for {name} is {float(form[k]):.6g} in sample {k}",
                    "positive numbers: M must be positive definite")  # fmt: skip


def _check_samples(at):
    """Compare every sample alone with the same in the batch."""
    v = at.direction()
    energy, total = at.energy, torch.zeros_like(at.params)
    together = _evaluated(energy, at.x, at.params, at.data, v)
    for k in range(len(at.x)):
        index = torch.tensor([k], device=at.x.device)
        alone = _evaluated(energy, at.x[index], at.params, take(at.data, index), v[index])
        total = total + alone.pop("mixed_adjoint(q)")
        for name, tensor in alone.items():
            _close(at, f"{name} of sample {k} in a batch", together[name][index], tensor, EXACT,
                   "sample alone")  # fmt: skip
    _close(at, "mixed_adjoint(q) of a batch", together["mixed_adjoint(q)"][None], total[None],
           EXACT, "sum of those of the samples alone")  # fmt: skip


def _evaluated(energy, x, params, data, v):
    linear = energy.linearize(x, params, data)
    return {
        "value": energy.value(x, params, data), "gradient": energy.gradient(x, params, data),
        "hessian(v)": linear.hessian(v), "precondition(v)": linear.precondition(v),
        "mixed_adjoint(q)": linear.mixed_adjoint(v),
    }  # fmt: skip


def _extrapolated(quotient, step):
    """The quotient extrapolated to zero by Romberg's scheme, and how much it changed at last."""
    table = []
    for i in range(LEVELS):
        row = [quotient(step / 2**i)]
        for j in range(i):
            row.append(row[j] + (row[j] - table[i - 1][j]) / (4 ** (j + 1) - 1))
        table.append(row)
    best = table[-1][-1]
    return best, torch.maximum(_lengths(best - table[-1][-2]), _lengths(best - table[-2][-1]))


def _lengths(values):
    """Norms of samples, magnitudes of numbers."""
    return values.abs().double() if values.ndim == 1 else sample_norms(values)


def _close(at, name, found, expected, rtol, what):
    error, size = _lengths(found - expected), _lengths(expected)
    k = int((error / size.clamp_min(1e-300)).argmax())
    require(float(error[k]) <= rtol * float(size[k]) + 1e-300, at,
            f"{name} differs by {float(error[k]):.3g}",
            f"the {what}, of size {float(size[k]):.6g}")  # fmt: skip
