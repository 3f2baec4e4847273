"""The search for the parameter with the least risk, in logarithms."""

import math

#: Neighbors of a minimum are at most a factor of e away, where a parabola is about right.
NEAR = 1.0


class MinimumSearch:
    r"""The minimum of a function of ``log alpha``, from three points on.

    The best point so far goes on outwards until it is between two others; then the vertex of the
    parabola through the three is tried, until it is as near as asked for. The last point on the way
    outwards is the one that is ``factor`` away from the start. A value of infinity is one that is
    not known: it is never the best, and the way to it is halved until it is a neighbor.

    Attributes
    ----------
    alpha : float
        The parameter to try next, or the answer.
    bracket : pair of float
        Its neighbors, zero and infinity where there are none.
    is_done : bool
    """

    def __init__(self, start, width, factor, origin=None):
        self.alpha, self.is_done = start, False
        self._origin = start if origin is None else origin  # of ``factor``
        self._width, self._factor = math.log1p(width), math.log(factor)
        self._values = {}  # by log alpha
        self._pending = [math.log(start) + shift for shift in (math.log(2.5), -math.log(2.5))]

    @property
    def bracket(self):
        """Neighbors of the best point."""
        left, _, right = self._around()
        return (0.0 if left is None else math.exp(left),
                math.inf if right is None else math.exp(right))

    @property
    def is_known(self):
        """Whether the values of the best point and of both neighbors are known."""
        return all(p is not None and math.isfinite(self._values[p]) for p in self._around())

    @property
    def is_exhausted(self):
        """Whether the next parameter is out of reach."""
        return not self.is_done and math.log(self.alpha) in self._values

    def observe(self, value):
        """Take note of the value at ``alpha``, and choose what to try next."""
        self._values[math.log(self.alpha)] = value
        if self._pending:
            self.alpha = math.exp(self._pending.pop(0))
            return
        left, best, right = self._around()
        if left is None or right is None:
            step = 1.5 * (min(self._values, key=lambda p: math.inf if p == best else abs(p - best))
                          - best)  # fmt: skip
            log_alpha = best - min(max(step, -math.log(20)), math.log(20))
            first = math.log(self._origin)
            self.alpha = math.exp(min(max(log_alpha, first - self._factor), first + self._factor))
            return
        if math.isinf(self._values[left]) or math.isinf(self._values[right]):
            self._halve(left, best, right)
            return
        t = _vertex(self._values[best], self._values[left], self._values[right], best - left,
                    right - best)
        if max(right - best, best - left) <= NEAR and abs(t) <= self._width / 2:
            self.alpha, self.is_done = math.exp(best), True
            return
        if abs(t) <= self._width / 2:  # one neighbor is far
            t = 0.4 * (right - best) if right - best > best - left else 0.4 * (left - best)
        self.alpha = math.exp(best + t)

    def _halve(self, left, best, right):
        """Go half of the way to a neighbor that is not known, or end beside it."""
        side = left if math.isinf(self._values[left]) else right
        if abs(side - best) > NEAR:
            self.alpha = math.exp((side + best) / 2)
            return
        self.alpha, self.is_done = math.exp(best), True

    def _around(self):
        points = sorted(self._values)
        best = min(points, key=lambda p: (self._values[p], p))
        k = points.index(best)
        return (points[k - 1] if k else None, best,
                points[k + 1] if k + 1 < len(points) else None)  # fmt: skip


# f(best + t) = f(best) + s t + c t^2 through f(best + a) and f(best - b): with the two slopes
# r = s + c a and l = -s + c b, c = (r + l) / (a + b) and s = (r b - l a) / (a + b).
def _vertex(middle, before, after, b, a):
    r, l = (after - middle) / a, (before - middle) / b  # noqa: E741
    if not r + l > 0:
        return 0.0
    return min(max((l * a - r * b) / (2 * (r + l)), -0.8 * b), 0.8 * a)
