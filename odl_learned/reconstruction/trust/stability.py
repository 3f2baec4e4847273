r"""How far to trust reconstruction maps: one report for several, on the same data.

A good mean error says nothing about three things that Antun et al. (2020) found in learned maps:
small changes of the data with large effects, images that do not explain the data, and details that
were never shown in training and vanish.
"""

from collections.abc import Mapping
from typing import NamedTuple

import odl
import torch
from odl.core.set.space import LinearSpaceElement

from odl_learned.odl_validation import require_element, shown
from odl_learned.reconstruction.trust.lipschitz import local_lipschitz
from odl_learned.reconstruction.trust.perturbations import worst_perturbation
from odl_learned.reconstruction.trust.tried_maps import (
    Elements,
    ReconstructionMap,
    Spaces,
    TriedMap,
    batch,
    norm,
    require_generator,
)
from odl_learned.validation import require_positive


class Stability(NamedTuple):
    """What was measured for one map; tensors have one number for each sample, in float64.

    Parameters
    ----------
    relative_error : torch.Tensor, shape (N,)
        ``|Phi(y) - x|_X / |x|_X``.
    discrepancy : torch.Tensor, shape (N,)
        ``|A Phi(y) - y|_Y / |A x - y|_Y``: about 1 where the image explains the data up to the
        noise, more where it does not, less where it explains noise as well. Infinite without noise.
    worst_change, random_change : torch.Tensor, shape (N,)
        Of `worst_perturbation`, in the norm of X, for ``|e|_Y <= epsilon``. Lower bounds.
    perturbation : torch.Tensor, shape (N, *Y.shape)
        The e of the worst change.
    before, after : torch.Tensor, shape (N, *X.shape)
        ``Phi(y)`` and ``Phi(y + e)``, whose difference has the norm ``worst_change``.
    lipschitz : torch.Tensor, shape (N,), or None
        Of `local_lipschitz`, a lower bound; None where the map has no derivative, or only
        directions, as `tv_map` has.
    recovered : dict, str -> torch.Tensor of shape (N,)
        By structure m, ``<Phi(y + A(x + m) - A x) - Phi(y), m>_X / |m|_X^2``: 1 where all of it
        comes back, 0 where nothing does.
    is_searched : bool
        Whether the map has no derivative, so that the worst change is that of a random search,
        which finds less than an ascent: such rows look better than they are.
    """

    relative_error: torch.Tensor
    discrepancy: torch.Tensor
    worst_change: torch.Tensor
    random_change: torch.Tensor
    perturbation: torch.Tensor
    before: torch.Tensor
    after: torch.Tensor
    lipschitz: torch.Tensor | None
    recovered: dict[str, torch.Tensor]
    is_searched: bool


class StabilityReport(NamedTuple):
    """The measurements by map, and ``str(report)``, a table of them.

    Parameters
    ----------
    epsilon : float
        Largest norm of the perturbations.
    rows : dict, str -> Stability
    relative_epsilon : float
        The same over the mean norm of the data.
    steps, starts : int
        Of the searches.
    """

    epsilon: float
    rows: dict[str, Stability]
    relative_epsilon: float
    steps: int
    starts: int

    def __str__(self) -> str:
        names = list(next(iter(self.rows.values())).recovered)
        table = [["map", "error", "discrepancy", "worst/eps", "random/eps", "Lipschitz >=", *names]]
        for name, row in self.rows.items():
            slope = "" if row.lipschitz is None else f"{row.lipschitz.max():.3g}"
            worst = f"{row.worst_change.max() / self.epsilon:.3g}"
            table.append([
                name, f"{row.relative_error.mean():.3f}", f"{row.discrepancy.mean():.3g}",
                worst + ("*" if row.is_searched else ""),
                f"{row.random_change.mean() / self.epsilon:.3g}", slope,
                *(f"{100 * row.recovered[m].mean():.0f} %" for m in names)])  # fmt: skip
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
                 for row in table]  # fmt: skip
        return "\n".join([*lines, *self._legend()])

    def _legend(self):
        """What the columns mean, and what they do not."""
        count = len(next(iter(self.rows.values())).relative_error)
        legend = [
            f"{count} sample{'s' if count > 1 else ''}, eps = {self.epsilon:.3g}, "
            f"{100 * self.relative_epsilon:.2g} % of |y|; worst/eps and Lipschitz are the largest "
            "of the samples, others means.",
            "error: |Phi(y) - x| / |x|, smaller is better. discrepancy: |A Phi(y) - y| / |noise|, "
            "about 1 is right,",
            "more: the image does not explain the data. worst/eps: |change of the image| / |change "
            "of the data|, smaller",
            f"is more stable; the most that {self.starts} start{'s' if self.starts > 1 else ''} of "
            f"{self.steps} steps found, a lower bound: the worst case may be worse.",
        ]  # fmt: skip
        if any(row.recovered for row in self.rows.values()):
            legend.append("%: how much of a structure comes back, 100 % is right.")
        if any(row.is_searched for row in self.rows.values()):
            legend.append("*: random search without derivatives finds less: do not compare with "
                          "the other rows.")
        return legend


