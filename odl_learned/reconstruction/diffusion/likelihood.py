r"""The likelihood of linear data with white noise, and its proximal by conjugate gradients."""

from collections.abc import Sequence

import numpy as np
import odl
import torch

from odl_learned.bridge import as_module, as_transpose_module
from odl_learned.bridge.layouts.layout import TensorLayout, layout_of
from odl_learned.functionals.fidelities.least_squares import settled
from odl_learned.odl_validation import require_array_spaces, require_operator
from odl_learned.reconstruction.tensor_maps import require_tensor
from odl_learned.solvers import conjugate_gradient
from odl_learned.validation import require_count, require_positive

#: Residuals of conjugate gradients end at about so many rounding errors of the right-hand side.
ROUNDING = 64.0


class GaussianLikelihood:
    r"""The density of data ``y = A x + n`` as a function of images, up to a factor.

    .. math:: p(y | x) \propto \exp \Big( -\frac{1}{2 s^2} \sum_i |(A x - y)_i|^2 \Big)

    The noise n is independent in the *entries* of the data, with standard deviation s, in complex
    ones s in the real and in the imaginary part, as in `data.add_white_noise`. Densities are those
    of entries, too, and so is the noise that denoisers are told of: neither the volume of a pixel
    nor any weight of the spaces enters, and where ``A*`` stands in papers, it is the transpose here
    (`bridge.as_transpose_module`).

    Parameters
    ----------
    forward_op : linear odl.Operator
        ``A``, with an adjoint, between spaces of arrays or powers of them.
    data : torch.Tensor, shape ``Y.shape`` or ``(N, *Y.shape)``, or element of ``Y``
        ``y``, of the dtype of the range; N of them.
    noise_level : float
        s, greater than zero.
    accuracy : float, optional
        Of `nearest`: its error is at most this share of the random spread of a step.
    maxiter : int, optional
        Largest number of iterations of conjugate gradients; a RuntimeWarning says where it was not
        enough.

    Raises
    ------
    TypeError
        If the operator is none or nonlinear, or the data are no such tensor or element.
    ValueError
        If data have another shape or are not finite, or a number is out of bounds.
    """

    def __init__(
        self,
        forward_op: odl.Operator,
        data: torch.Tensor,
        noise_level: float,
        accuracy: float = 1e-3,
        maxiter: int = 500,
    ) -> None:
        require_operator("forward_op", forward_op)
        if not forward_op.is_linear:
            raise TypeError(f"forward_op is {forward_op!r}, expected a linear operator; pass "
                            "forward_op.derivative(x) for data near A(x).")
        for name, space in (("domain", forward_op.domain), ("range", forward_op.range)):
            require_array_spaces(f"forward_op.{name}", space)
            if not isinstance(layout_of(space), TensorLayout):
                raise TypeError(f"forward_op.{name} is {space!r}, expected arrays of one shape.")
        require_positive("noise_level", noise_level)
        require_positive("accuracy", accuracy)
        require_count("maxiter", maxiter, 1)
        self.forward_op = forward_op
        self.noise_level, self.accuracy = float(noise_level), float(accuracy)
        self.maxiter = maxiter
        self.layout = layout_of(forward_op.domain)
        self.data = _checked(layout_of(forward_op.range), data, forward_op.range)
        self.forward = as_module(forward_op).to(self.data.device)
        self.transpose = as_transpose_module(forward_op).to(self.data.device)
        self.back = self._mapped(self.transpose, self.data)  # (N, *X.shape)

    def __len__(self) -> int:
        """Number of data."""
        return len(self.data)

    @staticmethod
    def _mapped(module, x):
        with torch.no_grad():
            return module(x)

    def take(self, index: Sequence[int]) -> "GaussianLikelihood":
        """Return the likelihood of some of the data, in any order, also several times."""
        part = object.__new__(GaussianLikelihood)
        part.__dict__.update(self.__dict__)
        part.data, part.back = self.data[index], self.back[index]
        return part

    def gradient(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``A^T (A x - y)``, of ``1/2 |A x - y|^2`` in the entries."""
        return self._mapped(self.transpose, self._mapped(self.forward, x)) - self.back

    def nearest(
        self, z: torch.Tensor, level: float, noise: torch.Tensor | None = None
    ) -> torch.Tensor:
        r"""Return the minimizers of the data term and the distance to images.

        .. math:: \arg\min_u \frac{|A u - y - s e|^2}{2 s^2} + \frac{|u - z|^2}{2 t^2}
                  = \Big( I + \frac{t^2}{s^2} A^T A \Big)^{-1}
                    \Big( z + \frac{t^2}{s^2} A^T (y + s e) \Big)

        With e and ``(z - c) / t`` standard normal it is normal, with the mean for ``e = 0, z = c``
        and the covariance ``P = (A^T A / s^2 + I / t^2)^{-1}`` (perturb and optimize). If the
        residual of conjugate gradients is r, the error of the component with the singular value a
        is ``r / (1 + a^2 t^2 / s^2)``, relative to its spread at most ``r / t``: so the residual
        is made at most ``accuracy t sqrt(n)`` in norm, or what rounding leaves of the right-hand
        side, which is large at levels far above the noise of data.

        Parameters
        ----------
        z : torch.Tensor, shape (N, *X.shape)
        level : float
            t, greater than zero.
        noise : torch.Tensor, shape (N, *Y.shape), optional
            e; the default is zero.
        """
        ratio = (level / self.noise_level) ** 2
        back = self.back
        if noise is not None:
            back = back + self.noise_level * self._mapped(self.transpose, noise)

        def system(u):
            with torch.no_grad():
                return u + ratio * self.transpose(self.forward(u))

        right = z + ratio * back
        entries = z[0].numel() * (2 if z.is_complex() else 1)
        size = torch.linalg.vector_norm(right.flatten(1), dim=1).double().cpu().numpy()
        residual = np.maximum(self.accuracy * level * entries**0.5,
                              ROUNDING * torch.finfo(z.dtype).eps * size)  # fmt: skip
        return settled(conjugate_gradient(
            system, right, z, residual, self.maxiter, lower_bound=1.0), "GaussianLikelihood")


def _checked(layout, data, space):
    """Data as a batch of finite tensors of the dtype of the range."""
    if not isinstance(data, torch.Tensor) and data in space:
        data = layout.to_tensor(data)
    require_tensor("data", data)
    layout.check(data, "data")
    if data.dtype != layout.dtype:
        raise TypeError(f"data is of dtype {data.dtype}, expected {layout.dtype}, that of the "
                        "range of the operator; convert it by .to(dtype).")
    if not torch.isfinite(data).all() or data.ndim > layout.ndim + 1 or not data.numel():
        raise ValueError(f"data of shape {tuple(data.shape)} is empty, not finite, or has several "
                         f"batch axes, expected finite numbers of shape (N, {layout.shape}).")
    return data.detach().reshape(-1, *layout.shape)
