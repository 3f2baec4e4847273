"""A second point in search of what refutes the constants of an upper-level loss."""

import math

import torch

from odl_learned.energies.samples import sample_norms
from odl_learned.learning.bilevel.claims import EPS, MARGIN
from odl_learned.learning.bilevel.loss import SquaredError


def try_loss(claims, loss, x, z):
    r"""Compare ``loss.lipschitz`` and ``loss.value_bound`` with what two batches of points show.

    .. math:: |\nabla \ell(x) - \nabla \ell(z)| \le L_\ell |x - z|, \qquad
              |\ell(x) - \ell(z)| \le \text{value\_bound}(x, |x - z|) .

    Those of `SquaredError` follow from its formula.

    Parameters
    ----------
    claims : Claims
    loss : object as `SquaredError`
    x, z : tensor ``(B, *shape)``
    """
    if isinstance(loss, SquaredError):
        return
    distance = sample_norms(x - z)
    slopes, values = ([function(point) for point in (x, z)]
                      for function in (loss.gradient, loss.value))  # fmt: skip
    eps = 64 * torch.finfo(x.dtype).eps
    change = sample_norms(slopes[0] - slopes[1])
    change = change - eps * (sample_norms(slopes[0]) + sample_norms(slopes[1]))
    _compare(claims, "lipschitz of the loss", loss.lipschitz * distance, change)
    found = [value.to(distance) for value in values]
    change = (found[0] - found[1]).abs() - eps * (found[0].abs() + found[1].abs())
    bound = torch.as_tensor(loss.value_bound(x, distance)).to(distance)
    _compare(claims, "value_bound of the loss", bound, change - x[0].numel() * EPS * found[0].abs())


def _compare(claims, name, allowed, found):
    wrong = found > allowed * (1 + MARGIN)
    if wrong.any():
        k = int(wrong.int().argmax())
        most = math.inf if allowed[k] == 0 else float(found[k] / allowed[k])
        claims.refute("loss", f"{name} is too small by a factor of {most:.6g} at least, for two "
                      f"points of sample {k}")  # fmt: skip
