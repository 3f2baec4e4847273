r"""Complex numbers as pairs of real ones.

A product of a real and a complex space is no linear space of ODL, so that a problem with a real
image and complex data has to hold its data in real pairs.
"""

import odl

from odl_learned.odl_validation import require_space
from odl_learned.weights import component_weights


def real_parts(space: odl.core.set.space.LinearSpace) -> odl.Operator:
    r"""Return the operator that takes complex elements apart, linear over the real numbers.

    .. math:: P y = (\text{Re}\, y, \text{Im}\, y), \qquad
              \langle P y, P z \rangle = \text{Re} \langle y, z \rangle, \qquad
              P^{-1} = P^* .

    Parameters
    ----------
    space : complex odl tensor space or odl.DiscretizedSpace, or a product of such spaces
        Without weights of the factors of a product.

    Returns
    -------
    operator : odl.Operator
        From the space to ``R x R`` with its real twin ``R``, factor by factor of a product.

    Raises
    ------
    TypeError
        If this is no complex space, or a product with weights of its own.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import operators
    >>> P = operators.real_parts(odl.cn(2))
    >>> real, imaginary = P([1 + 2j, 3 - 1j])
    >>> print(real, imaginary)
    [1., 3.] [ 2., -1.]
    """
    require_space("space", space)
    if isinstance(space, odl.ProductSpace):
        if any(weight != 1 for weight in component_weights(space)):
            raise TypeError(
                f"space is {space!r}, expected a product without weights of its own; weight its "
                "factors instead."
            )
        return odl.DiagonalOperator(*[real_parts(part) for part in space])
    if space.field != odl.ComplexNumbers():
        raise TypeError(f"space is {space!r}, expected a complex one; a real element is its own "
                        "real part.")
    return odl.BroadcastOperator(odl.RealPart(space), odl.ImagPart(space))
