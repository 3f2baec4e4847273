"""Reconstructions for many candidates of a mask at once: what `greedy` and `exchange` compare."""

import copy

import numpy as np
import torch

from odl_learned.energies.coefficients.functions import Coefficients
from odl_learned.energies.energy import ParametricEnergy
from odl_learned.energies.variation_energy import VariationEnergy
from odl_learned.learning.bilevel.loss import SquaredError
from odl_learned.learning.bilevel.lower.lower_level import LowerLevel
from odl_learned.learning.bilevel.lower.lower_solvers import Newton
from odl_learned.learning.bilevel.problem import BilevelProblem
from odl_learned.learning.bilevel.sampling.problems import (
    error_factor,
    measured,
    repeated,
    require_pattern,
    require_regularizer,
)
from odl_learned.validation import require_count, require_positive


class WeightsInData(ParametricEnergy):
    """The energy of sampling with weights of its own for every sample: data ``(y, s^2)``.

    Parameters
    ----------
    fidelity : FourierSampling or CoilSampling
    regularizer : Regularizer
    alpha, xi : float
    """

    follows_dual = True
    has_formulas = True

    def __init__(self, fidelity, regularizer, alpha, xi):
        self._fidelity, self._regularizer = fidelity, regularizer
        self._alpha, self._xi = 0.0 if regularizer.is_zero else float(alpha), float(xi)

    def value(self, x, params, data):
        """Return ``E`` of every sample."""
        return self._inner(data).value(x, params, data[0])

    def gradient(self, x, params, data):
        """Return ``d_x E``."""
        return self._inner(data).gradient(x, params, data[0])

    def linearize(self, x, params, data):
        """Return the `Linearization` at ``x``."""
        return self._inner(data).linearize(x, params, data[0])

    def linearize_from(self, x, params, data, state):
        """Return a `Linearization` for Newton's method, and the next state."""
        return self._inner(data).linearize_from(x, params, data[0], state)

    def lipschitz(self, params):
        """Return the bound for weights up to one."""
        one = torch.ones(1, dtype=torch.float64)
        return self._inner((None, one)).lipschitz(params)

    def strong_convexity(self, params):
        """Return ``xi``."""
        return self._xi

    def rounding(self, x, params, data):
        """Bound the rounding error of the gradient."""
        return self._inner(data).rounding(x, params, data[0])

    def _inner(self, data):
        r = self._regularizer
        c = Coefficients(self._alpha, r.nu, self._xi, data[1])
        return VariationEnergy(self._fidelity, r.transform, r.potential, lambda params: c)


class Trials:
    """Reconstructions for many sets of members at once."""

    def __init__(self, truth, data, pattern, regularizer, alpha, xi, sensitivities, accuracy,
                 batch):  # fmt: skip
        require_positive("alpha", alpha)
        require_positive("xi", xi)
        require_count("batch", batch)
        require_regularizer(regularizer, truth)
        self._fidelity, self._data = measured(truth, data, sensitivities)
        require_pattern(pattern, truth)
        self._energy = WeightsInData(self._fidelity, regularizer, alpha, xi)
        self._truth, self._pattern, self._coils = truth, pattern, sensitivities
        self._factor = error_factor(truth)
        norms = truth.abs().double().flatten(1).norm(dim=1)
        self.accuracy = accuracy * norms.clamp_min(1e-12).cpu().numpy()
        self._batch = batch

    def of_samples(self, indices):
        """Return the trials of some of the images; errors are means over these."""
        some = copy.copy(self)
        some._truth, some._data = self._truth[indices], self._data[indices]
        some._factor, some.accuracy = error_factor(some._truth), self.accuracy[indices]
        return some

    def best(self, chosen, rest, x):
        """Return the least error, the member that leads to it, and its reconstructions."""
        masks = []
        for i in rest:
            more = chosen.clone()
            more[i] = True
            masks.append(more)
        errors, images = self.values(masks, x)
        least = int(errors.argmin())
        return float(errors[least]), rest[least], images[least]

    def values(self, masks, x):
        """Return the mean squared errors of sets of members, and reconstructions of the best.

        The reconstructions are a dict: only that of the least error so far is kept.
        """
        errors, kept, least = [], {}, float("inf")
        at_once = max(1, self._batch // len(x))
        for k in range(0, len(masks), at_once):
            found, images = self._errors(masks[k : k + at_once], x)
            at = int(found.argmin())
            if float(found[at]) < least:
                least, kept = float(found[at]), {k + at: images[at].clone()}
            errors.append(found)
        return torch.cat(errors), kept

    def _errors(self, masks, x):
        count, size = len(masks), len(x)
        weights = torch.stack([torch.fft.ifftshift(torch.as_tensor(self._pattern.mask(mask)))
                               for mask in masks])  # fmt: skip
        weights = weights.to(x.real.dtype if x.is_complex() else x.dtype)
        weights = repeated(weights, self._coils).repeat_interleave(size, 0)
        data = self._data.repeat(count, *[1] * (self._data.ndim - 1))
        many = [count, *[1] * (x.ndim - 1)]
        loss = SquaredError(self._truth.repeat(many), self._factor)
        problem = BilevelProblem(self._energy, (data, weights), loss, x.repeat(many))
        lower = LowerLevel(problem, Newton(), memory=0)
        solution = lower.solve(torch.zeros(1, dtype=torch.float64), np.tile(self.accuracy, count))
        errors = loss.value(solution.x).reshape(count, size).sum(1)
        return errors, solution.x.reshape(count, *x.shape)
