r"""The perturbation of the data that moves a reconstruction most, searched in the norms of spaces.

.. math:: \omega(\varepsilon) = \max_{|e|_Y \le \varepsilon} |\Phi(y + e) - \Phi(y)|_X

What is maximized is not concave: a search finds a lower bound, never a proof of stability. A small
number says that this search found nothing worse.
"""

from collections.abc import Sequence
from typing import NamedTuple

import odl
import torch

from odl_learned.reconstruction.trust.tried_maps import (
    Elements,
    ReconstructionMap,
    Spaces,
    TriedMap,
    batch,
    each,
    norm,
    onto_sphere,
    or_infinite,
    random_data,
    require_generator,
)
from odl_learned.validation import require_count, require_positive, shown

#: The first step, in units of epsilon: next to it the old point hardly counts.
FIRST_STEP = 16.0


class WorstPerturbation(NamedTuple):
    """The worst perturbation that was found, for each sample.

    Parameters
    ----------
    perturbation : torch.Tensor, shape (N, *Y.shape)
        With ``|e|_Y <= epsilon`` in double precision.
    change : torch.Tensor, shape (N,), float64
        ``|Phi(y + e) - Phi(y)|_X``, a lower bound of the largest one; infinite where the map gives
        values that are not finite. It is measured on the two images below after the search, so that
        whoever applies the map to ``data`` and to ``data + perturbation`` finds it again.
    random_change : torch.Tensor, shape (N,), float64
        The mean of the same over random directions of norm epsilon and their opposites.
    before, after : torch.Tensor, shape (N, *X.shape)
        ``Phi(y)`` and ``Phi(y + e)``.
    """

    perturbation: torch.Tensor
    change: torch.Tensor
    random_change: torch.Tensor
    before: torch.Tensor
    after: torch.Tensor


def worst_perturbation(
    map: ReconstructionMap,
    forward_op: odl.Operator,
    data: Elements,
    epsilon: float,
    *,
    generator: torch.Generator,
    steps: int = 30,
    starts: int = 3,
    candidates: Sequence[torch.Tensor] = (),
) -> WorstPerturbation:
    r"""Search the perturbation of the data of norm at most epsilon that moves the image most.

    For modules and operators with derivatives by projected gradient ascent from random starts,

    .. math:: e \leftarrow P_\varepsilon \big( e + t \varepsilon g / |g|_Y \big), \qquad
              g = \Phi'(y + e)^* \, (\Phi(y + e) - \Phi(y)),

    with a step t of its own for every sample and start: it doubles where the change grows, and is
    a quarter, with e as before, where it does not. For large t and linear maps this is the power
    iteration for ``Phi* Phi``, whose limit is the largest singular value times epsilon.

    The starts are restarts: each ascends by itself, and the best one counts. For total variation
    there is `tv_map`, which has directions to ascend.

    For other functions, such as solvers, by a random search that steps where it improves: weaker,
    because it needs as many steps as there are bad directions. What is found for them says less;
    pass the worst perturbations of other maps as ``candidates``.

    Parameters
    ----------
    map : torch.nn.Module, odl.Operator or callable
        Phi: a module on tensors ``(*batch, *Y.shape)``, an operator from Y to X, or a function of
        an element of Y. A module is evaluated in evaluation mode.
    forward_op : odl.Operator
        ``A: X -> Y``, whose spaces have the norms.
    data : torch.Tensor (N, *Y.shape), or list of N elements of Y
    epsilon : float
        In the norm of Y.
    generator : torch.Generator
        Source of the starts.
    steps, starts : int, optional
        Steps of each search, and random directions with which it begins; of each and its opposite
        the one is taken that moves the image more. A function is evaluated ``N (steps + 2 starts +
        number of candidates + 2)`` times: its search goes on from the best start.
    candidates : sequence of tensors (N, *Y.shape), optional
        Further starts, scaled to norm epsilon.

    Returns
    -------
    WorstPerturbation

    Raises
    ------
    TypeError
        If the map is none, or the spaces do not have one array as an element.
    ValueError
        If data or numbers are out of bounds, or the map returns another shape.

    Source: Antun et al., On instabilities of deep learning in image reconstruction (2020), with the
    ball in place of their penalty, and perturbations of data that need not be in the range of A.

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import reconstruction
    >>> A, seed = odl.IdentityOperator(odl.rn(2)), torch.Generator().manual_seed(0)
    >>> network = torch.nn.Linear(2, 2, bias=False, dtype=torch.float64)
    >>> network.weight.data = torch.tensor([[3.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    >>> y = torch.zeros(1, 2, dtype=torch.float64)
    >>> worst = reconstruction.worst_perturbation(network, A, y, 0.1, generator=seed, steps=20)
    >>> isinstance(worst, reconstruction.WorstPerturbation)
    True
    >>> print(worst.perturbation.abs().argmax(1), f"{worst.perturbation.norm():.4f}")
    tensor([0]) 0.1000
    """
    spaces = Spaces(forward_op)
    phi = TriedMap("map", map, spaces)
    y = batch("data", data, spaces.data)
    if not isinstance(candidates, list | tuple):
        raise TypeError(f"candidates is {shown(candidates)}, expected a list of tensors (N, "
                        "*Y.shape).")
    candidates = [batch("a candidate", e, spaces.data) for e in candidates]
    for e in candidates:
        if e.shape != y.shape:
            raise ValueError(f"a candidate has shape {tuple(e.shape)}, expected {tuple(y.shape)}.")
    require_positive("epsilon", epsilon)
    require_count("steps", steps, 0)
    require_count("starts", starts)
    require_generator(generator)
    directions = [random_data(y, generator) for _ in range(starts)]
    e = torch.stack([*directions, *(-e for e in directions), *candidates])
    e = onto_sphere(spaces.data, e, epsilon)
    with torch.no_grad():
        image = phi(y)
        many = e.shape[0]
        change = norm(spaces.images, phi((y + e).flatten(0, 1)).reshape(many, *image.shape) - image)
        change = or_infinite(change)
    random_change = change[: 2 * starts].mean(0)
    turned = change[starts : 2 * starts] > change[:starts]
    e = torch.cat([torch.where(each(turned, e[:starts]), -e[:starts], e[:starts]), e[2 * starts :]])
    change = torch.cat([change[:starts].maximum(change[starts : 2 * starts]), change[2 * starts :]])
    search = _ascend if phi.is_differentiable else _climb
    e, change = search(phi, spaces, y, image, e, change, epsilon, steps, generator)
    best = change.argmax(0)
    e = _shortened(spaces.data, e[best, torch.arange(len(y))], epsilon)
    with torch.no_grad():  # alone, not among other starts, whose number rounding may depend on
        after = phi(y + e)
    change = or_infinite(norm(spaces.images, after - image))
    return WorstPerturbation(e, change, random_change, image, after)


