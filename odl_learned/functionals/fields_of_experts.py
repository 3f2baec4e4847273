"""Fields of experts: smoothed magnitudes of filter responses."""

import numpy as np
import odl
from numpy.typing import ArrayLike
from odl.core.space.base_tensors import TensorSpace

from odl_learned.operators import FilterBank, operator_norm
from odl_learned.validation import require_finite, require_positive, require_real, require_shape
from odl_learned.weights import entry_weights


class FieldsOfExperts(odl.functionals.Functional):
    r"""Weighted sum of the smoothed magnitudes of filter responses.

    .. math:: R(u) = \sum_k \alpha_k \int \sqrt{|f_k * u|^2 + \nu^2}, \qquad
              \nabla R(u) = \sum_k \alpha_k F_k^* \frac{F_k u}{\sqrt{|F_k u|^2 + \nu^2}} .

    Convex and differentiable: ``grad_lipschitz`` is
    :math:`|\sum_k \alpha_k F_k^* F_k| / \nu`, in the inner product of the space. Correlation
    ``F_k u = f_k * u`` and boundary are those of `operators.FilterBank`.

    Parameters
    ----------
    space : ``uniform_discr``, ``rn`` or ``cn`` space
        Images, real or complex.
    filters : array of real numbers, shape ``(K, s_1, ..., s_d)``
        Filters, none longer than the image along any axis.
    alphas : array of real numbers, shape ``(K,)``
        Regularization parameters, nonnegative.
    nu : float
        Smoothing, positive, in the units of the responses.

    Raises
    ------
    TypeError
        If the space is not on numpy, its inner product no weighted sum, or a number complex.
    ValueError
        If a shape does not fit, a number is not finite or out of bounds.

    References
    ----------
    S. Roth, M. J. Black, *Fields of experts*, Int. J. Comput. Vis. 82 (2009); Y. Chen, R. Ranftl,
    T. Pock, *Insights into analysis operator learning: from patch-based sparse models to
    higher-order MRFs*, IEEE Trans. Image Process. 23 (2014).

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> from odl_learned import functionals
    >>> X = odl.uniform_discr([0, 0], [4, 4], (4, 4))
    >>> filters = np.zeros((2, 3, 3))
    >>> filters[0, 1], filters[1, :, 1] = [0, -1, 1], [0, -1, 1]
    >>> f = functionals.FieldsOfExperts(X, filters, alphas=[1.0, 2.0], nu=1e-3)
    >>> step = X.element([[0] * 4] * 2 + [[1] * 4] * 2)
    >>> print(f"{f(step):.2f}")  # an edge of length 4, of weight 2
    8.04
    """

    def __init__(
        self, space: TensorSpace, filters: ArrayLike, alphas: ArrayLike, nu: float
    ) -> None:
        self.bank = FilterBank(space, filters)
        alphas = np.asarray(alphas)
        require_shape(
            "alphas", alphas, (len(self.bank.filters),), "Pass one parameter for every filter."
        )
        require_finite("alphas", alphas)
        require_real("alphas", alphas)
        if np.min(alphas) < 0:
            raise ValueError(
                f"alphas have the negative value {np.min(alphas)}, expected nonnegative ones; "
                "leave out a filter by the parameter zero."
            )
        require_positive("nu", nu)
        self.alphas, self.nu = alphas.astype(np.float64), float(nu)
        roots = np.sqrt(self.alphas).reshape(-1, *[1] * space.ndim)
        lipschitz = operator_norm(FilterBank(space, roots * self.bank.filters)) ** 2 / self.nu
        super().__init__(space, linear=False, grad_lipschitz=lipschitz)

    def _call(self, u):
        weights = entry_weights(self.domain)
        common, each = (weights, 1.0) if isinstance(weights, float) else (1.0, weights)
        total = sum(
            alpha * float(np.sum(each * self._length(part.data), dtype=np.float64))
            for alpha, part in zip(self.alphas.tolist(), self.bank(u), strict=True)
        )
        return common * total

    @property
    def gradient(self) -> odl.Operator:
        """The gradient operator."""
        return _ExpertsGradient(self)

    def _length(self, response):
        """Return sqrt(|p|^2 + nu^2) as an array."""
        square = response.real**2 + self.nu**2
        if np.iscomplexobj(response):
            square += response.imag**2
        return np.sqrt(square)


class _ExpertsGradient(odl.Operator):
    def __init__(self, functional):
        super().__init__(functional.domain, functional.domain, linear=False)
        self.functional = functional

    def _call(self, u):
        f = self.functional
        responses = f.bank(u)
        for alpha, part in zip(f.alphas.tolist(), responses, strict=True):
            part.data[...] *= alpha / f._length(part.data)
        return f.bank.adjoint(responses)
