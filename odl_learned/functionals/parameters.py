"""Functionals of images and parameters: ODL's algebra with the parameters as a block of the domain.

A parametric energy is a functional on ``X x Theta``, or on ``X x Theta x Y`` with the data as a
third block, put together from functionals of single blocks:

.. code-block:: python

    u, (alpha, nu), y = arguments(X, 2, A.range)
    energy = 0.5 * L2NormSquared(A.range) @ (A @ u - y) + smoothed_length(D @ u, alpha, nu)

is ``|A u - y|^2 / 2 + exp(theta_0) int sqrt(|D u|^2 + exp(2 theta_1))``, with a gradient in all
blocks.
"""

import math

import numpy as np
import odl
from odl.core.set.space import LinearSpaceElement
from odl.core.space.base_tensors import TensorSpace
from odl.functionals import Functional

from odl_learned.odl_validation import require_array_space, require_functional, require_index
from odl_learned.operators.blocks import BlockInsertion
from odl_learned.validation import require_count, shown
from odl_learned.weights import entry_weights


def parameter_space(space: TensorSpace, size: int) -> TensorSpace:
    """Return the space of ``size`` parameters that goes with a space of images.

    ODL multiplies spaces over one field only, so that the parameters of complex images are complex
    vectors, of which the functionals here use the real parts.

    Parameters
    ----------
    space : odl tensor space
        Images, real or complex.
    size : int
        Number of parameters.

    Returns
    -------
    parameters : odl.rn or odl.cn space
        Of the precision of ``space``.

    Raises
    ------
    TypeError, ValueError
        If this is no space of images, or the number is not positive and whole.
    """
    require_array_space("space", space)
    require_count("size", size)
    make = odl.cn if isinstance(space.field, odl.ComplexNumbers) else odl.rn
    return make(size, dtype=space.dtype_identifier)


def arguments(
    space: TensorSpace, size: int, data: odl.LinearSpace
) -> tuple[odl.ComponentProjection, list[odl.functionals.Functional], odl.ComponentProjection]:
    r"""Return the arguments of an energy with positive parameters, to write it in ODL.

    .. math:: (u, \theta, y) \in X \times \Theta \times Y \; \mapsto \; u, \quad
              (e^{\theta_0}, \dots, e^{\theta_{n - 1}}), \quad y

    Parameters
    ----------
    space : odl tensor space
        ``X``, images, real or complex.
    size : int
        ``n``, number of parameters.
    data : odl space
        ``Y``, such as the range of the forward operator.

    Returns
    -------
    image, data : odl.ComponentProjection
        From ``X x Theta x Y``, with ``Theta`` the `parameter_space`.
    parameters : list of odl.functionals.Functional
        In the middle: exponentials of the coordinates of ``theta``, on the same domain.

    Raises
    ------
    TypeError, ValueError
        If these are no spaces, over different fields, or the number is not positive and whole.
    """
    parameters = parameter_space(space, size)
    if not isinstance(data, odl.core.set.space.LinearSpace):
        raise TypeError(f"data is {shown(data)}, expected an odl space such as A.range.")
    if data.field != space.field:
        raise ValueError(f"data is over {data.field!r}, expected {space.field!r} as the images; "
                         "take spaces of real numbers, or of complex ones, for both.")
    domain = odl.ProductSpace(space, parameters, data)
    image, theta, measured = (odl.ComponentProjection(domain, i) for i in range(3))
    return image, [Exponential(Coordinate(parameters, i)) @ theta for i in range(size)], measured


class Coordinate(Functional):
    r"""One entry of a vector, ``x -> Re x_i``, with the gradient ``e_i / w_i``.

    Parameters
    ----------
    space : odl tensor space
        Of any shape and any weights.
    index : int or tuple of int
        Which entry.

    Raises
    ------
    TypeError, IndexError
        If this is no space of arrays, or there is no such entry.
    """

    def __init__(self, space: TensorSpace, index: int | tuple[int, ...]) -> None:
        require_array_space("space", space)
        self.index = index if isinstance(index, tuple) else (index,)
        if len(self.index) != len(space.shape):
            raise IndexError(f"index is {index}, expected one entry of an array of shape "
                             f"{space.shape}; count from 0.")
        for i, n in zip(self.index, space.shape, strict=True):
            require_index("index", i, n, "an entry")
        is_real = not isinstance(space.field, odl.ComplexNumbers)
        super().__init__(space, linear=is_real, grad_lipschitz=0)
        unit = np.zeros(space.shape)
        unit[self.index] = 1
        self.direction = space.element((unit / entry_weights(space)).astype(space.dtype))

    def _call(self, x):
        return float(np.real(x.data[self.index]))

    @property
    def gradient(self) -> odl.Operator:
        """The constant ``e_i / w_i``."""
        return odl.ConstantOperator(self.direction)

    @property
    def adjoint(self) -> odl.Operator:
        """``t -> t e_i / w_i``."""
        return odl.MultiplyOperator(self.direction, domain=self.range)


class Exponential(Functional):
    r"""The exponential of a functional: positive, as a regularization parameter must be.

    .. math:: F(x) = \exp f(x), \qquad \nabla F(x) = F(x) \nabla f(x).

    Parameters
    ----------
    functional : odl.functionals.Functional
        ``f``, real-valued.

    Raises
    ------
    TypeError
        If this is no functional.
    """

    def __init__(self, functional: odl.functionals.Functional) -> None:
        require_functional("functional", functional)
        super().__init__(functional.domain, linear=False)
        self.functional = functional

    def _call(self, x):
        return math.exp(np.real(self.functional(x)))

    @property
    def gradient(self) -> odl.Operator:
        """The gradient operator, where the functional has one."""
        return _ExponentialGradient(self)


class _ExponentialGradient(odl.Operator):
    def __init__(self, exponential):
        super().__init__(exponential.domain, exponential.domain, linear=False)
        self.exponential = exponential
        self.slope = exponential.functional.gradient

    def _call(self, x):
        return self.exponential(x) * self.slope(x)


def fix_block(
    functional: odl.functionals.Functional, index: int, element: LinearSpaceElement
) -> odl.functionals.Functional:
    """Return a functional of the other blocks, one block of its domain held fixed.

    With ``F`` on ``X x Theta``, ``fix_block(F, 1, theta)`` is the functional ``u -> F(u, theta)``
    on ``X``, with the gradient in ``X``.

    Parameters
    ----------
    functional : odl.functionals.Functional
        On a product of two or more spaces.
    index : int
        Number of the fixed block.
    element : element of ``functional.domain[index]``
        Its value.

    Returns
    -------
    functional : odl.functionals.FunctionalComp
        On the product of the other blocks, or on the other block where only one is left.

    Raises
    ------
    TypeError, IndexError
        If this is no functional, its domain no product, there is no such block, or the element is
        not in it.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import functionals
    >>> X = odl.rn(2)
    >>> u, parameters, y = functionals.arguments(X, 1, X)
    >>> E = odl.functionals.L2NormSquared(X) @ (u - y)  # on X x parameters x data
    >>> f = functionals.fix_block(E, 2, X.element([3.0, 4.0]))
    >>> print(f.domain, f([[0, 0], [1]]))
    rn(2) x rn(1) 25.0
    """
    require_functional("functional", functional)
    return functional @ BlockInsertion(functional.domain, index, element)
