"""Learned primal-dual reconstruction: networks in the place of both proximals."""

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
    require_data_of,
    require_images,
    require_samples_apart,
    require_tensor,
    require_tensor_map,
)
from odl_learned.reconstruction.unrolled.commuting import warn_of_broken_symmetry
from odl_learned.reconstruction.unrolled.data_gradient import DataGradient, require_maps
from odl_learned.validation import require_count


class LearnedPrimalDual(nn.Module):
    r"""Primal-dual iterations with learned steps and a memory on both sides.

    .. math:: h_{k+1} = D_k \big( h_k, A f_k^{(2)}, y \big), \qquad
              f_{k+1} = P_k \big( f_k, A^* h_{k+1}^{(1)} \big), \qquad k = 0, \dots, K - 1,

    with ``q`` dual memories ``h = (h^(1), ..., h^(q))`` in the space of the data, ``p`` primal ones
    in that of the images, and the answer ``f_K^(1)``. With ``p = 2``, ``q = 1`` and the right
    steps it is the method of Chambolle and Pock, ``f^(2)`` the extrapolated point; with
    `DataResidual` as the dual step it is the learned primal method.

    Parameters
    ----------
    forward, adjoint : torch.nn.Module or callable
        The linear operator A, ``(*batch, *X.shape) -> (*batch, *Y.shape)``, and its adjoint, or an
        approximate inverse in its place, which makes short training easier. Scale both so that
        ``|A|`` is about one, ``operators.normalized(A)``: networks begin at that size.
    dual_steps, primal_steps : sequence of torch.nn.Module
        K modules each, ``(h, A f, y) -> h`` with h of shape ``(*batch, q, *Y.shape)``, and
        ``(f, A* h) -> f`` with f of shape ``(*batch, p, *X.shape)``; for example `StateStep`. The
        same module several times shares its weights.
    dual_memory, primal_memory : int
        q and p, at least 1. With ``p = 1`` the operator is applied to ``f^(1)``.
    dimension : int
        Number of axes of an image, ``len(X.shape)``.
    initial : torch.nn.Module or callable, optional
        Maps the data to an image, with which all primal memories begin; the default is zero.
    normal : torch.nn.Module or callable, optional
        ``A* A`` as one map, for the learned primal method only, all of whose dual steps are
        `DataResidual`: ``A* h = A*A f - A* y`` then needs no data but ``A* y``.

    Maps data ``(*batch, *Y.shape)`` to images ``(*batch, *X.shape)``, real or complex. Where the
    adjoint knows the space of the data, steps that mix samples are found at the start.

    Raises
    ------
    ValueError
        If there are no steps or not as many dual as primal ones, if data or initial value do not
        fit the operator, if ``normal`` is not the product of the others or dual steps need data,
        or if the samples of a batch influence each other.
    TypeError
        If an ODL operator is passed in place of its module, or a step is no module.

    Source: Adler, Oktem, Learned primal-dual reconstruction (2018), algorithm 3; there p = q = 5
    and K = 10.
    """

    def __init__(
        self,
        forward: TensorMap,
        adjoint: TensorMap,
        dual_steps: Sequence[nn.Module] | nn.ModuleList,
        primal_steps: Sequence[nn.Module] | nn.ModuleList,
        *,
        dual_memory: int,
        primal_memory: int,
        dimension: int,
        initial: TensorMap | None = None,
        normal: TensorMap | None = None,
    ) -> None:
        super().__init__()
        require_maps(forward, adjoint, normal)
        require_tensor_map("initial", initial, optional=True)
        require_count("dual_memory", dual_memory)
        require_count("primal_memory", primal_memory)
        require_dimension(dimension)
        self.forward_op, self.adjoint_op, self.initial = forward, adjoint, initial
        self.normal_op = normal
        self.dual_steps = modules("dual_steps", dual_steps)
        self.primal_steps = modules("primal_steps", primal_steps)
        if len(self.dual_steps) != len(self.primal_steps):
            raise ValueError(f"there are {len(self.dual_steps)} dual steps, expected "
                             f"{len(self.primal_steps)} as primal ones, one of each an iteration.")
        if normal is not None and not all(isinstance(s, DataResidual) for s in self.dual_steps):
            raise ValueError("normal is given, but not all dual steps are DataResidual, expected "
                             "the learned primal method; other dual steps need A f itself. Leave "
                             "normal out.")
        self.dual_memory, self.primal_memory = dual_memory, primal_memory
        self.dimension = dimension
        require_samples_apart(self, adjoint)
        warn_of_broken_symmetry(self.primal_steps, forward, adjoint)

    def iterates(self, data: torch.Tensor) -> Iterator[torch.Tensor]:
        """Generate ``f_0^(1), ..., f_K^(1)`` for data ``(*batch, *Y.shape)``."""
        require_tensor("data", data)
        slope = DataGradient(self, data)
        u = torch.zeros_like(slope.back) if self.initial is None else self.initial(data)
        batch = u.ndim - self.dimension  # the axis of the memory, after those of the batch
        f = torch.stack([u] * self.primal_memory, dim=batch)
        if self.normal_op is not None:
            yield from self._primal_iterates(f, slope, batch)
            return
        simulated = self.forward_op(u)
        require_data_of(simulated, data, u)
        h = torch.stack([torch.zeros_like(data)] * self.dual_memory, dim=batch)
        yield u
        operated = self._operated
        for k, (dual, primal) in enumerate(zip(self.dual_steps, self.primal_steps)):
            if k > 0:
                simulated = self.forward_op(f.select(batch, operated))
            h = dual(h, simulated, data)
            backprojected = self.adjoint_op(h.select(batch, 0))
            require_images(f"the result of the adjoint in step {k}", backprojected, u.shape)
            f = primal(f, backprojected)
            yield f.select(batch, 0)

    @property
    def _operated(self):
        return min(1, self.primal_memory - 1)

    def _primal_iterates(self, f, slope, batch):
        yield f.select(batch, 0)
        for k, primal in enumerate(self.primal_steps):
            gradient = slope(f.select(batch, self._operated))
            require_images(f"the gradient in step {k}", gradient, f.select(batch, 0).shape)
            f = primal(f, gradient)
            yield f.select(batch, 0)

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        # (*batch, *Y.shape) -> (*batch, *X.shape)
        for u in self.iterates(data):
            pass
        return u


