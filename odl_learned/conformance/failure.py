"""How a check fails: one exception, raised by one function.

An ``assert`` statement is no check: ``python -O`` leaves it out.
"""


class ConformanceError(AssertionError):
    """A promise that an object does not keep; the message has the identity and the numbers."""


def require(condition, message):
    """Raise ConformanceError with the message unless the condition holds."""
    if not condition:
        raise ConformanceError(message)


def require_small(error, tolerance, identity, hint=""):
    """Raise ConformanceError with both numbers unless ``error <= tolerance``.

    Parameters
    ----------
    error, tolerance : float
        Relative; an error that is NaN is not small.
    identity : str
        What should hold.
    hint : str, optional
        A sentence on what to look at.
    """
    hint = f" {hint}" if hint else ""
    require(error <= tolerance,
            f"{identity}: relative error {error:.2e}, allowed {tolerance:.0e}.{hint}")
