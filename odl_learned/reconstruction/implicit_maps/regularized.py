r"""Minimizers of a data term and a learned regularizer, as maps with derivatives.

With ``E(x) = 1/2 |A x - y|^2 + alpha R(x)`` and ``H = E''(x_hat)``, the implicit function theorem
gives ``d x_hat = - H^-1 d (grad E)(x_hat)``. Training this map by a loss is bilevel learning, in
the one loop of training, `learning.train`.
"""

import math
from typing import NamedTuple

import torch
from torch import nn

from odl_learned.networks.images import require_dimension
from odl_learned.reconstruction.implicit_maps.minimizers import Energy, Inverse, Minimizer
from odl_learned.reconstruction.implicit_maps.warm_start import WarmStart
from odl_learned.reconstruction.tensor_maps import TensorMap, require_tensor_map
from odl_learned.regularizers.protocols import WithConstants
from odl_learned.solvers import Solution, restarted_gradient, stationary_gradient
from odl_learned.validation import require_count, require_nonnegative, require_positive, shown


class LastSteps(NamedTuple):
    r"""Derivatives of the last few gradient steps only: a descent direction, no limit.

    Parameters
    ----------
    steps : int, optional
        At least 1.

    Source: Fung et al., JFB: Jacobian-free backpropagation for implicit networks (2022).
    """

    steps: int = 2


class ImplicitDerivative(NamedTuple):
    """Derivatives of the limit, ``H^-1`` by conjugate gradients; H has to be positive definite.

    Parameters
    ----------
    accuracy : float, optional
        Relative residual.
    maxiter : int, optional
    """

    accuracy: float = 1e-4
    maxiter: int = 200


