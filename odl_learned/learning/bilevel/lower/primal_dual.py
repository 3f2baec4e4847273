r"""The primal-dual method with its linear rate as a solver of lower levels."""

import dataclasses

import numpy as np
import torch

from odl_learned.energies.coefficients.functions import evaluated_like
from odl_learned.energies.fidelities import squared_norms
from odl_learned.energies.fixed_energy import FixedEnergy
from odl_learned.energies.transforms.transform import group_squares
from odl_learned.energies.variation_energy import VariationEnergy
from odl_learned.learning.bilevel.lower.lower_solvers import OwnSolver
from odl_learned.solvers.arithmetic.active import Active
from odl_learned.solvers.arithmetic.samples import restricted, samples_of
from odl_learned.solvers.solution import Solution
from odl_learned.validation import require_count

EVERY = 10


@dataclasses.dataclass(frozen=True)
class PrimalDual(OwnSolver):
    r"""The primal-dual hybrid gradient method for energies in closed form.

    .. math:: x_{k+1} = \text{prox}_{\tau D}(x_k - \tau D^T z_k), \qquad
              z_{k+1} = \text{prox}_{\sigma (\alpha \phi)^*}
              (z_k + \sigma D (x_{k+1} + \theta (x_{k+1} - x_k))),

    with the fidelity and the squared norm as one function, strongly convex with ``gamma = min w +
    xi``, and the conjugate of the potential, strongly convex with ``delta = 1 / (alpha max
    phi'')``: with ``m = 2 sqrt(gamma delta) / |D|`` the steps ``tau = m / (2 gamma)``, ``sigma = m
    / (2 delta)`` and ``theta = 1 / (1 + m)`` give the linear rate ``1 / (1 + m)``. The certificate
    ``|grad E| / mu`` is looked at every tenth step.

    Parameters
    ----------
    maxiter : int

    References
    ----------
    A. Chambolle, T. Pock, *A first-order primal-dual algorithm for convex problems with
    applications to imaging*, J. Math. Imaging Vis. 40 (2011), algorithm 3.

    Examples
    --------
    >>> import torch
    >>> from odl_learned import energies
    >>> from odl_learned.energies import coefficients, potentials, transforms
    >>> from odl_learned.learning import bilevel
    >>> from odl_learned.learning.bilevel import lower
    >>> truth, seed = torch.zeros(2, 16, dtype=torch.float64), torch.Generator().manual_seed(0)
    >>> truth[:, 5:11] = 1
    >>> y = truth + 0.1 * torch.randn(truth.shape, generator=seed, dtype=torch.float64)
    >>> energy = energies.VariationEnergy(
    ...     energies.Denoising(), transforms.BackwardDifferences(16), potentials.Charbonnier(),
    ...     coefficients.decimal_alpha(nu=0.1, xi=1e-3))
    >>> loss = bilevel.SquaredError(truth)
    >>> problem = bilevel.BilevelProblem(energy, y, loss, y, lower=-4.0, upper=2.0)
    >>> alpha = torch.zeros(1, dtype=torch.float64)  # log10 of it
    >>> for solver in (lower.PrimalDual(5000), lower.Restarted(5000), lower.Newton(20)):
    ...     solution = lower.LowerLevel(problem, solver).solve(alpha, 1e-4)
    ...     print(solution.reason, (solution.error_bound <= 1e-4).all())
    ...
    ['accuracy' 'accuracy'] True
    ['accuracy' 'accuracy'] True
    ['accuracy' 'accuracy'] True
    """

    maxiter: int = 1_000_000

    def __post_init__(self):
        require_count("maxiter", self.maxiter)

    def __call__(self, f: FixedEnergy, x0: torch.Tensor, accuracy: np.ndarray) -> Solution:
        energy = f.energy
        if not isinstance(energy, VariationEnergy):
            raise TypeError(f"PrimalDual needs the proximals of a VariationEnergy, but the energy "
                            f"is {type(energy).__name__}; use Accelerated() or Newton().")
        proximal = getattr(energy.fidelity, "proximal", None)
        if proximal is None:
            raise TypeError(f"PrimalDual needs the proximal of a fidelity, but "
                            f"{type(energy.fidelity).__name__} has none; use Accelerated() or "
                            "Newton().")
        c, transform = evaluated_like(energy.coefficients, f.params, x0), energy.transform
        samples = samples_of(x0)
        active = Active(samples, x0)
        x, gamma = x0, f.strong_convexity
        curvature = c.alpha * energy.potential.constants(c.nu).curvature
        if curvature == 0:
            z = 0 * transform.forward(x0)
            tau, sigma, theta = 1e6 / gamma, 0.0, 0.0
        else:
            rate = 2 * (gamma / curvature) ** 0.5 / transform.norm
            tau, sigma, theta = rate / (2 * gamma), rate * curvature / 2, 1 / (1 + rate)
            p = transform.forward(x)
            z = c.alpha * energy.potential.weight(group_squares(p), c.nu)[:, None] * p
        accuracy = np.broadcast_to(accuracy, (samples.size,))
        for niter in range(self.maxiter + 1):
            if niter % EVERY == 0 or niter == self.maxiter:
                bound = squared_norms(f.gradient(x)).sqrt().cpu().numpy() / gamma
                done = bound <= accuracy
                if done.any() or niter == self.maxiter:
                    reason = np.where(done, "accuracy", "maxiter")
                    rest = active.finish(done | (niter == self.maxiter), x, niter, reason, bound)
                    if not rest.size:
                        break
                    x, z, f, accuracy = x[rest], z[rest], restricted(f, rest), accuracy[rest]
            following = proximal(x - tau * transform.adjoint(z), tau, f.data, c)
            f.spend(len(x))
            if sigma:
                ahead = following + theta * (following - x)
                z = _dual_step(energy, z + sigma * transform.forward(ahead), sigma, c)
            x = following
        return active.solution()


def _dual_step(energy, z, sigma, c):
    """``prox`` of the conjugate by Moreau's identity: ``z - sigma prox_{alpha phi / sigma}``."""
    lengths = torch.sqrt(group_squares(z)) / sigma
    shrunk = energy.potential.proximal(lengths, c.alpha / sigma, c.nu)
    tiny = torch.finfo(lengths.dtype).tiny
    return z * (1 - shrunk / lengths.clamp_min(tiny))[:, None]
