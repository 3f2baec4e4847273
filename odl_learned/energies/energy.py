r"""Parametric energies: what the lower level minimizes, with all derivatives that learning needs.

The reconstruction of the data ``y`` with the parameters ``theta`` is

.. math:: \hat x(\theta) = \text{argmin}_x E(x, \theta, y),

for an energy that is smooth and strongly convex in ``x``. Everything here is Euclidean: inner
products of tensors without weights, of complex ones as pairs of real numbers.

Shapes: ``x`` is ``(B, *shape)``, real or complex, with one sample per entry of the first axis;
``params`` is a real vector ``(P,)``, shared by all samples; ``data`` is a tensor or a tuple of
tensors with first axis ``B``.
"""

import abc
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

#: Measurements of a batch: tensors whose first axis counts the samples.
Data = torch.Tensor | tuple[torch.Tensor, ...]
#: What a Newton step leaves for the next one, see `ParametricEnergy.linearize_from`.
State = tuple[object, ...]
#: A linear map of the images of a batch.
TensorMap = Callable[[torch.Tensor], torch.Tensor]


class UnsolvableError(ArithmeticError, ValueError):
    """At some parameters no minimizer of the energy can be certified; learning turns back there."""


class Frame(NamedTuple):
    """Coordinates ``U v`` of images, in which Newton's systems cost less.

    Parameters
    ----------
    forward, adjoint : callable
        ``U`` and ``U^*``, unitary.
    hessian, precondition : callable
        ``U d_x^2 E U^*`` and ``U M^-1 U^*``.
    """

    forward: TensorMap
    adjoint: TensorMap
    hessian: TensorMap
    precondition: TensorMap


class Linearization(NamedTuple):
    r"""The energy to second order around a point, for every sample of a batch.

    Parameters
    ----------
    gradient : tensor ``(B, *shape)``
        ``d_x E``.
    hessian : callable
        ``v -> d_x^2 E v``, of the shape of ``x``.
    mixed_adjoint : callable
        ``q -> J^T q`` with ``J = d_theta d_x E``, summed over the samples, of shape ``(P,)``.
    precondition : callable
        ``v -> M^-1 v`` with a symmetric positive definite ``M`` near the Hessian.
    frame : Frame, optional
        Where another basis is better to solve systems in.
    """

    gradient: torch.Tensor
    hessian: TensorMap
    mixed_adjoint: TensorMap
    precondition: TensorMap
    frame: Frame | None = None


class ParametricEnergy(abc.ABC):
    """An energy ``E(x, params, data)`` with derivatives and constants.

    Subclasses with formulas of their own are fast; `AutogradEnergy` makes one of any differentiable
    function. Methods never follow gradients: they are to be called and return tensors without
    graphs.

    Constants are claims. Whatever is computed along the way is compared with them, and where
    ``has_formulas`` is false, so that they do not follow from a formula in this package, pairs of
    points that refute them are looked for, too (`claims`, `claim_trial`).
    """

    @abc.abstractmethod
    def value(self, x: torch.Tensor, params: torch.Tensor, data: Data | None) -> torch.Tensor:
        """Return ``E`` of every sample, of shape ``(B,)``."""

    @abc.abstractmethod
    def gradient(self, x: torch.Tensor, params: torch.Tensor, data: Data | None) -> torch.Tensor:
        """Return ``d_x E``, of the shape of ``x``."""

    @abc.abstractmethod
    def linearize(self, x: torch.Tensor, params: torch.Tensor, data: Data | None) -> Linearization:
        """Return the `Linearization` at ``x``; what can be computed once is."""

    follows_dual = False
    has_formulas = False

    def linearize_from(
        self, x: torch.Tensor, params: torch.Tensor, data: Data | None, state: State | None
    ) -> tuple[Linearization, State]:
        """Return a `Linearization` for Newton's method, and the state for the next one.

        Where ``follows_dual`` is true, the Hessian may be another symmetric positive definite
        operator, which leads to fewer steps and depends on ``state``: what the last call returned,
        a tuple of tensors with first axis ``B``, or None at the start. At the same ``x`` it is the
        same again.
        """
        raise NotImplementedError(f"{type(self).__name__} follows no dual variable; use linearize.")

    @abc.abstractmethod
    def lipschitz(self, params: torch.Tensor) -> float:
        """Return a bound of ``|d_x^2 E|`` for all ``x``, as a float."""

    @abc.abstractmethod
    def strong_convexity(self, params: torch.Tensor) -> float:
        """Return ``mu > 0`` with ``d_x^2 E >= mu`` for all ``x``, as a float."""

    def curvature_constants(self, params: torch.Tensor) -> tuple[float, float, float]:
        r"""Return global constants ``(LA, LB, B)`` for the bounds of hypergradients.

        Lipschitz constants in ``x`` of the Hessian and of ``J = d_theta d_x E``, and a bound of
        ``|J|``; infinite where unknown.
        """
        return unknown_constants(params)

    def rounding(self, x: torch.Tensor, params: torch.Tensor, data: Data | None) -> torch.Tensor:
        r"""Return a bound of the rounding error of the gradient, in the norm, of every sample.

        The gradient is evaluated at a point and with data that are known up to rounding: by
        default the estimate is ``16 eps (L |x| + |d_x E(0)|)``, of shape ``(B,)``, in double
        precision.
        """
        slope = self.gradient(torch.zeros_like(x), params, data)
        scale = self.lipschitz(params) * _norms(x) + _norms(slope)
        return 16 * torch.finfo(x.dtype).eps * scale


