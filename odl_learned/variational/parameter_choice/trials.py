r"""The trials of a search for the least risk, and where it begins.

Where ``alpha`` is so large that images are constant, or whatever else the penalty does not see, the
risk does not depend on it, and what is left of a dependence is the error of the solves. So a search
begins at the first parameter from the start downwards at which images follow more than about four
numbers of the data: along a constant, a probe of random signs has the share ``z^2 / n`` with a
standard normal ``z``, less than ``4 / n`` for 95 of 100 probes.
"""

import math

from odl_learned.variational.parameter_choice.minimum import MinimumSearch

#: How many numbers of the data are followed, at least, where the search begins, and their share.
FOLLOWED, SHARE = 4, 0.25


class Trials:
    """A search for the least risk, with all that was tried.

    Parameters
    ----------
    risk : Risk
    start, width, factor : float
    """

    def __init__(self, risk, start, width, factor):
        self.risk, self.start, self.width, self.factor = risk, start, width, factor
        self.path = []

    def least(self):
        """Return the search that found a minimum, and the solution; raise ValueError if none is."""
        search, found, fit = self.searched(*self.descended())
        self.require_minimum(search, fit)
        return search, found

    def tried(self, alpha):
        """The solution and the fit of a parameter."""
        found, fit = self.risk(alpha)
        self.path.append(fit)
        return found, fit

    def first(self, alpha):
        """A trial at which the search may begin."""
        return self.tried(alpha)

    def is_known(self, fit):
        """Whether the risk of the last trial says anything."""
        return True

    def descended(self):
        """Solution and fit of the first on the way down whose image is more than constant."""
        share, last = min(FOLLOWED / self.risk.probe.count, SHARE), self.start / self.factor
        found, fit = self.first(self.start)
        while fit.degrees < share and fit.alpha > last:
            found, fit = self.first(max(fit.alpha / 5, last))
        return found, fit

    def searched(self, found, fit):
        """A search from a solution and its fit, and those of its best parameter."""
        search = MinimumSearch(fit.alpha, self.width, self.factor, self.start)
        search.observe(fit.risk)
        while not (search.is_done or search.is_exhausted):
            new, its = self.tried(search.alpha)
            is_known = self.is_known(its)
            search.observe(its.risk if is_known else math.inf)
            if is_known and its.risk < fit.risk:
                found, fit = new, its
        return search, found, fit

    def require_minimum(self, search, fit):
        """Raise ValueError unless the search ended between two larger values that are known."""
        if search.is_exhausted:
            way = "down" if search.alpha < self.start else "up"
            raise ValueError(
                f"the risk falls all the way {way} to alpha = {fit.alpha:.3g}, where it is "
                f"{fit.risk:.4g} with {fit.degrees:.3g} degrees of freedom for each number of the "
                f"data, from {self.path[0].risk:.4g} at the start; expected a minimum. Check "
                "the noise, and start elsewhere or with a larger factor.")
        if not search.is_known:
            raise ValueError(
                f"cross-validation falls down to alpha = {fit.alpha:.3g} with {fit.degrees:.3g} "
                "degrees of freedom for each number of the data, and below it is no more accurate "
                "than the probe and the solves: it decides nothing there, expected a minimum "
                "before. Take more accurate solves (a smaller rtol), or by_unbiased_risk or "
                "by_discrepancy with what is known of the noise.")
