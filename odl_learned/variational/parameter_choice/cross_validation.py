r"""The search for the parameter of least cross-validation, where the noise is not known.

Where the images follow nearly all of the data, ``delta -> 1``, the residual ``rho`` and the rest
``r = 1 - delta`` vanish together, and the quotient ``rho^2 / r^2`` says nothing any more:

- Hutchinson's estimate of ``r`` with random signs has the variance ``2 |(I - J)_off|^2 / n^2``, at
  most ``2 r / n`` where the derivative ``J`` of ``y -> A x(y)`` has eigenvalues from 0 to 1, since
  the sum of the squares of those of ``I - J`` is at most its trace ``n r``.
- Inexact solves, whose errors are at most ``e`` and ``e'``, change ``r`` by at most ``(e + e') /
  t``. An error that knows nothing of the signs of the probe has the share ``1 / sqrt(n)`` of that
  along it.

So a trial decides nothing unless ``r`` is more than the sum of the two deviations.

- A step ``t`` much smaller than the noise sees the curvature of the penalty at the noisy data,
  where a kink that the noise itself jumps over is smooth. In denoising by total variation ``r`` is
  then too large, in the limit by any factor, and the quotient falls to zero with ``alpha``. One
  much larger than the noise sees too little of the regularization.

So the step has to be that of the noise, and the residual of a parameter is about the noise only
where ``r`` is not small: ``E rho^2 >= sigma^2 (1 - delta)^2`` for linear methods, also without a
signal. The search starts where ``r`` is at least a half, and is done again from its answer where
the residual there is less than half of the one that made the step.
"""

import math

from odl_learned.variational.parameter_choice.trials import Trials

#: The share of the data that is not followed where the search starts.
REST = 0.5
#: How many steps in turn may prove too large.
ROUNDS = 4


class CrossValidation(Trials):
    """One search after another, until the step belongs to the residual of the answer.

    Parameters
    ----------
    risk : Risk
        With ``unit``, the residual whose fraction is the step.
    start, width, factor : float
    """

    def least(self):
        """Return the search that found a minimum, and the solution; raise ValueError if none is."""
        begun = self.descended()
        for _ in range(ROUNDS):
            search, found, fit = self.searched(*self._ascended(*begun))
            if fit.residual >= self.risk.unit / 2:
                break
            self.risk.unit = None
            begun = self.tried(fit.alpha)
        self.require_minimum(search, fit)
        return search, found

    def first(self, alpha):
        """A trial with the step of its own residual."""
        self.risk.unit = None
        return self.tried(alpha)

    def is_known(self, fit):
        """Whether ``1 - delta`` is larger than the deviations of probe and solves."""
        return decides(1 - fit.degrees, self.risk.slack, self.risk.probe.count)

    def _ascended(self, found, fit):
        """Solution and fit of the first on the way up whose residual is about the noise."""
        last = self.start * self.factor
        while not (self.is_known(fit) and 1 - fit.degrees >= REST):
            if fit.alpha >= last:
                raise ValueError(
                    f"the images follow {fit.degrees:.3g} of the data at alpha = {fit.alpha:.3g}, "
                    f"and more before; expected a parameter up to there that leaves {REST:g} of "
                    "them. The residual says nothing of the noise where nearly all of it is "
                    "fitted; start from a larger parameter or with a larger factor, or take "
                    "by_unbiased_risk or by_discrepancy with what is known of the noise.")
            # The rest is about proportional to alpha while it is small.
            growth = min(max(1.5 * REST / max(1 - fit.degrees, 1e-6), 2.5), 20.0)
            found, fit = self.first(min(fit.alpha * growth, last))
        return found, fit


def decides(rest, slack, count):
    """Whether ``1 - delta`` is larger than the deviations of probe and solves."""
    return rest > math.sqrt(2 * max(rest, 0.0) / count) + slack / math.sqrt(count)
