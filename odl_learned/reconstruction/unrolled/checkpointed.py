"""Steps that are computed twice, so that the inside of one at a time is in memory."""

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


class Checkpointed(nn.Module):
    """A module without memory of its inside: the backward pass computes it again.

    Of K steps ``u <- N_k(u, ...)``, training keeps the inputs ``u_0, ..., u_{K-1}`` and the inside
    of one step at a time, in place of the insides of all, for one more evaluation of each. Values
    and gradients have the same bits, also with dropout.

    Parameters
    ----------
    step : torch.nn.Module
        A module of any number of tensors or None: a step of `LearnedProximalGradient` or
        `LearnedPrimalDual`, a network.

    Where no graph is recorded, and inside the transforms of ``torch.func``, which refuse hooks on
    saved tensors, it is the step itself.

    Raises
    ------
    TypeError
        If the step is no module.
    ValueError
        If it has batch normalization, whose statistics would be updated twice.

    Source: Chen et al., Training deep nets with sublinear memory cost (2016).

    Examples
    --------
    >>> import torch
    >>> from odl_learned import networks, reconstruction
    >>> seed = torch.Generator().manual_seed(0)
    >>> net = networks.CNN(4, 3, width=4, depth=2, dimension=2, generator=seed)
    >>> step = reconstruction.MemoryStep(net, 2, step_size=0.1, dimension=2)
    >>> lean = reconstruction.Checkpointed(step)  # in the place of the step in a map
    >>> print(len(list(lean.parameters())) == len(list(step.parameters())))
    True
    """

    def __init__(self, step: nn.Module) -> None:
        super().__init__()
        if not isinstance(step, nn.Module):
            raise TypeError(f"step is {step!r}; expected a torch module, such as a GradientStep.")
        for name, part in step.named_modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                raise ValueError(
                    f"part {name!r} of the step is a {type(part).__name__}, whose statistics would "
                    "be updated twice; expected a normalization of single samples or none."
                )
        self.step = step

    def forward(
        self, *inputs: torch.Tensor | None
    ) -> torch.Tensor | tuple[torch.Tensor | None, ...]:
        if not torch.is_grad_enabled() or torch._C._are_functorch_transforms_active():
            return self.step(*inputs)
        # torch.func.functional_call takes its parameters away before the backward pass: these are
        # the ones that are here now.
        parameters = dict(self.step.named_parameters())

        def evaluate(*inputs):
            return torch.func.functional_call(self.step, parameters, inputs)

        return checkpoint(evaluate, *inputs, use_reentrant=False)
