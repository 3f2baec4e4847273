"""Regularizers that are small on good images and large on bad ones, compared as they are."""

from typing import final

import torch

from odl_learned.learning.batch import Batch
from odl_learned.learning.objective import Objective, require_truth
from odl_learned.learning.objectives.adversarial import Adversarial


@final
class Direct(Objective):
    r"""The difference of a regularizer on good and bad images, relative to their size.

    .. math:: \frac{E_u R(u) - E_v R(v)}{E_u |R(u)| + E_v |R(v)|} \in [-1, 1]

    with good images u, the truth, and bad ones v, the data, such as noisy images. It does not
    depend on the scale of R, which is fitted afterwards, as is alpha. For a nonnegative R it is
    ``(q - 1) / (q + 1)`` with the quotient ``q = E R(u) / E R(v)``, and minimizes that.

    Nothing asks R to tell a good image from one that is nearly good: of many filters the few are
    left that respond to v alone, and with them a regularizer that denoises badly
    (``docs/regularizers.md``). `EnergyGap` takes reconstructions for v.

    The model of `learning.train` is the regularizer: it maps ``(batch, *shape)`` to ``(batch,)``.
    The pairs are ``(v, u)``.

    Calling it raises a ValueError where there is no truth, or the model does not return one real
    value for each sample.

    Source: Benning, Gilboa, Grah, Schonlieb, Learning filter functions in regularisers by
    minimising quotients (2017), there as a quotient.
    """

    def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        good = Adversarial.values(batch, model, require_truth(batch))
        bad = Adversarial.values(batch, model, batch.data)
        size = (good.abs() + bad.abs()).mean()
        return (good - bad).mean() / size.clamp_min(torch.finfo(size.dtype).tiny)
