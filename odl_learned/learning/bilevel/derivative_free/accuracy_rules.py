"""How accurate the trust-region algorithm wants residuals: as its decisions need, or always alike.

A rule knows the accuracy of models and of decreases, and whether a value or a model suffices.
"""

import math


class DynamicAccuracy:
    """How accurate residuals must be: criterion (32), and a multiple of ``Delta^2`` for models.

    Parameters
    ----------
    eta : float
        ``eta_1'``.
    model_accuracy : float
        Instead of 10.
    """

    def __init__(self, eta, model_accuracy):
        self.eta, self.model_accuracy = eta, model_accuracy

    def of_model(self, radius):
        """Return the accuracy of interpolated residuals."""
        return self.model_accuracy * radius**2

    def of_decrease(self, point, decrease):
        """Return ``tau`` with ``(|r~| + sqrt(B) tau)^2 - |r~|^2 = eta_1' decrease``."""
        square, budget = float(point.residuals @ point.residuals), self.eta * decrease
        # sqrt(f + b) - sqrt(f) = b / (sqrt(f + b) + sqrt(f)) without cancellation
        root = math.sqrt(square + budget) + math.sqrt(square)
        return budget / root / math.sqrt(len(point.errors)) if root > 0 else 0.0

    def suffices(self, point, decrease):
        """Whether the value is known well enough to judge such a decrease."""
        return point.value_bound <= self.eta * decrease

    def accurate(self, points, radius, floor):
        """Whether the residuals of these points are accurate enough for a model."""
        precision = max(self.of_model(radius), floor)
        return all(point.errors.max() <= precision for point in points)


class FixedAccuracy:
    """Always the same accuracy, taken to be enough."""

    def __init__(self, accuracy):
        self.accuracy = accuracy

    def of_model(self, radius):
        """Return the accuracy of interpolated residuals."""
        return self.accuracy

    def of_decrease(self, point, decrease):
        """Return the accuracy of values."""
        return self.accuracy

    def suffices(self, point, decrease):
        """Return True: values are believed."""
        return True

    def accurate(self, points, radius, floor):
        """Return True: models are believed, too."""
        return True
