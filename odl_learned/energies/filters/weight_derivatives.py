r"""Second derivatives of an `ExpertsEnergy` in its weights, for Newton's method on these."""

import torch


def second_adjoint(energy, x, params, data, q):
    r"""Return ``(v, w) -> (d_x, d_w)``: second derivatives of ``<q, d_x E>``, for samples.

    .. math:: d_x = \sum_k F_k^T \big( \bar w_k \phi'''(r_k) (F_k q) (F_k v) + \sum_j w_{kj}
              \phi_j''(r_k) F_k q \big), \qquad
              d_{w_{kj}} = \langle F_k q, \phi_j''(r_k) F_k v \rangle,

    with the Newton derivative ``phi'''`` where it jumps. ``v`` is ``(B, *shape)``, ``w`` and
    ``d_w`` have the shape ``(K, J)`` of the weights, ``d_w`` is summed over the samples.
    """
    filters, weights = energy.evaluated(params, x)
    r, along = filters.forward(x), filters.forward(q)
    squares = r.square()
    thirds = energy.potentials.third_derivative(r, weights).mul_(along)
    seconds = []
    for nu in energy.scales:
        weight, bend = energy.potential.weight_and_curvature(squares, nu)
        seconds.append(torch.addcmul(weight, bend, squares).mul_(along))

    def product(v, w):
        response = filters.forward(v)
        change = sum(w[:, j, None, None] * second for j, second in enumerate(seconds))
        inner = [(second * response).sum((0, 2, 3)) for second in seconds]
        return filters.adjoint(torch.addcmul(change, thirds, response)), torch.stack(inner, 1)

    return product


def weight_slope(energy, x, params, direction):
    """Return ``d_w d_x E`` along weights ``(K, J)`` or their entries ``(K J,)``."""
    filters, _ = energy.evaluated(params, x)
    r = filters.forward(x)
    direction = direction.reshape(-1, len(energy.scales)).to(x)
    return filters.adjoint(energy.potentials.weight(r.square(), direction).mul_(r))


def require_weights(energy, params):
    """Raise a TypeError unless the parameters are the weights, row by row."""
    _, (filters, weights) = energy.learned(params)
    same = weights.numel() == len(params) and torch.equal(weights.flatten(), params)
    if filters.requires_grad or not same:
        raise TypeError("the energy has learned filters, or functions of the parameters as "
                        "weights; expected the weights as parameters, see fixed_filters.")
