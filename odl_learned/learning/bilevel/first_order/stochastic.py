r"""Inexact stochastic gradients: steps on mini-batches of training pairs.

M. S. Salehi, S. Mukherjee, L. Roberts, M. J. Ehrhardt, Bilevel learning with inexact stochastic
gradients, SSVM 2025, arXiv 2412.12049.
"""

import dataclasses

import torch

from odl_learned.learning.bilevel.first_order.evaluations import Accuracy, Evaluations
from odl_learned.learning.bilevel.first_order.line_search import search
from odl_learned.learning.bilevel.hypergradients.certificates import Mode
from odl_learned.learning.bilevel.hypergradients.hypergradient import Implicit
from odl_learned.learning.bilevel.lower.lower_solvers import LowerSolver, Newton
from odl_learned.learning.bilevel.problem import BilevelProblem, require_problem
from odl_learned.learning.bilevel.progress import Journal, Learned
from odl_learned.learning.bilevel.run import Run, require_run
from odl_learned.learning.bilevel.settings import described, setting_of
from odl_learned.validation import require_count, require_positive


def isgd(
    problem: BilevelProblem,
    params0: torch.Tensor,
    mode: Mode = Implicit(),
    solver: LowerSolver = Newton(),
    *,
    batch_size: int,
    epochs: int,
    generator: torch.Generator,
    step: float | None = None,
    accuracy: float | None = None,
    adjoint_accuracy: float | None = None,
    run: Run = Run(),
) -> Learned:
    r"""Minimize the upper level by projected gradient steps on mini-batches.

    .. math:: \theta' = P(\theta - t\, z_B), \qquad z_B \approx \nabla f_B, \quad
              f_B(\theta) = \sum_{i \in B} \ell_i(\hat x_i(\theta)) + \tfrac{|B|}{N} p(\theta) .

    The batches go through one random permutation of the pairs after the other. Each step is
    shortened until the exact ``f_B`` certainly decreases, and left out if it cannot be; the
    accuracies follow the decrease. Steps are at most ``s / sqrt(epoch + 1)`` long, where ``s``
    grows by a tenth after a success. Every pair remembers its reconstruction for a warm start.

    Parameters
    ----------
    problem, params0, mode, solver, accuracy, adjoint_accuracy
        As for `gradient_based.lbfgsb`.
    batch_size, epochs : int
        Pairs in a batch, at most as many as there are; passes through all pairs. The last batch of
        a pass may be smaller.
    generator : torch.Generator
        Of the permutations; changed.
    step : float, optional
        ``s`` at the start. Default: the first step changes the parameters by at most 0.1.
    run : Run
        As for `gradient_based.lbfgsb`; values of rows are ``N / |B| f_B`` after the step.

    Returns
    -------
    Learned
        Value and bound are those of all pairs. The reason is ``"epochs"``.

    Raises
    ------
    ValueError
        As `gradient_based.lbfgsb`.

    Examples
    --------
    >>> import torch
    >>> from odl_learned import energies
    >>> from odl_learned.energies import coefficients, potentials, transforms
    >>> from odl_learned.learning import bilevel
    >>> from odl_learned.learning.bilevel import first_order
    >>> truth, seed = torch.zeros(2, 16, dtype=torch.float64), torch.Generator().manual_seed(0)
    >>> truth[:, 5:11] = 1
    >>> y = truth + 0.1 * torch.randn(truth.shape, generator=seed, dtype=torch.float64)
    >>> energy = energies.VariationEnergy(
    ...     energies.Denoising(), transforms.BackwardDifferences(16), potentials.Charbonnier(),
    ...     coefficients.decimal_alpha(nu=0.1, xi=1e-3))
    >>> loss = bilevel.SquaredError(truth)
    >>> problem = bilevel.BilevelProblem(energy, y, loss, y, lower=-4.0, upper=2.0)
    >>> alpha = torch.zeros(1, dtype=torch.float64)  # log10 of it
    >>> learned = first_order.isgd(problem, alpha, batch_size=1, epochs=20, generator=seed)
    >>> print(f"{learned.params[0]:.1f}", learned.reason)
    -0.9 epochs
    """
    require_problem(problem)
    problem.require_start(params0)
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator is {generator!r}, expected a torch.Generator; build one with "
                        "torch.Generator().manual_seed(seed).")
    pairs = len(problem.x0)
    require_count("batch_size", batch_size)
    require_count("epochs", epochs)
    if batch_size > pairs:
        raise ValueError(f"batch_size is {batch_size}, expected at most {pairs}, the number of "
                         "training pairs.")  # fmt: skip
    if step is not None:
        require_positive("step", step)
    require_run(run)
    everything = Evaluations(problem, mode, solver, run.reduce)
    asked = everything.asked(accuracy, adjoint_accuracy)
    setting = setting_of(problem, params0) | {
        "method": "isgd", "batch_size": int(batch_size), "accuracy": asked.lower,
        "adjoint_accuracy": asked.adjoint, "step": None if step is None else float(step),
        "mode": described(mode), "solver": described(solver),
    }  # fmt: skip
    with Journal(setting, run) as journal:
        walk = _Walk(everything, problem.clip(params0.detach()), asked, generator, batch_size, step)
        state = journal.resume()
        if state is not None:
            walk.restore(state)
        total = epochs * -(-pairs // batch_size)
        while journal.steps < total:
            journal.accepted(walk.step(), walk.state)
        full = walk.everything()
        return journal.learned(full.params, full.value, full.value_bound, "epochs")


class _Walk:
    def __init__(self, everything, params, accuracy, generator, batch_size, step):
        self.evaluations, self.params, self.accuracy = everything, params, accuracy
        self.generator, self.batch_size, self.length = generator, int(batch_size), step
        self.problem = everything.problem
        self.images = self.problem.x0.clone()
        self.order, self.epoch = torch.zeros(0, dtype=torch.long), -1

    def step(self):
        """Take a step on the next batch, or none; return its row."""
        if not len(self.order):
            self.order = torch.randperm(len(self.images), generator=self.generator)
            self.epoch += 1
        index, self.order = self.order[: self.batch_size], self.order[self.batch_size :]
        evaluations, part = self.batch(index)
        here = evaluations.start(self.params, self.accuracy)
        slope = float(here.gradient.abs().max())
        if self.length is None and slope > 0:
            self.length = 0.1 / slope
        reach = (self.length or 0.0) / (self.epoch + 1) ** 0.5
        found = search(evaluations, here, lambda t: self.problem.clip(
            self.params - t * reach * here.gradient), self.accuracy, longer=False)  # fmt: skip
        here = found.here if found.there is None else found.there
        if found.there is None:
            self.accuracy = here.accuracy.times(0.3)
        else:
            self.length *= found.time * 1.1
            ratio = 1e-2 * found.decrease / max(here.value_bound, 1e-300)
            self.accuracy = evaluations.balanced(
                here.accuracy.times(min(max(ratio, 0.1), 3.0)))  # fmt: skip
        self.images[index] = evaluations.lower.start(here.params)
        self.params = here.params
        return {
            "params": here.params,
            "value": here.value / part, "value_bound": here.value_bound / part,
            "decrease": found.decrease / part, "taken": found.there is not None,
            "gradient_bound": here.gradient_bound, "accuracy": here.accuracy.lower,
            "adjoint_accuracy": here.accuracy.adjoint, "epoch": self.epoch,
            **self.evaluations.work(),
        }  # fmt: skip

    def batch(self, index):
        """Return the evaluations of some pairs, with their part of the penalty, and the part."""
        penalty, part = self.problem.penalty, len(index) / len(self.images)
        problem = dataclasses.replace(
            self.problem.take(index), x0=self.images[index],
            penalty=lambda params: part * penalty(params))  # fmt: skip
        whole = self.evaluations
        evaluations = Evaluations(problem, whole.mode, whole.lower.solver, whole.reduce)
        evaluations.lower.work, evaluations.lower.refuted = whole.lower.work, whole.lower.refuted
        whole.count += 1
        return evaluations, part

    def everything(self):
        """Return the evaluation of all pairs, certified to the same relative accuracy."""
        self.evaluations.problem = dataclasses.replace(self.problem, x0=self.images)
        self.evaluations.lower.problem = self.evaluations.problem
        full = self.evaluations.start(self.params, self.accuracy)
        return self.evaluations.sharper(full, 1e-6 * abs(full.value))[0]

    def state(self):
        return {
            "params": self.params, "accuracy": tuple(self.accuracy), "images": self.images,
            "length": self.length, "order": self.order, "epoch": self.epoch,
            "generator": self.generator.get_state(), "evaluations": self.evaluations.state(),
        }  # fmt: skip

    def restore(self, state):
        self.params, self.accuracy = state["params"], Accuracy(*state["accuracy"])
        self.images, self.length = state["images"], state["length"]
        self.order, self.epoch = state["order"], state["epoch"]
        self.generator.set_state(state["generator"])
        self.evaluations.restore(state["evaluations"])
