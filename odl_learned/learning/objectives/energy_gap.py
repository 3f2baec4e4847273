"""Regularizers whose energies truths are to minimize, without derivatives of minimizers."""

from typing import final

import torch

from odl_learned.learning.batch import Batch
from odl_learned.learning.objective import Objective, require_truth
from odl_learned.reconstruction import RegularizedLeastSquares
from odl_learned.validation import shown


@final
class EnergyGap(Objective):
    r"""How much the energy of the truth is above the least energy, a mean over the samples.

    .. math:: E_y(u) - \min_x E_y(x) \ge 0, \qquad
              E_y(x) = \tfrac12 |A x - y|^2 + \alpha R(x), \quad y \approx A u

    It is zero where truths are minimizers, for the scale of R and alpha as they are, and nothing
    has to be normalized or penalized. The data term does not depend on parameters, and the
    derivative of a minimum is that at the minimizer (Danskin): training lowers R on truths and
    raises it on the reconstructions ``v = \hat x(y)`` of R itself, where an adversarial regularizer
    is raised on naive ones. No Hessian is inverted. What it leads to matches the statistics of
    truths rather than being near to them: scales and alpha may be fitted by bilevel learning
    afterwards.

    The model of `learning.train` is a `reconstruction.RegularizedLeastSquares`, best with a
    `reconstruction.WarmStart`; the pairs are ``(y, u)``.

    Calling it raises a TypeError for another model, and a ValueError where there is no truth.

    Source: LeCun et al., A tutorial on energy-based learning (2006), the loss of the perceptron;
    Blondel, Martins, Niculae, Learning with Fenchel-Young losses (2020).

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import bridge, learning, networks, reconstruction, regularizers
    >>> from odl_learned.learning import objectives
    >>> A = odl.IdentityOperator(odl.uniform_discr([0, 0], [4, 4], (4, 4)))
    >>> filters = regularizers.ComposedFilters((1, 4), 3, networks.Reflecting(), dimension=2)
    >>> ridge = regularizers.Ridge(filters, regularizers.LogCosh()).double()
    >>> model = reconstruction.RegularizedLeastSquares(
    ...     bridge.as_module(A), bridge.as_module(A.adjoint), ridge, noise_level=0.5, norm=1.0,
    ...     dimension=2, accuracy=1e-4, maxiter=200)
    >>> y = torch.rand(1, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    >>> for truth in (model(y).detach(), y):  # the minimizer, and another image
    ...     batch = learning.Batch(y, truth, torch.Generator().manual_seed(0), "in step 1")
    ...     print(bool(objectives.EnergyGap()(model, batch) > 1e-3))
    ...
    False
    True
    """

    def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        if not isinstance(model, RegularizedLeastSquares):
            raise TypeError(f"the model is {shown(model)}, expected a "
                            "reconstruction.RegularizedLeastSquares, whose energy is compared.")
        y, u = batch.data, require_truth(batch)
        x = model.solve(y).x
        if u.shape != x.shape:
            raise ValueError(f"the truth has shape {tuple(u.shape)} and reconstructions "
                             f"{tuple(x.shape)}, expected the same.")
        at = model.regularizer.at(model.noise_level)

        def energy(z):
            misfit = (model.forward_op(z) - y).abs().square().flatten(1).sum(1)
            return 0.5 * misfit + model.alpha * at.value(z)

        return (energy(u) - energy(x)).mean()
