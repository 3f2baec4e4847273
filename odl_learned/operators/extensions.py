"""Extensions of images beyond their boundary, by zeros and by reflection, with exact adjoints."""

from collections.abc import Sequence

import numpy as np
import odl

from odl_learned.odl_validation import require_operator, shown
from odl_learned.operators.group import require_pixels
from odl_learned.validation import require_count
from odl_learned.weights import constant_weight


def _zero_extension(space, margin):
    """Zeros on either side of every axis; its adjoint cuts them off."""
    shape = [n + 2 * m for n, m in zip(space.shape, margin, strict=True)]
    return odl.ResizingOperator(space, ran_shp=shape, offset=margin)


class ReflectedExtension(odl.Operator):
    """Extension of images by reflection at their border, by a margin on either side.

    Parameters
    ----------
    space : ``uniform_discr`` space
    margin : sequence of int
        Number of pixels appended on either side of every axis, at most its length.

    Raises
    ------
    TypeError
        If the space is not a constantly weighted discretization.
    ValueError
        If the margins are not one whole number for each axis, from zero to its length.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import operators
    >>> X = odl.uniform_discr([0], [4], (4,))
    >>> E = operators.ReflectedExtension(X, (2,))
    >>> print(E([1, 2, 3, 4]).data)
    [2. 1. 1. 2. 3. 4. 4. 3.]
    >>> isinstance(E.adjoint, operators.ReflectedExtensionAdjoint)
    True
    >>> print(E.adjoint(E.range.one()).data)  # how often each pixel is there
    [2. 2. 2. 2.]
    """

    def __init__(self, space: odl.DiscretizedSpace, margin: Sequence[int]) -> None:
        require_pixels(space)
        if not isinstance(margin, tuple | list) or len(margin) != space.ndim:
            raise ValueError(f"margin is {shown(margin)}, expected {space.ndim} whole numbers, one "
                             "for each axis of `space`.")
        for m, n in zip(margin, space.shape, strict=True):
            require_count("margin", m, 0)
            if m > n:
                raise ValueError(f"margin is {shown(m)}, expected at most {n}, the length of the "
                                 "axis: pixels are reflected once.")
        super().__init__(space, _zero_extension(space, margin).range, linear=True)
        self.margin = tuple(margin)

    @property
    def sources(self) -> list[np.ndarray]:
        """For every axis the index of the pixel that each pixel of the extension repeats."""
        return [np.pad(np.arange(n), m, mode="symmetric")
                for n, m in zip(self.domain.shape, self.margin, strict=True)]  # fmt: skip

    def _call(self, u):
        return self.range.element(u.data[np.ix_(*self.sources)])

    @property
    def adjoint(self) -> "ReflectedExtensionAdjoint":
        """Fold the margins back."""
        return ReflectedExtensionAdjoint(self)


class ReflectedExtensionAdjoint(odl.Operator):
    """Adjoint of `ReflectedExtension`: add to every pixel those that repeat it.

    Parameters
    ----------
    extension : ReflectedExtension
        The operator of which this is the adjoint.

    Raises
    ------
    TypeError
        If it is none.
    """

    def __init__(self, extension: ReflectedExtension) -> None:
        require_operator("extension", extension, ReflectedExtension,
                         "take the property adjoint of one.")
        super().__init__(extension.range, extension.domain, linear=True)
        self.extension = extension

    @property
    def weight_ratio(self) -> float:
        """The weight of the extension over that of the image, one up to rounding errors."""
        return constant_weight("domain", self.domain) / constant_weight("range", self.range)

    def _call(self, v):
        folded = np.zeros(self.range.shape, dtype=self.range.dtype)
        np.add.at(folded, np.ix_(*self.extension.sources), v.data)
        return self.range.element(self.weight_ratio * folded)

    @property
    def adjoint(self) -> ReflectedExtension:
        """The extension."""
        return self.extension
