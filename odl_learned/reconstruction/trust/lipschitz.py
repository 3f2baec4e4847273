"""How steep a reconstruction map is at given data: a lower bound by its derivative."""


import odl
import torch

from odl_learned.reconstruction.trust.tried_maps import (
    Elements,
    ReconstructionMap,
    Spaces,
    TriedMap,
    batch,
    norm,
    onto_sphere,
    or_infinite,
    random_data,
    require_generator,
)
from odl_learned.validation import require_count


def local_lipschitz(
    map: ReconstructionMap,
    forward_op: odl.Operator,
    data: Elements,
    *,
    generator: torch.Generator,
    steps: int = 30,
) -> torch.Tensor:
    r"""Estimate the norm of the derivative from below, by power iteration on ``Phi'(y)* Phi'(y)``.

    .. math:: |\Phi'(y) h_k|_X \le |\Phi'(y)| \le \mathrm{Lip}(\Phi), \qquad
              h_{k+1} = \Phi'(y)^* \Phi'(y) h_k / | \cdot |_Y

    The values grow with k and are lower bounds in exact arithmetic. The upper bound that stability
    would need is not computed; a map may be steeper elsewhere.

    Parameters
    ----------
    map, forward_op, data, generator
        As in `worst_perturbation`; the map is a module or an operator with a derivative.
    steps : int, optional
        Iterations, at least 1.

    Returns
    -------
    lipschitz : torch.Tensor, shape (N,), float64

    Raises
    ------
    TypeError
        Also for a function, which has no derivative.

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import reconstruction
    >>> A, seed = odl.IdentityOperator(odl.rn(2)), torch.Generator().manual_seed(0)
    >>> network = torch.nn.Linear(2, 2, bias=False, dtype=torch.float64)
    >>> network.weight.data = torch.tensor([[3.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    >>> y = torch.zeros(1, 2, dtype=torch.float64)
    >>> print(reconstruction.local_lipschitz(network, A, y, generator=seed, steps=20))
    tensor([3.], dtype=torch.float64)
    """
    spaces = Spaces(forward_op)
    phi = TriedMap("map", map, spaces)
    if not phi.is_differentiable:
        raise TypeError("map has no derivative, expected a torch module or an operator with one; "
                        "worst_perturbation(...).change / epsilon bounds a Lipschitz constant from "
                        "below without.")
    y = batch("data", data, spaces.data)
    require_count("steps", steps)
    require_generator(generator)
    h = onto_sphere(spaces.data, random_data(y, generator), 1.0)
    largest = torch.zeros(len(y), dtype=torch.float64)
    for _ in range(steps):
        with torch.no_grad():
            moved = torch.func.jvp(phi, (y,), (h,))[1]
        largest = torch.maximum(largest, or_infinite(norm(spaces.images, moved)))
        if not torch.isfinite(largest).any():
            break
        h = onto_sphere(spaces.data, phi.pull_back(y, lambda _: moved), 1.0)
    return largest
