r"""Constants that an energy claims, and what refutes them.

For all points and directions, samples one by one,

.. math:: \mu |x - z|^2 \le \langle g(x) - g(z), x - z \rangle, \quad |g(x) - g(z)| \le L |x - z|,
          \qquad \mu |v|^2 \le \langle v, H(x) v \rangle, \quad |H(x) v| \le L |v|,

with ``g = d_x E`` and ``H = d_x^2 E``. One pair that does otherwise proves a constant wrong, and
the certificate ``|g| / mu`` with it; that no pair did proves nothing. What is computed anyway is
compared here: gradients along the way of a solver, adjoints of hypergradients. `claim_trial` looks
for pairs that refute.

True constants are never refuted: numbers count up to the bound of rounding errors that the energy
gives, and up to errors that are measured where a pair is suspicious. Wrong ones by less than a
millionth do not matter.
"""

import warnings

import torch

from odl_learned.energies.samples import sample_changes, sample_inner, sample_norms

MARGIN = 1e-6
EPS = torch.finfo(torch.float64).eps


class Claims:
    """The constants of an energy at some parameters, as long as nothing refutes them.

    Parameters
    ----------
    energy : ParametricEnergy
    params : tensor ``(P,)``
    lipschitz, strong_convexity : float
    refuted : list of pairs
        Parameters and names of what is refuted there; shared by all parameters, and added to.
    """

    def __init__(self, energy, params, lipschitz, strong_convexity, refuted):
        self._energy, self._params, self.refuted = energy, params.detach(), refuted
        self.lipschitz, self.strong_convexity = lipschitz, strong_convexity

    def stands(self, *names):
        """Whether none of these is refuted: ``"constants"``, ``"curvature"``, ``"loss"``."""
        return not any(name in names and torch.equal(params, self._params)
                       for params, name in self.refuted)  # fmt: skip

    def refute(self, name, what):
        """Note that a claim is wrong, and warn, once for the same parameters."""
        if not self.stands(name):
            return
        self.refuted.append((self._params.clone(), name))
        warnings.warn(
            f"{what}. Error bounds that need it are infinite. Run check_energy(energy, x, params, "
            "data, rng) and correct what it names.", RuntimeWarning, stacklevel=2)  # fmt: skip

    def gradients(self, f, x, slope, z, other):
        """Compare the gradients of ``f`` at two batches of points."""
        if not self.stands("constants"):
            return
        mu, L, eps = self.strong_convexity, self.lipschitz, torch.finfo(x.dtype).eps
        distance, length, product = sample_changes(x, z, slope, other)
        distance = distance.clamp_min(1e-300)
        rate, along = length / distance, product / distance.square()
        reach = sample_norms(x) + sample_norms(z)
        # The least that rounding errors are: most pairs need no more.
        doubt = 16 * eps * torch.maximum(rate, rate.new_tensor(L)) * reach / distance
        if not self._suspicious(rate, along, doubt).any():
            return
        measured = 2 * (_noise(f, x, distance) + _noise(f, z, distance))
        known = f.energy.rounding(x, f.params, f.data) + f.energy.rounding(z, f.params, f.data)
        doubt = (known + measured) / distance + 2 * x[0].numel() * EPS * rate
        wrong = self._suspicious(rate, along, doubt)
        if wrong.any():
            self._name(rate, along, wrong, "gradients of a sample change by {} times the distance "
                       "of their points", mu, L)  # fmt: skip

    def products(self, hessian, v, image):
        """Compare products ``image = H v`` with a batch of directions."""
        if not self.stands("constants"):
            return
        mu, L, eps = self.strong_convexity, self.lipschitz, torch.finfo(v.dtype).eps
        length = sample_norms(v).clamp_min(1e-300)
        rate, along = sample_norms(image) / length, sample_inner(v, image) / length.square()
        largest = torch.maximum(rate, rate.new_tensor(L))
        doubt = (16 * eps + 2 * v[0].numel() * EPS) * largest
        if not self._suspicious(rate, along, doubt).any():
            return
        # The same product with other rounding errors.
        again = 1.5 * _double(hessian(v / 1.5))
        wrong = self._suspicious(
            rate, along, doubt + 4 * sample_norms(again - _double(image)) / length)  # fmt: skip
        if wrong.any():
            self._name(rate, along, wrong, "the Hessian of a sample changes the length of a "
                       "direction by {}", mu, L)  # fmt: skip

    def _suspicious(self, rate, along, doubt):
        """Which samples have a rate above ``L`` or, along the way, below ``mu``."""
        return ((rate - doubt > self.lipschitz * (1 + MARGIN))
                | (along + doubt < self.strong_convexity * (1 - MARGIN)))  # fmt: skip

    def _name(self, rate, along, wrong, words, mu, L):
        k = int(wrong.int().argmax())
        energy = type(self._energy).__name__
        if along[k] < mu * (1 - MARGIN):
            claim, found = f"strong_convexity(params) of {energy} is {mu:.6g}", along[k]
            words = words + ", along it"
        else:
            claim, found = f"lipschitz(params) of {energy} is {L:.6g}", rate[k]
        self.refute("constants", f"{claim}, but {words.format(f'{float(found):.6g}')}")


def _noise(f, x, distance):
    """Second differences on a scale where only rounding errors are left, ``(B,)``."""
    relative = max(1e-6, 1e3 * torch.finfo(x.dtype).eps)
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(x.shape, dtype=x.dtype, generator=generator).to(x.device)
    size = relative * torch.maximum(sample_norms(x), distance) / sample_norms(v)
    v = v * size.to(v.real.dtype).reshape(-1, *[1] * (x.ndim - 1))
    before, here, after = (_double(f.energy.gradient(z, f.params, f.data))
                           for z in (x - v, x, x + v))  # fmt: skip
    return sample_norms(after - 2 * here + before)


def _double(x):
    return x.to(torch.complex128 if x.is_complex() else torch.float64)