class StateStep(nn.Module):
    """A learned step of a state with a memory, ``s <- s + N(s, v_1, ..., v_n)``.

    Parameters
    ----------
    net : torch.nn.Module
        N, maps channels ``(N, c (m + n), *shape)`` to ``(N, c m, *shape)``, with m memories, n
        further inputs, and c channels for each of them: the number of components, twice that for
        complex numbers. For the steps of `LearnedPrimalDual` n is 2 on the dual and 1 on the
        primal side: ``networks.CNN(q + 2, q, ...)`` and ``networks.CNN(p + 1, p, ...)`` for real
        ones.
    dimension : int
        Number of axes of an image, or of the data of one component.
    components : int, optional
        Number of component axes of the data, such as 1 for those of several coils
        ``(*batch, coils, *shape)``.

    Maps a state ``(*batch, m, *components, *shape)`` and inputs without the axis of the memory to a
    state.

    Raises
    ------
    ValueError
        If the dimension is not that of the network, or it returns another shape.
    TypeError
        If the network is no module.

    Source: Adler, Oktem (2018), section III.B: residual steps that begin as the identity.
    """

    def __init__(self, net: nn.Module, *, dimension: int, components: int = 0) -> None:
        super().__init__()
        require_network(net)
        require_dimension(dimension, net)
        require_count("components", components, 0)
        self.net, self.dimension, self.components = net, dimension, components

    def forward(self, state: torch.Tensor, *inputs: torch.Tensor) -> torch.Tensor:
        axes = self.components + 1
        memory = state.ndim - self.dimension - axes
        joined = torch.cat([state, *(v.unsqueeze(memory) for v in inputs)], dim=memory)
        channels = self.net(to_channels(joined, self.dimension, axes))
        return state + from_channels(channels, state, self.dimension, axes)


class DataResidual(nn.Module):
    """The dual step without a network, ``(h, A f, y) -> A f - y``, of the learned primal method.

    The memory has this one entry: ``dual_memory=1``.

    Source: Adler, Oktem (2018), algorithm 2.

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import bridge, networks, reconstruction
    >>> A = odl.IdentityOperator(odl.uniform_discr([0, 0], [4, 4], (4, 4), dtype="float32"))
    >>> seed = torch.Generator().manual_seed(0)
    >>> net = networks.CNN(2, 1, width=4, depth=2, dimension=2, generator=seed)
    >>> dual, primal = reconstruction.DataResidual(), reconstruction.StateStep(net, dimension=2)
    >>> model = reconstruction.LearnedPrimalDual(
    ...     bridge.as_module(A), bridge.as_module(A.adjoint), [dual], [primal], dual_memory=1,
    ...     primal_memory=1, dimension=2)
    >>> print(tuple(model(torch.rand(3, 4, 4, generator=seed)).shape))
    (3, 4, 4)
    """

    def forward(
        self, state: torch.Tensor, simulated: torch.Tensor, data: torch.Tensor
    ) -> torch.Tensor:
        return (simulated - data).reshape(state.shape)
