"""Classical iterations from data to images, a fixed number of steps: least squares, Landweber."""

import torch
from torch import nn

from odl_learned.reconstruction.tensor_maps import (
    TensorMap,
    require_samples_apart,
    require_tensor_map,
)
from odl_learned.reconstruction.unrolled.data_gradient import (
    DataGradient,
    layout_of_images,
    normal_image,
    require_maps,
)
from odl_learned.reconstruction.unrolled.proximal_gradient import step_size_of
from odl_learned.validation import require_count


class LeastSquares(nn.Module):
    r"""Some conjugate gradient steps for ``min |A u - y|`` from zero.

    .. math:: u_K = \operatorname{argmin} \big\{ |A u - y| : u \in \operatorname{span}
              \{ (A^* A)^j A^* y : j < K \} \big\}

    For data of several coils it is the iterative reconstruction SENSE; the number of steps
    regularizes. The map is not linear, since the subspace depends on the data; derivatives go
    through the iteration. A sample that has no residual left stays where it is.

    Parameters
    ----------
    forward, adjoint : torch.nn.Module or callable
        The linear operator A and its adjoint, as in `Tikhonov`, here also with learned parameters.
    iterations : int
        K, at least 1.
    dimension : int
        Number of axes of an image, ``len(X.shape)``.
    normal : torch.nn.Module or callable, optional
        ``A* A`` as one map where it costs less than its parts.

    Maps data ``(*batch, *Y.shape)`` to images ``(*batch, *X.shape)``.

    Raises
    ------
    ValueError
        If a number is out of bounds, an operator nonlinear, or ``normal`` is not the product of
        the others.
    TypeError
        If an ODL operator is passed in place of its module.

    Source: Pruessmann, Weiger, Boernert, Boesiger, Advances in sensitivity encoding with arbitrary
    k-space trajectories (2001), without the correction of intensities; Hestenes, Stiefel (1952).
    """

    def __init__(
        self,
        forward: TensorMap,
        adjoint: TensorMap,
        iterations: int,
        *,
        dimension: int,
        normal: TensorMap | None = None,
    ) -> None:
        super().__init__()
        require_maps(forward, adjoint, normal, dimension)
        require_count("iterations", iterations)
        self.forward_op, self.adjoint_op, self.normal_op = forward, adjoint, normal
        self.iterations, self.dimension = iterations, dimension
        require_samples_apart(self, adjoint)

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        # (*batch, *Y.shape) -> (*batch, *X.shape)
        r = p = self.adjoint_op(data)
        u, rho = torch.zeros_like(r), self._inner(r, r)
        # Squares of rounding errors of r.
        floor = torch.finfo(r.dtype).eps ** 2 * rho
        for _ in range(self.iterations):
            image = normal_image(self, p)
            curvature = self._inner(p, image)
            runs = (rho > floor) & (curvature > 0)
            step = _ratio(runs, rho, curvature)
            u, r = u + step * p, r - step * image
            rho, last = self._inner(r, r), rho
            p = r + _ratio(runs, rho, last) * p
        return u

    def _inner(self, x, z):
        """``Re <x, z>`` of every sample, with axes of length one in the place of the image's."""
        layout, products = layout_of_images(self.forward_op), (x * z.conj()).real
        if layout is not None:
            products = layout.weigh(products)
        return products.sum(tuple(range(-self.dimension, 0)), keepdim=True)


class Landweber(nn.Module):
    r"""Some steps of Landweber's iteration, ``u <- u - tau A* (A u - y)``.

    From zero it is a linear map of the data; the number of steps regularizes. `LearnedLandweber`
    stops by the discrepancy principle.

    Parameters
    ----------
    forward, adjoint : torch.nn.Module or callable
        The linear operator A and its adjoint, as in `LearnedProximalGradient`.
    step_size : float or LearnedStepSize
        tau, between 0 and ``2 / |A|^2``; a number is kept, a `LearnedStepSize` is learned.
    iterations : int
        Number of steps, at least 1.
    initial : torch.nn.Module or callable, optional
        Maps the data to the first image; the default is zero.
    normal : torch.nn.Module or callable, optional
        ``A* A`` as one map where it costs less than its parts.

    Maps data ``(*batch, *Y.shape)`` to images ``(*batch, *X.shape)``.

    Raises
    ------
    ValueError
        If a number is out of bounds, an operator nonlinear, or ``normal`` is not the product of
        the others.
    TypeError
        If an ODL operator is passed in place of its module.

    Source: Engl, Hanke, Neubauer (1996), section 6.1.

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import bridge, reconstruction
    >>> A = odl.MatrixOperator([[2.0, 0.0], [0.0, 1.0]])
    >>> forward, adjoint = bridge.as_module(A), bridge.as_module(A.adjoint)
    >>> y = torch.tensor([[2.0, 3.0]], dtype=torch.float64)
    >>> print(reconstruction.Landweber(forward, adjoint, step_size=0.4, iterations=50)(y))
    tensor([[1.0000, 3.0000]], dtype=torch.float64)
    >>> print(reconstruction.LeastSquares(forward, adjoint, iterations=2, dimension=1)(y))
    tensor([[1., 3.]], dtype=torch.float64)
    >>> print(reconstruction.Tikhonov(forward, adjoint, alpha=1.0, dimension=1)(y))  # 4/5, 3/2
    tensor([[0.8000, 1.5000]], dtype=torch.float64)
    """

    def __init__(
        self,
        forward: TensorMap,
        adjoint: TensorMap,
        step_size: float | nn.Module,
        iterations: int,
        initial: TensorMap | None = None,
        normal: TensorMap | None = None,
    ) -> None:
        super().__init__()
        require_maps(forward, adjoint, normal)
        require_tensor_map("initial", initial, optional=True)
        require_count("iterations", iterations)
        self.forward_op, self.adjoint_op, self.normal_op = forward, adjoint, normal
        self.step_size, self.iterations = step_size_of(step_size), iterations
        self.initial = initial
        self.is_linear = initial is None or bool(getattr(initial, "is_linear", False))
        require_samples_apart(self, adjoint)

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        # (*batch, *Y.shape) -> (*batch, *X.shape)
        slope = DataGradient(self, data)
        if self.initial is None:
            u, count = -self.step_size() * slope.zero(), self.iterations - 1
        else:
            u, count = self.initial(data), self.iterations
        for _ in range(count):
            u = u - self.step_size() * slope(u)
        return u


def _ratio(runs, over, under):
    return torch.where(runs, over / torch.where(runs, under, 1.0), 0.0)
