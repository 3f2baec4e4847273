"""The gradient flow of a data term and a learned regularizer, in steps of equal length."""

import torch
from torch import nn

from odl_learned.reconstruction.unrolled.proximal_gradient import step_size_of
from odl_learned.regularizers.protocols import WithLevels
from odl_learned.validation import require_positive, shown


class FlowStep(nn.Module):
    r"""An explicit step of the gradient flow of a data term and a learned regularizer.

    .. math:: u \leftarrow u - \tau \big( \nabla E(u) + \nabla R_\sigma(u) \big)

    S of them, the same one S times in `LearnedProximalGradient`, follow the flow up to the time
    ``T = S tau``. The regularizer is learned such that images are good there, not at the end of the
    flow: T is a parameter like others, and regularizes, too.

    Parameters
    ----------
    regularizer : torch.nn.Module
        With ``at(noise_level).gradient(u)``, such as `regularizers.TotalDeepVariation`.
    noise_level : float
        ``sigma``, positive, at which the regularizer is taken.
    step_size : float or LearnedStepSize
        tau, greater than zero; a number is kept, a `LearnedStepSize` is learned.

    Maps ``(u, gradient, memory)`` to ``(u, memory)``, the memory as it is.

    Raises
    ------
    TypeError
        If the regularizer is none.
    ValueError
        If a number is not positive.

    Source: Kobler, Effland, Kunisch, Pock, Total deep variation for linear inverse problems (2020),
    there with the data term implicit.

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import bridge, networks, reconstruction, regularizers
    >>> A = odl.IdentityOperator(odl.uniform_discr([0, 0], [6, 6], (6, 6), dtype="float32"))
    >>> filters = regularizers.ComposedFilters((1, 4), 3, networks.Reflecting(), dimension=2)
    >>> ridge = regularizers.Ridge(filters, regularizers.LogCosh())
    >>> steps = [reconstruction.FlowStep(ridge, noise_level=0.5, step_size=0.1) for _ in range(3)]
    >>> model = reconstruction.LearnedProximalGradient(
    ...     bridge.as_module(A), bridge.as_module(A.adjoint), steps)
    >>> y = torch.rand(1, 6, 6, generator=torch.Generator().manual_seed(0))
    >>> print(bool(model(y).std() < y.std()))
    True
    """

    def __init__(
        self, regularizer: WithLevels, noise_level: float, step_size: float | nn.Module
    ) -> None:
        super().__init__()
        if not isinstance(regularizer, nn.Module) or not hasattr(regularizer, "at"):
            raise TypeError(f"regularizer is {shown(regularizer)}, expected a torch module with "
                            "at(noise_level), such as regularizers.TotalDeepVariation.")
        require_positive("noise_level", noise_level)
        self.regularizer, self.noise_level = regularizer, float(noise_level)
        self.step_size = step_size_of(step_size)

    def forward(
        self, u: torch.Tensor, gradient: torch.Tensor, memory: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        slope = gradient + self.regularizer.at(self.noise_level).gradient(u)
        return u - self.step_size() * slope, memory
