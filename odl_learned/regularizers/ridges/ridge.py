r"""Ridge regularizers with learned filters and potentials, convex and weakly convex."""

import dataclasses
import math
from collections.abc import Callable

import torch
from torch import nn

from odl_learned.networks import ConvexSpline
from odl_learned.networks.boundaries import ROUNDING
from odl_learned.regularizers.noise_levels import require_noise_level
from odl_learned.regularizers.ridges.filters import ComposedFilters
from odl_learned.regularizers.ridges.potentials import Huber, LogCosh
from odl_learned.validation import is_finite_number, require_positive, shown

#: Largest ``lambda rho`` of a weakly convex ridge: denoising is (1 - it)-strongly convex.
LARGEST = 0.99


class Ridge(nn.Module):
    r"""A sum of learned potentials of filter responses, with constants by construction.

    .. math:: R(x) = \lambda \sum_{k,i} \psi_k\big( (w_k * x)_i \big), \qquad
              \psi_k(t) = a_k^{-2} \big( e^{-b} \varphi_+(e^b a_k t) - \rho \varphi_-(a_k t) \big)

    with even potentials whose second derivatives are between zero and one, and ``|W| <= 1``. So
    ``-rho <= psi_k'' <= e^b``: R is ``lambda rho``-weakly convex and its gradient ``lambda
    max(e^b, rho)``-Lipschitz. With ``rho = 0`` it is convex (CRR). With ``rho = 1`` it is weakly
    convex (WCRR), and ``lambda < 1`` by construction, so that denoising stays convex. If both
    potentials are the same, with second derivatives that decrease, and ``b >= 0``, the Lipschitz
    constant is ``lambda max(e^b - rho, rho)``.

    The noise level enters the scales, ``a_k = exp(s_k - g_k log sigma)``; at first ``g_k = 1``,
    with which ``R_{c sigma}(c x) = c^2 R_sigma(x)``: what it does at one contrast, it does at all.

    Parameters
    ----------
    filters : ComposedFilters
        W.
    potential : torch.nn.Module
        ``phi_+`` as its slope and ``potential``: `Huber`, `LogCosh`, or a `networks.ConvexSpline`
        with one channel for each filter.
    subtracted : torch.nn.Module, optional
        ``phi_-``, of the same kinds; default: none, ``rho = 0`` and R is convex.
    sharpness : float, optional
        ``b`` at first.
    strength : float, optional
        ``lambda`` at first, positive; for weakly convex ones below 0.99.

    Maps images ``(*batch, *shape)``, real or complex (moduli of responses), to values ``(*batch,)``
    at the noise level one; `at` fixes another one.

    Raises
    ------
    TypeError
        If filters or potentials are none.
    ValueError
        For a strength out of bounds.

    Source: Goujon et al., A neural-network-based convex regularizer for inverse problems (2023);
    Goujon, Neumayer, Unser, Learning weakly convex regularizers (2024), for the bounds Prop. 3.1.
    """

    #: Complex images have values, too.
    takes_complex = True

    def __init__(
        self,
        filters: ComposedFilters,
        potential: Huber | LogCosh | ConvexSpline,
        subtracted: Huber | LogCosh | ConvexSpline | None = None,
        *,
        sharpness: float = 3.0,
        strength: float = 0.6,
    ) -> None:
        super().__init__()
        if not isinstance(filters, ComposedFilters):
            raise TypeError(f"filters is {shown(filters)}, expected ComposedFilters(...).")
        for name, phi in (("potential", potential), ("subtracted", subtracted)):
            if not isinstance(phi, Huber | LogCosh | ConvexSpline) and not (
                    phi is None and name == "subtracted"):  # fmt: skip
                raise TypeError(f"{name} is {shown(phi)}, expected Huber(), LogCosh() or a "
                                "networks.ConvexSpline.")
        if not is_finite_number(sharpness):
            raise ValueError(f"sharpness is {shown(sharpness)}; expected a finite number, b.")
        require_positive("strength", strength)
        if subtracted is not None and not strength < LARGEST:
            raise ValueError(f"strength is {strength}; expected less than {LARGEST} for a weakly "
                             "convex ridge, so that denoising is convex.")
        self.filters, self.potential, self.subtracted = filters, potential, subtracted
        count = filters.channels[-1]
        self.log_scale = nn.Parameter(torch.zeros(count))
        self.growth = nn.Parameter(torch.ones(count))
        self.sharpness = nn.Parameter(torch.tensor(float(sharpness)))
        logit = (math.log(strength) if subtracted is None
                 else math.log(strength / (LARGEST - strength)))  # fmt: skip
        self.logit = nn.Parameter(torch.tensor(logit))

    @property
    def dimension(self) -> int:
        """Number of axes of an image."""
        return self.filters.dimension

    def strength(self) -> torch.Tensor:
        """Return ``lambda``; that of a weakly convex ridge is below 0.99."""
        return self.logit.exp() if self.subtracted is None else LARGEST * self.logit.sigmoid()

    def at(self, noise_level: float | torch.Tensor = 1.0) -> "RidgeAt":
        """Return the regularizer at a noise level: everything that depends on parameters alone.

        Parameters
        ----------
        noise_level : float or tensor ``()``
            ``sigma``, positive, in the unit of the images.
        """
        require_noise_level(noise_level)
        log_sigma = torch.as_tensor(noise_level, dtype=self.logit.dtype).log().to(self.logit.device)
        scale = (self.log_scale - self.growth * log_sigma).exp()
        return RidgeAt(self, self.filters.kernel(), scale.view(-1, *[1] * self.dimension),
                       self.sharpness.exp(), self.strength())  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (*batch, *shape) -> (*batch,)
        return self.at().value(x)

    def constants(self) -> tuple[float, float]:
        """Return ``(L, rho)``: Lipschitz constant of the gradient, and modulus of weak convexity.

        The kernel has norm one by its normalization; the rounding of it to its dtype and, for a
        functional in another one, once more, is allowed for.
        """
        square = self._rounding() ** 4
        with torch.no_grad():
            strength, sharp = float(self.strength()), math.exp(float(self.sharpness))
        if self.subtracted is None:
            return square * strength * sharp, 0.0
        return square * strength * max(self.largest_bend(sharp), 1.0), square * strength

    def largest_bend(self, sharp: float) -> float:
        """Return a bound of ``psi''`` from above, for ``sharp`` equal to ``e^b``."""
        same = type(self.potential) is type(self.subtracted) and not isinstance(
            self.potential, ConvexSpline)  # fmt: skip
        return sharp - 1 if same and sharp >= 1 else sharp

    def _rounding(self):
        """How much the norm of the kernel may grow by rounding; see `networks.lipschitz`."""
        terms = self.filters.support**self.dimension
        return 1 + torch.finfo(self.logit.dtype).eps * (4 + math.sqrt(terms)) + 2 * ROUNDING