def stability_report(
    maps: Mapping[str, ReconstructionMap],
    forward_op: odl.Operator,
    truths: Elements,
    data: Elements,
    *,
    epsilon: float,
    generator: torch.Generator,
    structures: Mapping[str, LinearSpaceElement] | None = None,
    steps: int = 30,
    starts: int = 3,
) -> StabilityReport:
    r"""Measure how several reconstruction maps react to what training does not show.

    Maps with derivatives come first; what they find worst are further starts of the search for
    those without. A solver with an inner accuracy adds up to twice that to its changes: make
    epsilon much larger than it.

    Parameters
    ----------
    maps : mapping, str -> torch.nn.Module, odl.Operator or callable
        A module on tensors, in the dtype of the data space; an operator from data to images, such
        as ``bridge.as_operator(model, A.range, A.domain)`` or ``operators.fbp(A)``; `tv_map`, total
        variation; or a function of an element, such as another solver.
    forward_op : odl.Operator
        ``A: X -> Y``, whose spaces have the norms.
    truths, data : torch.Tensor (N, *X.shape) and (N, *Y.shape), or lists of elements
        Data with their noise.
    epsilon : float
        Norm of the perturbations in Y; the norm of the noise is a natural size.
    generator : torch.Generator
        Source of the random starts; every map has the same.
    structures : mapping, str -> element of X, optional
        What is put into the truths, such as `small_disc` and `small_letter`; the noise stays.
    steps, starts : int, optional
        Of `worst_perturbation` and `local_lipschitz`.

    Returns
    -------
    StabilityReport

    Raises
    ------
    TypeError
        If maps, operator or structures are none.
    ValueError
        If there are no maps, samples do not fit, or a map returns another shape.

    Source: Antun et al., On instabilities of deep learning in image reconstruction and the
    potential costs of AI (2020): the three tests, the first in the norms of the spaces.

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import reconstruction
    >>> X = odl.rn(2)
    >>> A, seed = odl.IdentityOperator(X), torch.Generator().manual_seed(0)
    >>> y = torch.ones(1, 2, dtype=torch.float64)
    >>> report = reconstruction.stability_report(
    ...     {"identity": torch.nn.Identity()}, A, y, y, epsilon=0.1, generator=seed,
    ...     structures={"corner": X.element([1, 0])}, steps=5, starts=1)
    >>> isinstance(report, reconstruction.StabilityReport)
    True
    >>> isinstance(report.rows["identity"], reconstruction.Stability)
    True
    >>> print(str(report).splitlines()[1])
    identity  0.000          inf          1           1             1   100 %
    """
    if not isinstance(maps, Mapping) or not maps:
        raise ValueError(f"maps is {shown(maps)}, expected at least one map by its name, such as "
                         "{'learned': model}.")
    spaces = Spaces(forward_op)
    x, y = batch("truths", truths, spaces.images), batch("data", data, spaces.data)
    if len(x) != len(y):
        raise ValueError(f"there are {len(x)} truths and {len(y)} data; expected as many.")
    require_positive("epsilon", epsilon)
    require_generator(generator)
    structures = {} if structures is None else structures
    if not isinstance(structures, Mapping):
        raise TypeError(f"structures is {shown(structures)}, expected elements of the domain by "
                        "their names, such as {'disc': small_disc(...)}.")
    for name, mark in structures.items():
        require_element(f"structures[{name!r}]", mark, forward_op.domain)
    with torch.no_grad():
        marked = {name: _with(spaces, x, y, mark) for name, mark in structures.items()}
    tried = {name: TriedMap(f"maps[{name!r}]", map, spaces) for name, map in maps.items()}
    state, rows = generator.get_state(), {}
    found: list[torch.Tensor] = []
    for name in sorted(tried, key=lambda name: not tried[name].is_differentiable):
        generator.set_state(state)
        phi = tried[name]
        rows[name] = _measure(phi, maps[name], spaces, x, y, marked, epsilon, generator, steps,
                              starts, [] if phi.is_differentiable else found)
        found.append(rows[name].perturbation)
    return StabilityReport(float(epsilon), {name: rows[name] for name in maps},
                           float(epsilon / norm(spaces.data, y).mean()), steps, starts)


def _measure(phi, map, spaces, x, y, marked, epsilon, generator, steps, starts, candidates):
    A = spaces.forward_op
    with torch.no_grad():
        image, *others = phi(torch.cat([y, *(data for data, _ in marked.values())])).split(len(y))
        noise = norm(spaces.data, spaces.simulate(x) - y)
        misfit = norm(spaces.data, spaces.simulate(image.to(x.dtype)) - y)
        recovered = {name: _overlap(spaces, other - image, mark)
                     for other, (name, (_, mark)) in zip(others, marked.items())}  # fmt: skip
    worst = worst_perturbation(map, A, y, epsilon, generator=generator, steps=steps, starts=starts,
                               candidates=candidates)
    slope = None
    if phi.has_derivative:
        slope = local_lipschitz(map, A, y, generator=generator, steps=max(steps, 1))
    return Stability(
        _ratio(norm(spaces.images, image - x), norm(spaces.images, x)), _ratio(misfit, noise),
        worst.change, worst.random_change, worst.perturbation, worst.before, worst.after, slope,
        recovered, not phi.is_differentiable)


def _with(spaces, x, y, mark):
    """Data with a structure in the truth and the same noise, and the structure."""
    mark = spaces.images.to_tensor(mark)
    return y + spaces.simulate(x + mark) - spaces.simulate(x), mark


def _overlap(spaces, change, mark):
    change, mark = change.to(torch.promote_types(change.dtype, torch.float64)), mark[None]
    inner = spaces.images.integrate((change * mark.conj()).real)
    return inner / norm(spaces.images, mark) ** 2


def _ratio(size, scale):
    """Infinite where there is no scale."""
    return torch.where(scale > 0, size / scale, torch.inf)