def unknown_constants(params: torch.Tensor) -> tuple[float, float, float]:
    """Return infinite constants ``(LA, LB, B)``."""
    return math.inf, math.inf, math.inf


class AutogradEnergy(ParametricEnergy):
    r"""A parametric energy from any function that torch can differentiate twice.

    Parameters
    ----------
    function : callable
        ``(x, params, data) -> E`` of every sample, of shape ``(B,)``, where samples do not mix;
        for example ``bridge.as_energy(functional)``.
    lipschitz, strong_convexity : callable
        ``params -> float``: bounds of the Hessian in ``x`` from above and, positive, from below,
        in the Euclidean inner product.
    precondition : callable, optional
        ``(params, data) -> (v -> M^-1 v)``. Default: the identity.
    curvature_constants : callable, optional
        ``params -> (LA, LB, B)``, floats: Lipschitz constants in ``x`` of the Hessian and of ``J =
        d_theta d_x E``, and a bound of ``|J|``, for all ``x`` and every sample; ``math.inf`` where
        there is none. Bounds of hypergradients need all three. Default: infinite.
    """

    def __init__(
        self,
        function: Callable[..., torch.Tensor],
        lipschitz: Callable[[torch.Tensor], float | torch.Tensor],
        strong_convexity: Callable[[torch.Tensor], float | torch.Tensor],
        precondition: Callable[..., TensorMap] | None = None,
        curvature_constants: Callable[
            [torch.Tensor], Sequence[float | torch.Tensor]
        ] = unknown_constants,
    ) -> None:
        for name, value in (("function", function), ("lipschitz", lipschitz),
                            ("strong_convexity", strong_convexity),
                            ("curvature_constants", curvature_constants)):  # fmt: skip
            if not callable(value):
                raise TypeError(
                    f"{name} is {value!r}, expected a function; a constant is lambda params: c."
                )
        if precondition is not None and not callable(precondition):
            raise TypeError(f"precondition is {precondition!r}, expected a function of params and "
                            "data, or None.")
        self._function, self._precondition = function, precondition
        self._lipschitz, self._strong_convexity = lipschitz, strong_convexity
        self._curvature_constants = curvature_constants

    def value(self, x: torch.Tensor, params: torch.Tensor, data: Data | None) -> torch.Tensor:
        """Return ``E`` of every sample."""
        with torch.no_grad():
            return self._values(x, params, data)

    def gradient(self, x: torch.Tensor, params: torch.Tensor, data: Data | None) -> torch.Tensor:
        """Return ``d_x E``."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(self._values(x, params.detach(), data).sum(), x)
        return slope

    def _values(self, x, params, data):
        values = self._function(x, params, data)
        if not isinstance(values, torch.Tensor) or values.shape != (len(x),):
            given = tuple(values.shape) if isinstance(values, torch.Tensor) else type(values)
            raise ValueError(
                f"the energy has shape {given}, expected ({len(x)},), one value per sample; sum "
                "over all axes but the first."
            )
        return values

    def linearize(self, x: torch.Tensor, params: torch.Tensor, data: Data | None) -> Linearization:
        """Return the `Linearization`; its products go backward through the graph of the slope."""
        with torch.enable_grad():
            x, params = x.detach().requires_grad_(), params.detach().requires_grad_()
            energy = self._values(x, params, data).sum()
            (slope,) = torch.autograd.grad(energy, x, create_graph=True)

        def product(v, argument):
            # Double backward: d/d argument of <slope, v>; conventions of complex tensors agree.
            (result,) = torch.autograd.grad(
                slope, argument, v, retain_graph=True, allow_unused=True, materialize_grads=True)
            return result

        precondition = self._precondition
        return Linearization(
            slope.detach(),
            lambda v: product(v, x),
            lambda q: product(q, params),
            (lambda v: v) if precondition is None else precondition(params.detach(), data),
        )

    def lipschitz(self, params: torch.Tensor) -> float:
        """Return the bound from above."""
        return float(self._lipschitz(params))

    def strong_convexity(self, params: torch.Tensor) -> float:
        """Return the bound from below."""
        return float(self._strong_convexity(params))

    def curvature_constants(self, params: torch.Tensor) -> tuple[float, float, float]:
        """Return ``(LA, LB, B)``; see `ParametricEnergy`."""
        constants = tuple(float(c) for c in self._curvature_constants(params))
        if len(constants) != 3 or not all(c >= 0 for c in constants):
            raise ValueError(
                f"curvature_constants(params) is {constants}, expected (LA, LB, B), three numbers "
                "that are not negative; use math.inf where one is unknown."
            )
        return constants


def _norms(x):
    """Euclidean norms of the samples, in double precision."""
    x = torch.view_as_real(x.contiguous()) if x.is_complex() else x
    return x.double().flatten(1).norm(dim=1)
