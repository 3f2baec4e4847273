r"""Smoothed total variation as one formula per entry, for the compiler.

With the flux ``p_i = d_i x / l``, ``l = sqrt(|d x|^2 + nu^2)`` as in `variation`, entry ``j`` of

    f(x)   is  w (alpha l_j + xi / 2 x_j^2), to be summed,
    f'(x)  is  w (alpha sum_i (p_i[j - e_i] - p_i[j]) / h_i + xi x_j),

with the image continued beyond its boundary by itself, so that differences vanish there. The
compiler fuses each line into one sweep, in which nothing is stored between value and result.
"""

import torch


class EntrywiseVariation(torch.autograd.Function):
    """``x -> f(x)`` for the compiler, which traces first derivatives only.

    ``term`` is a `variation.SmoothedVariation`.
    """

    @staticmethod
    def forward(ctx, x, term):
        ctx.save_for_backward(entrywise_slopes(term, x))
        ctx.term = term
        return entrywise_values(term, x)

    @staticmethod
    def backward(ctx, g):
        return ctx.term.per_sample(g) * ctx.saved_tensors[0], None


def entrywise_values(term, x):
    """``f(x)``, of shape ``(*batch,)``."""
    neighbor = _neighbors(term.axes, x)
    here = neighbor({})
    square = sum(((neighbor({i: 1}) - here) / h).square()
                 for i, h in zip(term.axes, term.cell_sides)) + term.nu**2
    return term.weight * (term.alpha * square.sqrt().sum(term.axes)
                          + term.xi / 2 * x.square().sum(term.axes))


def entrywise_slopes(term, x):
    """``f'(x)``, of the shape of ``x``."""
    neighbor = _neighbors(term.axes, x)

    def flux(origin, component):
        here = neighbor(origin)
        parts = {}
        for i, h in zip(term.axes, term.cell_sides):
            offset = {**origin, i: origin.get(i, 0) + 1}
            parts[i] = (neighbor(offset) - here) / h
        square = sum(part.square() for part in parts.values()) + term.nu**2
        return parts[component] * square.rsqrt()

    result = term.xi * x
    for i, h in zip(term.axes, term.cell_sides):
        result = result + (term.alpha / h) * (flux({i: -1}, i) - flux({}, i))
    return term.weight * result


def _neighbors(axes, x):
    """A map of an offset ``{axis: -1, 0 or 1}`` to ``x`` there, continued beyond the boundary."""
    for i in axes:
        n = x.shape[i]
        x = torch.cat([x.narrow(i, 0, 1), x, x.narrow(i, n - 1, 1)], i)

    def at(offset):
        y = x
        for i in axes:
            y = y.narrow(i, 1 + offset.get(i, 0), x.shape[i] - 2)
        return y

    return at
