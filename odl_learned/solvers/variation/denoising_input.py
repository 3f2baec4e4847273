"""The door of the denoising solvers: what is an image, what a batch, and how solutions go out."""

import math
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace, is_array_api_obj

from odl_learned.solvers.solution import Solution
from odl_learned.solvers.variation.denoising_weights import parameters
from odl_learned.validation import require_count, require_positive
from odl_learned.weights import constant_weight


class Images(NamedTuple):
    """Images that are known to be a batch: what `denoise` works on, and the way back.

    Attributes
    ----------
    batch : array of shape ``(size, *shape)``
    alpha : numpy.ndarray of shape ``(size,)``
        The largest in each image.
    weights : numpy.ndarray of shape ``(size, *shape)``, or None
        The parameter of every pixel over the largest, if they were given so.
    sides : list of float
        Of a pixel.
    data : element or array
        As they were given.
    """

    batch: Any
    alpha: np.ndarray
    weights: np.ndarray | None
    sides: list
    data: Any

    def solution(self, found):
        """The solution of a batch as that of what was given: of an element in its norm."""
        if self.batch is self.data:
            return found
        x, dual, weight = found.x[0], found.dual[0], 1.0
        field = None if found.field is None else found.field[0]
        if hasattr(self.data, "space"):
            space = self.data.space
            weight = constant_weight("the space of data", space)
            fields = space**space.ndim
            x, dual = space.element(x), fields.element(list(dual))
            field = None if field is None else fields.element(list(field))
        bound, gap = math.sqrt(weight) * found.error_bound.item(), weight * found.gap.item()
        return Solution(x, bound, found.niter.item(), found.reason.item(), gap, dual, field=field)

    def numbers(self, values):
        """Numbers of a batch as those of what was given."""
        return values if self.batch is self.data else values.item()


def images_of(data, alpha, accuracy, maxiter, cell_sides):
    """Return the `Images` of an element, of a plain array, or of a batch.

    A plain array says by ``cell_sides`` how many of its last axes are those of an image: all, and
    it is one image, or all but the first, and it is a batch.

    Raises
    ------
    TypeError, ValueError
        As `rof` does.
    """
    require_positive("accuracy", accuracy)
    require_count("maxiter", maxiter, 0)
    batch = data
    if hasattr(data, "space"):
        require_grid(data.space)
        batch, cell_sides = data.data[None, ...], data.space.cell_sides
    elif not is_array_api_obj(data) or data.ndim < 1:
        raise TypeError(
            f"data is a {type(data).__name__}, expected an element of a uniform_discr space, or an "
            "array and cell_sides."
        )
    elif cell_sides is None:
        raise ValueError(_unsaid(data))
    xp = array_namespace(batch)
    if not xp.isdtype(batch.dtype, ("real floating", "complex floating")):
        raise TypeError(f"data is {batch.dtype}, expected floats; convert it with astype or .to.")
    if getattr(batch, "requires_grad", False):
        raise TypeError("data requires a gradient, which the iterations do not have; pass "
                        "data.detach().")
    sides = [float(h) for h in cell_sides]
    if not (sides and len(sides) in (batch.ndim - 1, batch.ndim)
            and all(math.isfinite(h) and h > 0 for h in sides)):  # fmt: skip
        raise ValueError(
            f"cell_sides is {cell_sides}, expected one positive length for every axis of an image: "
            f"{batch.ndim} for one image of shape {tuple(batch.shape)}"
            + (f", {batch.ndim - 1} for a batch of {len(batch)}." if batch.ndim > 1 else ".")
        )
    batch = batch[None, ...] if len(sides) == batch.ndim else batch
    alpha, weights = parameters("alpha", alpha, tuple(batch.shape))
    _require_values(xp, batch)
    return Images(batch, alpha, weights, sides, data)


def require_grid(space):
    """Raise TypeError unless the space is a uniform discretization with a constant weight."""
    if not hasattr(space, "cell_sides"):
        raise TypeError(
            f"data is an element of {space!r}; expected a uniform discretization, built with "
            "odl.uniform_discr(min_pt, max_pt, shape), since differences need cell sides."
        )
    constant_weight("the space of data", space)


def _unsaid(data):
    ones = ", ".join(["1"] * data.ndim)
    batch = "" if data.ndim < 2 else (
        f", cell_sides=({', '.join(['1'] * (data.ndim - 1))},) for a batch of {len(data)}")
    return (
        f"data is a plain array of shape {tuple(data.shape)} without cell_sides; expected the "
        "lengths of the sides of a pixel, one for every axis of an image, which say what its axes "
        f"are: pass cell_sides=({ones},) for one image of unit pixels{batch}."
    )


def _require_values(xp, batch):
    if not bool(xp.all(xp.isfinite(batch))):
        raise ValueError("data contains NaN or infinite values; expected finite numbers only. Find "
                         "them with numpy.isfinite and mask or replace them first.")
    largest = float(xp.max(xp.abs(batch))) if math.prod(batch.shape) else 0.0
    limit = math.sqrt(np.finfo(float).max / max(1, math.prod(batch.shape[1:]))) / 4
    if largest > limit:
        raise ValueError(
            f"data has magnitudes up to {largest:.3g}, expected at most {limit:.3g}: the objective "
            "of their squares is no number. Divide data and alpha by the same factor."
        )