@dataclasses.dataclass(frozen=True)
class RidgeAt:
    """A `Ridge` at a noise level: value and gradient, differentiable in images and parameters.

    Parameters
    ----------
    ridge : Ridge
    kernel : tensor ``(K, 1, *support)``
    scale : tensor ``(K, 1, ...)``
    sharp, strength : tensor ``()``
    """

    ridge: Ridge
    kernel: torch.Tensor
    scale: torch.Tensor
    sharp: torch.Tensor
    strength: torch.Tensor

    def value(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``R`` of images ``(*batch, *shape)``, of shape ``(*batch,)``."""
        flat, batch = self._flat(x)
        t = self._responses(flat)
        t = self.scale * (_modulus(t) if t.is_complex() else t)
        psi = self.ridge.potential.potential(self.sharp * t) / self.sharp
        if self.ridge.subtracted is not None:
            psi = psi - self.ridge.subtracted.potential(t)
        return self.strength * (psi / self.scale**2).flatten(1).sum(1).reshape(batch)

    def gradient(self, x: torch.Tensor) -> torch.Tensor:
        """Return the Euclidean gradient, of the shape of the images."""
        flat, _ = self._flat(x)
        t = self._responses(flat)
        if t.is_complex():
            size = _modulus(t)
            unit = t / size.clamp_min(torch.finfo(size.dtype).tiny)
            return self._transposed(self._slope(size) * unit).reshape(x.shape)
        return self._transposed(self._slope(t)).reshape(x.shape)

    def curvature(self, x: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return ``h -> R''(x) h`` for real images, without derivatives in the parameters.

        Parameters
        ----------
        x : tensor ``(B, *shape)``, real
        """
        filters, kernel = self.ridge.filters, self.kernel.detach()
        with torch.enable_grad():
            t = filters.respond(x.detach(), kernel).requires_grad_()
            (bend,) = torch.autograd.grad(self._slope(t).sum(), t)
        return lambda h: filters.transpose(bend * filters.respond(h, kernel), kernel)

    def _slope(self, t):
        t = self.scale * t
        slope = self.ridge.potential(self.sharp * t)
        if self.ridge.subtracted is not None:
            slope = slope - self.ridge.subtracted(t)
        return slope * (self.strength / self.scale)

    def _flat(self, x):
        axes = self.ridge.dimension
        if not isinstance(x, torch.Tensor) or x.ndim < axes:
            given = tuple(x.shape) if isinstance(x, torch.Tensor) else type(x).__name__
            raise ValueError(f"x is {given}, expected a tensor (*batch, *shape) with images of "
                             f"{axes} axes.")
        if x.real.dtype != self.kernel.dtype:
            raise TypeError(f"x is of dtype {x.dtype}, expected {self.kernel.dtype} or its complex "
                            "numbers; convert one of them with .to(dtype).")
        batch = x.shape[: x.ndim - axes]
        return x.reshape(batch.numel(), *x.shape[x.ndim - axes :]), batch

    def _responses(self, x):
        filters = self.ridge.filters
        if x.is_complex():
            return torch.complex(filters.respond(x.real, self.kernel),
                                 filters.respond(x.imag, self.kernel))
        return filters.respond(x, self.kernel)

    def _transposed(self, p):
        filters = self.ridge.filters
        if p.is_complex():
            return torch.complex(filters.transpose(p.real, self.kernel),
                                 filters.transpose(p.imag, self.kernel))
        return filters.transpose(p, self.kernel)


def _modulus(t):
    """``|t|`` with the derivative zero where it vanishes."""
    square = t.real**2 + t.imag**2
    return torch.where(square > 0, square.clamp_min(torch.finfo(square.dtype).tiny).sqrt(), 0.0)
