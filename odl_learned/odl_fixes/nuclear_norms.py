r"""Repairs of the proximals of nuclear norms and of their unit balls.

With the singular value decomposition ``x = U diag(s) V*`` in every point, a proximal of a function
of the singular values is ``U diag(prox(s)) V*``. The decomposition is exact for a matrix that is
off by ``c eps' |x|``, with ``c`` about the sum of the sides; ``k`` singular values, added up, are
off by ``k c eps'``.
"""

import numpy as np
from odl.core.util import conj_exponent
from odl.functionals.default_functionals import IndicatorNuclearNormUnitBall, NuclearNorm

from odl_learned.odl_fixes.projections import Projection
from odl_learned.odl_fixes.registry import cures


def nuclear_rounding(space):
    """``4 k (m + n) eps'`` for matrices of ``m x n`` entries, ``k`` the smaller side."""
    sides = len(space), len(space[0])
    eps = float(np.finfo(str(space[0, 0].dtype_identifier)).eps)
    return 4 * min(sides) * sum(sides) * eps


@cures("The proximal of NuclearNorm is wrong for the maximum and for complex matrices.")
def nuclear_norm():
    original = NuclearNorm.proximal.fget

    def proximal(self):
        original(self)  # raises where there is none
        p = self.pwisenorm.exponent

        def factory(sigma=1.0):
            # Moreau: s - sigma P(s / sigma) with P the projection onto the ball of the dual norm.
            def shrink(s):
                return s - sigma * _onto_ball(s / sigma, conj_exponent(p), 0.0)

            return Projection(self.domain, lambda x, out: _on_singular_values(self, shrink, x, out))

        return factory

    yield NuclearNorm, "proximal", property(proximal)


@cures("IndicatorNuclearNormUnitBall is infinite at its own projections.")
def nuclear_ball():
    def _call(self, x):
        norm = self._IndicatorNuclearNormUnitBall__norm(x)
        return 0 if norm <= 1 + 2 * nuclear_rounding(self.domain) else np.inf

    def proximal(self):
        norm = self._IndicatorNuclearNormUnitBall__norm
        self.convex_conj.proximal  # noqa: B018  (raises where there is none)
        p, slack = norm.pwisenorm.exponent, nuclear_rounding(self.domain)

        def project(x, out):
            _on_singular_values(norm, lambda s: _onto_ball(s, p, slack), x, out)

        return lambda sigma=1.0: Projection(self.domain, project)

    yield IndicatorNuclearNormUnitBall, "_call", _call
    yield IndicatorNuclearNormUnitBall, "proximal", property(proximal)


def _on_singular_values(norm, function, x, out):
    """``U diag(function(s)) V*``, and ``x`` itself in the points where this changes nothing."""
    values = norm._asarray(x)
    double = values.astype(np.complex128 if np.iscomplexobj(values) else np.float64)
    u, s, v = np.linalg.svd(double, full_matrices=False)
    after = function(s)
    unchanged = np.all(after == s, axis=-1)[..., None, None]
    out.assign(norm._asvector(np.where(unchanged, values, (u * after[..., None, :]) @ v)))


def _onto_ball(s, p, slack):
    """The projection of nonnegative, decreasing vectors onto the unit ball of the p-norm.

    Vectors that exceed it by no more than the slack stay as they are. For p = 1 the threshold is
    ``t = max_k (s_1 + ... + s_k - 1) / k``.
    """
    size = np.linalg.norm(s, ord=p, axis=-1, keepdims=True)
    if p == np.inf:
        inside = np.minimum(s, 1)
    elif p == 2:
        inside = s / np.maximum(size, 1)
    else:
        k = np.arange(1, s.shape[-1] + 1)
        t = np.max((np.cumsum(s, axis=-1) - 1) / k, axis=-1, keepdims=True)
        inside = np.maximum(s - t, 0)
    return np.where(size <= 1 + slack, s, inside)
