"""The error of an expression without a rule: which node, what is missing, what to do."""

from odl_learned.validation import shown


class NotAffine(NotImplementedError):
    """An operator is nonlinear in the images, so that an argument is not affine."""


def missing(node, what, kind=NotImplementedError):
    """Return the NotImplementedError that says what a node of an expression lacks.

    Parameters
    ----------
    node : odl.Operator or odl space
    what : str
        What is missing, a noun, perhaps with how to write it otherwise.
    kind : type
        Of the error.
    """
    return kind(
        f"{type(node).__name__} ({shown(node)}) has no certificates, expected {what}. Register a "
        "rule for its class, see odl_learned.energies.expressions, or state constants of your own: "
        "AutogradEnergy(bridge.as_energy(functional), lipschitz, strong_convexity)."
    )
