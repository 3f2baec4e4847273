"""Schedules of accuracies for `hoag`: functions of the number of the step, 1 at the first.

HOAG converges where the accuracies can be summed over all steps, as each of these can
(F. Pedregosa, Hyperparameter optimization with approximate gradient, ICML 2016).
"""

from odl_learned.validation import require_count


def quadratic(k: int) -> float:
    """Return ``(k + 1)^-2``."""
    require_count("k", k, 0)
    return (k + 1.0) ** -2


def cubic(k: int) -> float:
    """Return ``(k + 1)^-3``."""
    require_count("k", k, 0)
    return (k + 1.0) ** -3


def exponential(k: int) -> float:
    """Return ``0.9^k``."""
    require_count("k", k, 0)
    return 0.9**k
