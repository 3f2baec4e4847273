"""Correlation of an image with several small filters."""

import numpy as np
import odl
from numpy.typing import ArrayLike
from odl.core.space.base_tensors import TensorSpace

from odl_learned.odl_validation import require_array_space, require_operator
from odl_learned.validation import require_finite, require_real
from odl_learned.weights import entry_weights, has_constant_weight, unweigh, weigh


class FilterBank(odl.Operator):
    r"""Correlation with ``K`` small filters, the image reflected at its boundary.

    .. math:: (A u)_k = f_k * u, \qquad (f * u)(x) = \sum_t f(t) \, u(x + t - c),

    with ``c`` the center ``(s_1 // 2, ..., s_d // 2)`` of a filter of shape ``s``. Beyond the
    boundary the image goes on as its mirror image, edge values repeated (Neumann), so that filters
    with sum zero send constant images to zero. Filters act on pixels, whatever the cell sides.
    Image and responses share their weights: where these are one number, the adjoint is the
    transpose.

    For fields of experts that are not smoothed, ``sum_k alpha_k |f_k * u|_1`` is ODL's
    ``GroupL1Norm(bank.range, exponent=1) @ bank`` with the filters multiplied by ``alpha_k``: hand
    functional and bank to ``odl.solvers.pdhg``.

    Parameters
    ----------
    space : ``uniform_discr``, ``rn`` or ``cn`` space
        Images, real or complex.
    filters : array of real numbers, shape ``(K, s_1, ..., s_d)``
        Filters, none longer than the image along any axis.

    Raises
    ------
    TypeError
        If the space is not on numpy, its inner product no weighted sum, or the filters complex.
    ValueError
        If the filters are not finite or their shape does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> from odl_learned import operators
    >>> X = odl.uniform_discr([0, 0], [3, 4], (3, 4))
    >>> filters = np.zeros((1, 3, 3))
    >>> filters[0, 1] = [0, -1, 1]  # differences along the second axis
    >>> D = operators.FilterBank(X, filters)
    >>> u = X.element([[0, 1, 3, 6]] * 3)
    >>> print(D(u)[0].data[0])
    [1. 2. 3. 0.]
    >>> isinstance(D.adjoint, operators.FilterBankAdjoint)
    True
    >>> v = D.range.one()
    >>> print(D(u).inner(v), u.inner(D.adjoint(v)))
    18.0 18.0
    """

    def __init__(self, space: TensorSpace, filters: ArrayLike) -> None:
        require_array_space("space", space)
        if space.impl != "numpy":
            raise TypeError(f"space is {space!r}, expected one on numpy; build it with "
                            "odl.uniform_discr, odl.rn or odl.cn.")
        entry_weights(space)
        filters = np.asarray(filters)
        require_finite("filters", filters)
        require_real("filters", filters)
        sizes = filters.shape[1:]
        if filters.ndim != space.ndim + 1 or filters.size == 0 or any(
                s > n for s, n in zip(sizes, space.shape)):
            raise ValueError(
                f"filters have shape {filters.shape}, expected (K, s_1, ..., s_{space.ndim}) with "
                f"K >= 1 filters no longer than the image, of shape {space.shape}; stack them with "
                "numpy.stack."
            )
        super().__init__(space, space ** len(filters), linear=True)
        self.filters = filters.astype(np.zeros(0, space.dtype).real.dtype)
        self.filters.flags.writeable = False
        self.paddings = [(s // 2, s - 1 - s // 2) for s in sizes]

    def _call(self, u):
        padded = np.pad(u.data, self.paddings, mode="symmetric")
        responses = np.zeros((len(self.filters), *self.domain.shape), padded.dtype)
        for index, window in _windows(self):
            for response, factor in zip(responses, self.filters[:, *index]):
                response += factor * padded[window]
        return self.range.element(list(responses))

    @property
    def adjoint(self) -> "FilterBankAdjoint":
        """The transposed filters, then the padding folded back, between the weights."""
        return FilterBankAdjoint(self)


class FilterBankAdjoint(odl.Operator):
    r"""Adjoint of `FilterBank`: the sum of all responses, filtered back.

    .. math:: A^* v = W^{-1} P^T \sum_k F_k^T W v_k

    with ``P`` the reflecting padding, ``F_k`` the correlation of the padded image and ``W`` the
    weights of the space.

    Parameters
    ----------
    bank : FilterBank
        The operator ``A``; it is the adjoint of this one.

    Raises
    ------
    TypeError
        If it is none.
    """

    def __init__(self, bank: FilterBank) -> None:
        require_operator("bank", bank, FilterBank, "take the property adjoint of one.")
        super().__init__(bank.range, bank.domain, linear=True)
        self.bank = bank

    def _call(self, v):
        if has_constant_weight(self.range):
            return self._transpose(v)
        return unweigh(self._transpose(weigh(v)))

    def _transpose(self, v):
        bank, responses = self.bank, [part.data for part in v]
        shape = [n + sum(pad) for n, pad in zip(self.range.shape, bank.paddings)]
        padded = np.zeros(shape, self.range.dtype)
        for index, window in _windows(bank):
            for response, factor in zip(responses, bank.filters[:, *index]):
                padded[window] += factor * response
        for axis, (before, after) in enumerate(bank.paddings):
            padded = _fold(np.moveaxis(padded, axis, 0), before, after)
            padded = np.moveaxis(padded, 0, axis)
        return self.range.element(np.ascontiguousarray(padded))

    @property
    def adjoint(self) -> FilterBank:
        """The operator of which this is the adjoint."""
        return self.bank


def _windows(bank):
    """Yield every index into a filter with the part of the padded image that it multiplies."""
    for index in np.ndindex(bank.filters.shape[1:]):
        yield index, tuple(slice(t, t + n) for t, n in zip(index, bank.domain.shape))


def _fold(x, before, after):
    """Return the transpose of a reflecting padding along axis 0."""
    inner = x[before : len(x) - after].copy()
    inner[:before] += x[:before][::-1]
    if after:
        inner[-after:] += x[-after:][::-1]
    return inner