def _shortened(layout, e, epsilon):
    """Not longer than epsilon, by no more than the rounding of its scaling; zero if too short."""
    for k in range(8):
        longer = norm(layout, e) > epsilon
        if not longer.any():
            return e
        e = torch.where(each(longer, e), e * (1 - 2**k * torch.finfo(e.dtype).eps), e)
    return torch.where(each(norm(layout, e) > epsilon, e), 0.0, e)


def _ascend(phi, spaces, y, image, e, change, epsilon, steps, generator):
    """Projected gradient ascent for starts and samples side by side: ``e`` is (S, N, *Y.shape)."""
    count = len(e)
    images, data = (x.repeat(count, *[1] * (x.ndim - 1)) for x in (image, y))
    e, change = e.flatten(0, 1), change.flatten()
    step = torch.full_like(change, FIRST_STEP)
    direction = torch.zeros_like(e)
    grown = torch.ones_like(change, dtype=torch.bool)
    for _ in range(steps):
        if grown.any():  # elsewhere the point, and with it the gradient, is as before
            g = phi.pull_back((data + e)[grown], lambda x: x - images[grown])
            direction[grown] = onto_sphere(spaces.data, g, epsilon)
        trial = e + each(step, e) * direction
        trial = trial * each((epsilon / norm(spaces.data, trial)).clamp(max=1.0), e)
        with torch.no_grad():
            value = _change(phi, spaces, images, data + trial)
        grown = value > change
        e = torch.where(each(grown, e), trial, e)
        change = torch.where(grown, value, change)
        step = torch.where(grown, 2 * step, step / 4)
    return e.reshape(count, *y.shape), change.reshape(count, -1)


def _climb(phi, spaces, y, image, e, change, epsilon, steps, generator):
    """Random steps from the best start, kept where they improve; sizes as for the ascent."""
    best, samples = change.argmax(0), torch.arange(len(y))
    e, change = e[best, samples], change[best, samples]
    step = torch.ones_like(change)
    for _ in range(steps):
        direction = onto_sphere(spaces.data, random_data(y, generator), epsilon)
        trial = onto_sphere(spaces.data, e + each(step, e) * direction, epsilon)
        with torch.no_grad():
            value = _change(phi, spaces, image, y + trial)
        grown = value > change
        e = torch.where(each(grown, e), trial, e)
        change = torch.where(grown, value, change)
        step = torch.where(grown, 2 * step, step / 2 ** 0.25)  # one success in five keeps it
    return e[None], change[None]


def _change(phi, spaces, image, data):
    return or_infinite(norm(spaces.images, phi(data) - image))