class RegularizedLeastSquares(nn.Module):
    r"""The minimizer of least squares with a learned regularizer, as a map from data to images.

    .. math:: \hat x(y) \in \text{argmin}_x \ \tfrac12 |A x - y|^2 + \alpha R(x)

    With ``mu = c - alpha rho > 0``, where ``|A x|^2 >= c |x|^2`` and R is rho-weakly convex, the
    energy is mu-strongly convex and `solve` stops at ``|grad E| / mu``, a bound of the distance to
    the minimizer. Otherwise it finds a stationary point and stops at ``|grad E|``.

    Parameters
    ----------
    forward, adjoint : torch.nn.Module or callable
        The linear operator A, ``(*batch, *X.shape) -> (*batch, *Y.shape)``, and its adjoint.
    regularizer : torch.nn.Module
        With ``at(noise_level).gradient(x)`` and ``constants()``, ``(L, rho)``, such as
        `regularizers.Ridge`.
    noise_level : float
        At which the regularizer is taken.
    norm : float
        A bound of ``|A|``.
    coercivity : float, optional
        ``c``, one for denoising; default: zero.
    alpha : float, optional
        Positive.
    accuracy : float, optional
        Distance, or norm of the gradient, to reach, as a root mean square over the pixels.
    maxiter : int, optional
    derivative : LastSteps or ImplicitDerivative, optional
        How the map is differentiated.
    initial : torch.nn.Module or callable, optional
        Maps the data to the first point; the default is the adjoint. A `WarmStart` remembers.
    dimension : int
        Number of axes of an image, ``len(X.shape)``.

    Maps data ``(*batch, *Y.shape)`` to images ``(*batch, *X.shape)``.

    Raises
    ------
    ValueError
        If a number is out of bounds, or data do not fit the operator.
    TypeError
        If an argument is of another kind.

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import bridge, networks, reconstruction, regularizers
    >>> A = odl.IdentityOperator(odl.uniform_discr([0, 0], [4, 4], (4, 4)))
    >>> filters = regularizers.ComposedFilters((1, 4), 3, networks.Reflecting(), dimension=2)
    >>> ridge = regularizers.Ridge(filters, regularizers.LogCosh()).double()
    >>> model = reconstruction.RegularizedLeastSquares(
    ...     bridge.as_module(A), bridge.as_module(A.adjoint), ridge, noise_level=0.5, norm=1.0,
    ...     dimension=2, accuracy=1e-3, maxiter=100, derivative=reconstruction.LastSteps(1))
    >>> y = torch.rand(1, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    >>> print(bool(model(y).std() < y.std()))
    True
    """

    def __init__(
        self,
        forward: TensorMap,
        adjoint: TensorMap,
        regularizer: WithConstants,
        *,
        noise_level: float,
        norm: float,
        dimension: int,
        coercivity: float = 0.0,
        alpha: float = 1.0,
        accuracy: float = 1e-4,
        maxiter: int = 400,
        derivative: LastSteps | ImplicitDerivative | None = None,
        initial: TensorMap | None = None,
    ) -> None:
        super().__init__()
        require_tensor_map("forward", forward)
        require_tensor_map("adjoint", adjoint)
        require_tensor_map("initial", initial, optional=True)
        if not (isinstance(regularizer, nn.Module) and hasattr(regularizer, "constants")
                and hasattr(regularizer, "at")):  # fmt: skip
            raise TypeError(f"regularizer is {shown(regularizer)}, expected a torch module with at "
                            "and constants, such as regularizers.Ridge.")
        for name, value in (("noise_level", noise_level), ("norm", norm), ("alpha", alpha),
                            ("accuracy", accuracy)):  # fmt: skip
            require_positive(name, value)
        require_nonnegative("coercivity", coercivity)
        require_count("maxiter", maxiter)
        require_dimension(dimension)
        derivative = LastSteps() if derivative is None else derivative
        if isinstance(derivative, LastSteps):
            require_count("steps", derivative.steps)
        elif isinstance(derivative, ImplicitDerivative):
            require_positive("accuracy", derivative.accuracy)
            require_count("maxiter", derivative.maxiter)
        else:
            raise TypeError(f"derivative is {shown(derivative)}, expected LastSteps() or "
                            "ImplicitDerivative().")
        self.forward_op, self.adjoint_op, self.initial = forward, adjoint, initial
        self.regularizer, self.noise_level, self.alpha = regularizer, float(noise_level), alpha
        self.norm, self.coercivity, self.dimension = float(norm), float(coercivity), dimension
        self.accuracy, self.maxiter, self.derivative = float(accuracy), maxiter, derivative

    def constants(self) -> tuple[float, float]:
        """Return ``(L, mu)`` of the energy; mu may be negative."""
        lipschitz, rho = self.regularizer.constants()
        return (self.norm**2 + self.alpha * lipschitz, self.coercivity - self.alpha * rho)

    def energy(self, data: torch.Tensor) -> Energy:
        """Return E for data ``(B, *Y.shape)``."""
        return Energy(self, data, self.regularizer.at(self.noise_level))

    def solve(self, data: torch.Tensor) -> Solution:
        """Return minimizers with certificates, or stationary points with residuals.

        Parameters
        ----------
        data : torch.Tensor, shape (B, *Y.shape)
            With one batch axis.

        Returns
        -------
        solution : Solution
            ``error_bound`` where the energy is strongly convex, else ``residual``.
        """
        with torch.no_grad():
            energy = self.energy(data)
            x0 = energy.back if self.initial is None else self.initial(data)
            accuracy = self.accuracy * math.sqrt(x0[0].numel())
            L, mu = self.constants()
            if mu > 0:
                solution = restarted_gradient(energy, x0, accuracy, self.maxiter, L, mu)
            else:
                solution = stationary_gradient(
                    energy, x0, accuracy, self.maxiter, L, max(-mu, 1e-12 * L))
            if isinstance(self.initial, WarmStart):
                self.initial.keep(data, solution.x)
            return solution

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        # (*batch, *Y.shape) -> (*batch, *X.shape)
        like = self.adjoint_op(data)
        batch = like.shape[: like.ndim - self.dimension]
        if not batch.numel():
            return like
        flat = data.reshape(batch.numel(), *data.shape[len(batch) :])
        x = Minimizer.apply(flat, self)
        if torch.is_grad_enabled():
            energy = self.energy(flat)
            if isinstance(self.derivative, LastSteps):
                L, mu = self.constants()
                for _ in range(self.derivative.steps):
                    x = x - energy.gradient(x) * (2 / (L + max(mu, 0.0)))
            else:
                x = x - Inverse.apply(energy.gradient(x), x, flat, self)
        return x.reshape(like.shape)
