"""Unrolled reconstruction: a few steps of proximal gradient descent with learned proximals."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from odl_learned.networks.images import (
    from_channels,
    require_dimension,
    require_network,
    to_channels,
)
from odl_learned.reconstruction.tensor_maps import (
    TensorMap,
    modules,
    require_images,
    require_samples_apart,
    require_tensor,
    require_tensor_map,
)
from odl_learned.reconstruction.unrolled.commuting import warn_of_broken_symmetry
from odl_learned.reconstruction.unrolled.data_gradient import DataGradient, require_maps
from odl_learned.validation import require_positive


class LearnedProximalGradient(nn.Module):
    """Proximal gradient descent for ``E(u) = 1/2 |A u - y|^2`` with learned steps.

    ``(u_{k+1}, m_{k+1}) = N_k(u_k, grad E(u_k), m_k),  grad E(u) = A^*(A u - y)``,
    ``k = 0, ..., K-1``, with a memory ``m_k`` that belongs to the steps alone. With the
    step ``u -> P(u - tau grad E(u))`` it is proximal gradient descent, with ``P = id`` Landweber's
    iteration.

    Parameters
    ----------
    forward, adjoint : torch.nn.Module or callable
        The linear operator A, ``(*batch, *X.shape) -> (*batch, *Y.shape)``, and its adjoint, for
        example ``bridge.as_module(A)`` and ``bridge.as_module(A.adjoint)``.
    steps : sequence of torch.nn.Module
        K modules ``(u, gradient, memory) -> (u, memory)``; the first memory is None. The same
        module several times shares its weights.
    initial : torch.nn.Module or callable, optional
        Maps the data y to ``u_0``; the default is ``u_0 = 0``.
    normal : torch.nn.Module or callable, optional
        ``A^* A`` as one map, ``bridge.as_module(A.adjoint @ A)``, where it costs less than its
        parts, as for several coils and convolutions: then ``A^* y`` is computed once.

    Maps data ``(*batch, *Y.shape)`` to images ``(*batch, *X.shape)``. If the adjoint is a module of
    ``bridge.as_module``, which knows the space of the data, random data are mapped in a batch of
    two and alone at the start, in evaluation mode: steps that mix samples are an error.

    Raises
    ------
    ValueError
        If there are no steps, if data or initial value do not fit the operator, if ``normal`` is
        not the product of the others, or if the samples of a batch influence each other, because a
        step has another dimension than the image.
    TypeError
        If an ODL operator is passed in place of its module.

    Source: Celledoni et al., Equivariant neural networks for inverse problems (2021), algorithm
    2 (the learned proximal gradient method).
    """

    def __init__(
        self,
        forward: TensorMap,
        adjoint: TensorMap,
        steps: Sequence[nn.Module] | nn.ModuleList,
        initial: TensorMap | None = None,
        normal: TensorMap | None = None,
    ) -> None:
        super().__init__()
        require_maps(forward, adjoint, normal)
        require_tensor_map("initial", initial, optional=True)
        self.forward_op, self.adjoint_op, self.normal_op = forward, adjoint, normal
        self.steps = modules("steps", steps)
        self.initial = initial
        require_samples_apart(self, adjoint)
        warn_of_broken_symmetry(self.steps, forward, adjoint)

    def gradient(self, u: torch.Tensor, data: torch.Tensor) -> torch.Tensor:
        """Return ``grad E(u) = A^*(A u - y)`` for images u and data y."""
        return DataGradient(self, data)(u)

    def iterates(self, data: torch.Tensor) -> Iterator[torch.Tensor]:
        """Generate ``u_0, ..., u_K`` for data ``(*batch, *Y.shape)``."""
        require_tensor("data", data)
        slope = DataGradient(self, data)
        if self.initial is None:
            gradient = slope.zero()
            u = torch.zeros_like(gradient)
        else:
            u = self.initial(data)
            gradient = slope(u)
        yield u
        memory, shape = None, u.shape
        for k, step in enumerate(self.steps):
            if k > 0:
                gradient = slope(u)
            require_images(f"the gradient in step {k}", gradient, shape)
            u, memory = step(u, gradient, memory)
            require_images(f"the result of step {k}", u, shape)
            yield u

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        # (*batch, *Y.shape) -> (*batch, *X.shape)
        for u in self.iterates(data):
            pass
        return u


class LearnedStepSize(nn.Module):
    """A step size that is learned and stays positive, ``tau = exp(s)`` with the parameter s.

    Parameters
    ----------
    initial : float
        First value of tau, greater than zero; ValueError otherwise.
    """

    def __init__(self, initial: float) -> None:
        super().__init__()
        require_positive("initial step size", initial)
        self.log_step_size = nn.Parameter(torch.tensor(math.log(initial)))

    def forward(self) -> torch.Tensor:  # () -> ()
        return self.log_step_size.exp()


class _FixedStepSize(nn.Module):
    def __init__(self, step_size):
        super().__init__()
        require_positive("step_size", step_size)
        self.step_size = float(step_size)

    def forward(self):
        return self.step_size


def step_size_of(step_size):
    """A module that gives the step size: the one that was passed, or a constant."""
    return step_size if isinstance(step_size, nn.Module) else _FixedStepSize(step_size)


class GradientStep(nn.Module):
    """A proximal gradient step, ``u <- P(u - tau grad E(u))``; the memory stays as it is.

    Parameters
    ----------
    proximal : torch.nn.Module or callable
        P, maps images ``(*batch, *X.shape)`` to images; for proximal gradient descent the
        proximal operator of ``tau R``.
    step_size : float or LearnedStepSize
        tau, greater than zero; a number is kept, a `LearnedStepSize` is learned.

    Raises
    ------
    ValueError
        If the step size is not a finite number greater than zero.

    Source: Celledoni et al. (2021), algorithm 2, without memory.
    """

    def __init__(self, proximal: TensorMap, step_size: float | LearnedStepSize) -> None:
        super().__init__()
        require_tensor_map("proximal", proximal)
        self.proximal = proximal
        self.step_size = step_size_of(step_size)

    def forward(
        self, u: torch.Tensor, gradient: torch.Tensor, memory: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        return self.proximal(u - self.step_size() * gradient), memory


class MemoryStep(nn.Module):
    """A learned step with memory, ``(d, m) <- N(u, tau grad E(u), m),  u <- u + d``.

    The new memory is taken from the network as it is, without rectification: a network whose last
    layer begins at zero would otherwise have a memory that never receives a gradient.

    Parameters
    ----------
    net : torch.nn.Module
        N, maps ``(N, 2 c + memory_channels, *shape)`` to ``(N, c + memory_channels, *shape)``; c
        is 1 for real images and 2, the real and the imaginary part, for complex ones. The input
        channels are u, tau grad E(u) and the memory, the output channels the update d and the new
        memory; for example ``networks.CNN(2 + m, 1 + m, width, depth)``.
    memory_channels : int
        Number of real memory channels, which are zero at first; 0 for none.
    step_size : float or LearnedStepSize
        tau, greater than zero; a number is kept, a `LearnedStepSize` is learned.
    dimension : int
        Number of axes of an image, ``len(X.shape)``: 1 for signals, 3 for volumes. All axes before
        them are batch axes, so that a wrong number would take samples for pixels.

    Raises
    ------
    ValueError
        If the step size, the number of channels or the dimension is wrong, or the network has
        another output shape.
    TypeError
        If the network is no module.

    Source: Celledoni et al. (2021), algorithm 2; the memory is that of Adler, Oktem, Solving
    ill-posed inverse problems using iterative deep neural networks (2017).
    """

    def __init__(
        self,
        net: nn.Module,
        memory_channels: int,
        step_size: float | LearnedStepSize,
        *,
        dimension: int,
    ) -> None:
        super().__init__()
        require_network(net)
        require_dimension(dimension, net)
        if not isinstance(memory_channels, int) or memory_channels < 0:
            raise ValueError(
                f"memory_channels is {memory_channels!r}; expected a whole number, at least 0."
            )
        self.net = net
        self.memory_channels = memory_channels
        self.step_size = step_size_of(step_size)
        self.dimension = dimension

    def forward(
        self, u: torch.Tensor, gradient: torch.Tensor, memory: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        image = to_channels(u, self.dimension)  # (N, c, *shape)
        if memory is None:
            memory = image.new_zeros(image.shape[0], self.memory_channels, *image.shape[2:])
        if memory.shape[1] != self.memory_channels:
            raise ValueError(
                f"the memory of the step before has {memory.shape[1]} channels, expected "
                f"{self.memory_channels}; give all steps equally many memory_channels."
            )
        scaled = to_channels(self.step_size() * gradient, self.dimension)
        channels = self.net(torch.cat((image, scaled, memory), dim=1))
        count = image.shape[1]
        expected = (image.shape[0], count + self.memory_channels, *image.shape[2:])
        if tuple(channels.shape) != expected:
            raise ValueError(
                f"the network of the step returned shape {tuple(channels.shape)}, expected "
                f"{expected}: {count} channel(s) of the image and {self.memory_channels} of the "
                "memory; build it with that many output channels."
            )
        return u + from_channels(channels[:, :count], u, self.dimension), channels[:, count:]
