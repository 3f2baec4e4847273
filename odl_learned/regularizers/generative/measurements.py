"""Linear measurements of a batch of images as tensors: data term, gradient, normal operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import odl
import torch

from odl_learned.bridge import as_module, as_transpose_module
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.operators import operator_norm
from odl_learned.operators.norms.product_bounds import product_bound
from odl_learned.regularizers.generative.precision.samples import numbers_of_samples
from odl_learned.validation import require_positive, shown
from odl_learned.weights import constant_weight, extreme_weights

#: Number of random images that the diagonal of a normal operator is estimated from.
PROBES = 32


@final
class Measurements:
    r"""White noise on linear measurements of images, one problem for each sample of a batch.

    .. math:: D(u) = \frac{1}{2 s^2} |A u - y|^2, \qquad \nabla D(u) = s^{-2} A^H (A u - y)

    with Euclidean norms of the entries, to which the noise belongs, whatever the weights of the
    spaces: minus the logarithm of the density of y up to a constant, in nats.

    Parameters
    ----------
    forward_op : linear odl.Operator
        A, from a space of images, real or complex, to data, real or complex.
    data : torch.Tensor, shape (N, *Y.shape)
        y, on the device on which everything is computed.
    noise_level : float
        s, positive: the standard deviation of the noise in each entry, in the real and in the
        imaginary part of complex data, as in `data.add_white_noise`.

    Raises
    ------
    TypeError
        If the operator is none or nonlinear, or the data no tensor.
    ValueError
        If data have another shape, are empty or not finite, or the noise level is not positive.
    """

    def __init__(self, forward_op: odl.Operator, data: torch.Tensor, noise_level: float) -> None:
        if not isinstance(forward_op, odl.Operator) or not forward_op.is_linear:
            raise TypeError(f"forward_op is {shown(forward_op)}, expected a linear ODL operator.")
        require_positive("noise_level", noise_level)
        target = layout_of(forward_op.range)
        target.check(data, "data")
        if len(target.batch_shape(data)) != 1:
            raise ValueError(f"data have the batch axes {tuple(target.batch_shape(data))}, "
                             "expected one, that of the samples; give a single measurement one by "
                             "data[None].")
        if not len(data) or not bool(torch.isfinite(data).all()):
            raise ValueError(f"data of shape {tuple(data.shape)} contain no samples, or NaN or "
                             "infinite values; expected at least one sample of finite numbers. "
                             "Leave out such samples, or the entries by a mask in the operator.")
        self.forward_op, self.data, self.noise_level = forward_op, data, float(noise_level)
        self.layout = layout_of(forward_op.domain)
        self._shared: dict[str, Any] = {}
        self.forward, self.transpose = (
            lowered(forward_op).to(data.device) for lowered in (as_module, as_transpose_module))
        self._normal = _normal_module(forward_op, data.device)

    def __len__(self) -> int:
        return len(self.data)

    def take(self, index: Sequence[int] | torch.Tensor) -> Measurements:
        """Return the measurements of some of the samples, also several times, or of none.

        Raises
        ------
        TypeError, IndexError
            If these are no numbers of samples.
        """
        index = numbers_of_samples(index, len(self), self.data.device)
        other = object.__new__(Measurements)
        other.__dict__ |= self.__dict__ | {"data": self.data[index]}
        return other

    def value(self, u: torch.Tensor) -> torch.Tensor:
        """Return D of images ``(N, *X.shape)``, ``(N,)`` in double precision."""
        rest = self.forward(u) - self.data
        rest = torch.view_as_real(rest) if rest.is_complex() else rest
        return rest.double().square().flatten(1).sum(1) / (2 * self.noise_level**2)

    def gradient(self, u: torch.Tensor) -> torch.Tensor:
        """Return the Euclidean gradient of D."""
        return self.transpose(self.forward(u) - self.data) / self.noise_level**2

    def normal(self, u: torch.Tensor) -> torch.Tensor:
        """Return ``A^H A u / s^2`` for any number of images."""
        if self._normal is None:
            return self.transpose(self.forward(u)) / self.noise_level**2
        scale, module = self._normal
        return scale * module(u) / self.noise_level**2

    def pulled_back(self) -> torch.Tensor:
        """Return ``A^H y / s^2``."""
        return self.transpose(self.data) / self.noise_level**2

    def images(self) -> torch.Tensor:
        """Return zero, ``(N, *X.shape)``."""
        return self.layout.zeros((len(self),), self.data.device)

    @property
    def information(self) -> torch.Tensor:
        r"""An estimate of the diagonal of ``A^H A / s^2``, ``(1, *X.shape)``, real.

        .. math:: h_i \approx \frac1m \sum_k v_{k,i} (A^H A v_k)_i / s^2, \qquad v_{k,i} = \pm 1,

        with m = 32 random v, always the same; exact where ``A^H A`` is diagonal, such as for
        inpainting. Where the estimate is negative, it is zero.

        Source: Bekas, Kokiopoulou, Saad, An estimator for the diagonal of a matrix (2007).
        """
        if "information" not in self._shared:
            generator = torch.Generator().manual_seed(0)
            signs = torch.randint(0, 2, (PROBES, *self.layout.shape), generator=generator,
                                  device="cpu")  # fmt: skip
            signs = 2.0 * signs.to(self.data.device) - 1
            products = signs * self.normal(signs.to(self.layout.dtype)).real
            self._shared["information"] = products.mean(0, keepdim=True).clamp_min(0)
        return self._shared["information"]

    @property
    def largest(self) -> float:
        r"""An upper bound of the largest eigenvalue of ``A^H A / s^2``.

        .. math:: |A|_2^2 \le |A|_{X \to Y}^2 \, \max w_X / \min w_Y

        Proven where norms of all parts of A are known by rules, such as for masks and Fourier
        transforms; elsewhere, by `operators.operator_norm`, too small with a probability of at
        most 1e-6 over the random start.
        """
        if "largest" not in self._shared:
            A = self.forward_op
            ratio = extreme_weights(A.domain)[1] / extreme_weights(A.range)[0]
            norm = product_bound(A)
            norm = operator_norm(A, rtol=1e-2) if norm is None else norm
            bound = norm**2 * ratio / self.noise_level**2
            # The normal module computes in the precision of the images, and rounds.
            self._shared["largest"] = bound * (1 + 100 * torch.finfo(self.layout.dtype).eps)
        return self._shared["largest"]


def _normal_module(op: odl.Operator, device: torch.device) -> tuple[float, torch.nn.Module] | None:
    """``A^H A`` as a multiple of one module, which may cost less, if weights are numbers."""
    try:
        scale = constant_weight("X", op.domain) / constant_weight("Y", op.range)
    except (TypeError, ValueError):
        return None
    return scale, as_module(op.adjoint @ op).to(device)
