"""Adversarial regularizers: small on images, large on naive reconstructions, and not too steep."""

from typing import final

import torch

from odl_learned.learning.batch import Batch
from odl_learned.learning.objective import Objective, require_truth
from odl_learned.validation import require_nonnegative, require_positive


@final
class Adversarial(Objective):
    r"""What a regularizer minimizes that is to tell images from naive reconstructions.

    .. math:: \frac1s \Big( E_u R(u) - E_v R(v) \Big)
              + \mu \, E_x \Big( \frac{|\nabla R(x)|}{s} - 1 \Big)_+^2,
              \qquad x = \epsilon u + (1 - \epsilon) v,

    with images u, the truth, and ``v = A^+ y``, the data, such as filtered backprojections or noisy
    images; epsilon is uniform, one for each sample. The larger mu, the nearer is R to being
    s-Lipschitz, and s times the first term to the distance of Wasserstein between both
    distributions. The scale of R and the regularization parameter are left open; they are fitted
    afterwards, and decide (`learning.search_scale`).

    The model of `learning.train` is the regularizer: it maps ``(batch, *shape)`` to ``(batch,)``
    and is differentiable twice, such as `regularizers.Ridge`. The pairs are ``(v, u)``.

    Parameters
    ----------
    penalty : float, optional
        mu, nonnegative.
    slope : float, optional
        s, positive: the norm of gradients, Euclidean, about that of R at the start.

    Calling it raises a ValueError where there is no truth, images differ in shape, or the model
    does not return one real value for each sample.

    Source: Lunz, Oktem, Schonlieb, Adversarial regularizers in inverse problems (2018), algorithm
    1; one-sided as in Petzka et al., On the regularization of Wasserstein GANs (2018).

    Examples
    --------
    >>> import torch
    >>> from odl_learned import learning
    >>> from odl_learned.learning import objectives
    >>> class Variation(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x.diff(dim=-1).abs().sum(-1)
    ...
    >>> truth = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    >>> noisy = truth + torch.tensor([[0.2, -0.2, 0.2, -0.2]])
    >>> batch = learning.Batch(noisy, truth, torch.Generator().manual_seed(0), "in step 1")
    >>> print(objectives.Adversarial(penalty=0.0)(Variation(), batch))  # 1.0 - 2.2
    tensor(-1.2000, grad_fn=<MeanBackward0>)
    >>> print(objectives.Direct()(Variation(), batch))
    tensor(-0.3750)
    """

    def __init__(self, penalty: float = 10.0, slope: float = 1.0) -> None:
        require_nonnegative("penalty", penalty)
        require_positive("slope", slope)
        self.penalty, self.slope = float(penalty), float(slope)

    def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        u, v = require_truth(batch), batch.data
        if u.shape != v.shape:
            raise ValueError(
                f"the truth has shape {tuple(u.shape)} and the data {tuple(v.shape)}, expected "
                "images both; pass pairs (A^+ y, x) of naive reconstructions and truths.")
        difference = self.values(batch, model, u) - self.values(batch, model, v)
        share = batch.uniform(u.real.flatten(1)[:, 0]).reshape(-1, *[1] * (u.ndim - 1))
        x = (share * u + (1 - share) * v).detach().requires_grad_()
        with torch.enable_grad():
            total = self.values(batch, model, x).sum()
            (slopes,) = torch.autograd.grad(total, x, create_graph=torch.is_grad_enabled())
        steepness = torch.linalg.vector_norm(slopes.flatten(1), dim=1) / self.slope
        excess = (steepness - 1).clamp_min(0).square()
        return (difference / self.slope + self.penalty * excess).mean()

    @staticmethod
    def values(batch: Batch, model: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
        """Return the regularizer of images, one real number for each; raise if it is none."""
        values = batch.predict(model, x)
        if values.shape != x.shape[:1] or values.is_complex():
            raise ValueError(
                f"the regularizer returned {values.dtype} of shape {tuple(values.shape)}, expected "
                f"one real number for each sample, of shape {tuple(x.shape[:1])}; sum over the "
                "pixels of each image.")
        return values
