r"""From an energy in ODL and training pairs to learned parameters, and back to ODL, in one call."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import odl
import torch
from odl.core.set.space import LinearSpaceElement

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.layouts.nested import each
from odl_learned.energies import ParametricEnergy, energy_of
from odl_learned.energies.expressions.maps import extremes
from odl_learned.energies.expressions.preconditioners.methods import Preconditioner
from odl_learned.functionals import fix_block
from odl_learned.learning.bilevel.first_order import lbfgsb
from odl_learned.learning.bilevel.loss import SquaredError
from odl_learned.learning.bilevel.lower import LowerLevel
from odl_learned.learning.bilevel.problem import BilevelProblem
from odl_learned.learning.bilevel.progress import Learned
from odl_learned.learning.bilevel.run import Run, require_run
from odl_learned.odl_validation import require_functional
from odl_learned.solvers import Solution
from odl_learned.validation import require_count, require_method, require_positive, shown

#: Reconstructions are accurate to this part of the norm of an image.
ACCURACY = 1e-3


def learn(
    functional: odl.functionals.Functional,
    truth: Iterable[LinearSpaceElement | np.ndarray],
    data: Iterable[LinearSpaceElement | np.ndarray],
    start: Sequence[float] | np.ndarray,
    *,
    lower: float | Sequence[float] | np.ndarray = -np.inf,
    upper: float | Sequence[float] | np.ndarray = np.inf,
    maxiter: int = 50,
    preconditioner: Preconditioner | None = None,
    method: Callable[[BilevelProblem, torch.Tensor, int], Learned] | None = None,
    run: Run = Run(),
) -> "LearnedEnergy":
    r"""Learn the parameters of an energy from pairs of images and data, with certificates.

    .. math:: \min_\theta \; f(\theta) = \frac1n \sum_i |\hat x_i(\theta) - x_i|^2, \qquad
              \hat x_i(\theta) = \text{argmin}_x E(x, \theta, y_i),

    with ``n`` the number of entries of all images: a mean squared error. The energy is that of
    `energies.energy_of`, reconstructions are computed by Newton's method from a constant image, and
    parameters by projected L-BFGS until steps decrease the value by less than a thousandth, or the
    gradient is below 1e-5 of the mean squared distance from the images to a constant one.

    Parameters
    ----------
    functional : odl.functionals.Functional
        ``E`` on ``X x Theta x Y``, see `functionals.arguments`; strongly convex in the images.
    truth : sequence of elements of ``X``, or arrays of this shape
        ``x_i``.
    data : sequence of elements of ``Y``, or arrays of this shape
        ``y_i``, as many.
    start : sequence of float
        ``theta`` at first.
    lower, upper : float or sequence of float, optional
        Bounds of ``theta``.
    maxiter : int, optional
        Number of steps.
    preconditioner : callable, optional
        See `energies.energy_of`.
    method : callable, optional
        Another method, ``(problem, start, maxiter) -> Learned``, such as ``lambda problem, start,
        maxiter: maid(problem, start, maxiter=maxiter)``.
    run : Run, optional
        Checkpoint to go on from, callback and progress bar of L-BFGS; another method has its own.

    Returns
    -------
    learned : LearnedEnergy

    Raises
    ------
    TypeError
        If there is no functional on three blocks, or images, data or start are no numbers.
    ValueError
        If their numbers or shapes differ, the start is out of bounds, or another method is passed
        together with a run.
    NotImplementedError
        If a node of the energy has no certificates: names it.
    """
    require_functional("functional", functional)
    domain = functional.domain
    if not isinstance(domain, odl.ProductSpace) or len(domain) != 3:
        raise TypeError(f"functional is defined on {domain!r}, expected a product of images, "
                        "parameters and data; write it with functionals.arguments.")
    require_count("maxiter", maxiter)
    if method is not None:
        require_method("method", method, "lambda problem, start, maxiter: maid(problem, start, "
                       "maxiter=maxiter)", 3)  # fmt: skip
        if run != Run():
            raise ValueError(f"run is {run!r} and there is a method, expected one of both; pass "
                             "the run to the method.")
    require_run(run)
    images, measured = (_stacked(name, values, space) for name, values, space in (
        ("truth", truth, domain[0]), ("data", data, domain[2])))  # fmt: skip
    first = _vector("start", start, domain[1].size)
    least, most = (_bounds(name, value, domain[1].size) for name, value in (
        ("lower", lower), ("upper", upper)))  # fmt: skip
    energy = energy_of(functional, preconditioner)
    loss = SquaredError(images, 1 / images.numel())
    problem = BilevelProblem(energy, measured, loss, torch.full_like(images, complex(
        images.mean()) if images.is_complex() else float(images.mean())), lower=least, upper=most)
    if method is None:
        # The value has the unit of squared images, and so has its gradient.
        spread = float(loss.value(problem.x0).sum())
        learned = lbfgsb(problem, first, gtol=1e-5 * spread or 1e-6, ftol=1e-3, maxiter=maxiter,
                         run=run)  # fmt: skip
    else:
        learned = method(problem, first, maxiter)
    return LearnedEnergy(functional, energy, problem, learned)


@dataclasses.dataclass(frozen=True)
class LearnedEnergy:
    """An energy with learned parameters; `learn` returns it.

    Parameters
    ----------
    functional : odl.functionals.Functional
        On images, parameters and data.
    energy : ParametricEnergy
        The same for tensors.
    problem : BilevelProblem
        With the training pairs.
    learned : Learned
        What the method returned: parameters, the training error and its bound, history, reason.
    """

    functional: odl.functionals.Functional
    energy: ParametricEnergy
    problem: BilevelProblem
    learned: Learned

    def __repr__(self):
        return (f"LearnedEnergy(params={self.params}, training error {self.learned.value:.4g} +- "
                f"{self.learned.value_bound:.1g}, reason={self.learned.reason!r})")

    @property
    def params(self) -> np.ndarray:
        """The learned ``theta``, of which exponentials stand in the energy."""
        return self.learned.params.numpy()

    def at(self, data: LinearSpaceElement) -> odl.functionals.Functional:
        """Return the learned functional for data, on the space of images, for solvers of ODL.

        Parameters
        ----------
        data : element of ``Y``
        """
        _, parameters, measured = self.functional.domain
        return fix_block(fix_block(self.functional, 2, measured.element(data)), 1,
                         parameters.element(self.params))  # fmt: skip

    def reconstruct(self, data: LinearSpaceElement, accuracy: float = ACCURACY) -> Solution:
        r"""Return the reconstruction ``argmin_x E(x, theta, y)``.

        Parameters
        ----------
        data : element of ``Y``
        accuracy : float, optional
            Distance to reach, as a part of the largest norm of the training images, or of that of
            an image of ones where all of them are zero.

        Returns
        -------
        solution : Solution
            ``x`` is an element of the space of images; ``error_bound`` is in its norm, and
            includes what rounding to its precision changes.
        """
        require_positive("accuracy", accuracy)
        space, _, measured = self.functional.domain
        start = self.problem.x0[:1]
        problem = BilevelProblem(self.energy, _stacked("data", [data], measured),
                                 SquaredError(start), start)  # fmt: skip
        found = LowerLevel(problem).solve(self.learned.params, accuracy * self._size())
        layout = layout_of(space)
        rounded = found.x[0].to(layout.dtype)
        bound = float(found.error_bound[0]) + float((rounded - found.x[0]).norm())
        return found._replace(
            x=layout.to_element(rounded), niter=int(found.niter[0]), reason=str(found.reason[0]),
            error_bound=math.sqrt(extremes(layout.weight)[0]) * bound)  # fmt: skip

    def training_error(
        self, params: Sequence[float] | np.ndarray, accuracy: float = ACCURACY
    ) -> tuple[float, float]:
        """Return the mean squared error of other parameters on the training pairs, and its bound.

        Parameters
        ----------
        params : sequence of float
            ``theta``.
        accuracy : float, optional
            As for `reconstruct`.
        """
        require_positive("accuracy", accuracy)
        theta = _vector("params", params, len(self.params))
        loss = self.problem.loss
        found = LowerLevel(self.problem).solve(theta, accuracy * self._size())
        bound = loss.value_bound(found.x, torch.as_tensor(found.error_bound))
        return float(loss.value(found.x).sum()), float(bound.sum())

    def _size(self):
        """The largest norm of a training image, or that of ones where all of them are zero."""
        truth = self.problem.loss.truth.flatten(1)
        return float(truth.norm(dim=1).max()) or math.sqrt(truth.shape[1])


def _stacked(name, values, space):
    """Elements or arrays as one batch in double precision."""
    layout, parts = layout_of(space), []
    try:
        values = list(values)
    except TypeError as error:
        raise TypeError(f"{name} is {shown(values)}, expected a sequence of elements of "
                        f"{space!r}.") from error
    for value in values:
        parts.append(layout.to_tensor(_element(name, value, space)))
    if not parts:
        raise ValueError(f"{name} is empty, expected at least one element of {space!r}.")
    return each(lambda *tensors: torch.stack(tensors).to(
        torch.complex128 if tensors[0].is_complex() else torch.float64), *parts)  # fmt: skip


def _element(name, value, space):
    if value in space:
        return value
    try:
        return space.element(value)
    except (BufferError, TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name} has an entry {shown(value)}, expected an element of {space!r}, "
                   f"or an array that becomes one: {error}") from error


def _bounds(name, value, size):
    """One number for each parameter; a single one is that of all."""
    return _vector(name, [value] * size if np.ndim(value) == 0 else value, size)


def _vector(name, value, size):
    try:
        vector = np.asarray(value, dtype=float)
        fits = vector.shape == (size,)
    except (OverflowError, TypeError, ValueError):
        fits = False
    if not fits:
        raise ValueError(f"{name} is {shown(value)}, expected {size} numbers, one for every "
                         "parameter of the functional.")
    return torch.tensor(vector)
