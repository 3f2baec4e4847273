"""``as_gradient_module``: the gradient of any ODL functional as a batched torch module."""


import odl
import torch
from torch import nn

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.lowering import OperatorModule, lower
from odl_learned.dispatch import rules_by_class


class Gradient(nn.Module):
    """``x -> W^-1 (Euclidean gradient of f)(x)``, sample by sample.

    The samples do not interact: the gradient of the sum of the values of a batch holds the
    gradients of all of them.
    """

    def __init__(self, functional, layout):
        super().__init__()
        self.functional, self.layout = functional, layout

    def forward(self, x):
        return self.layout.unweigh(torch.func.grad(self.total)(x))

    def total(self, x):
        """Sum of the values of a batch, real."""
        value = self.functional(x).sum()
        return value.real if value.is_complex() else value


@rules_by_class(odl.functionals.Functional, "gradient")
def lower_gradient(f: odl.functionals.Functional) -> nn.Module:
    """Return the bare torch module that computes the gradient of an ODL functional.

    Dispatches on the class of the functional: expressions follow the chain rule
    (`rules.gradients`); a functional without a rule has the gradient that its lowered module brings
    as ``gradient``, else that of autograd.
    """
    native = lower(f)
    gradient = getattr(native, "gradient", None)
    return Gradient(native, layout_of(f.domain)) if gradient is None else gradient


def as_gradient_module(f: odl.functionals.Functional) -> OperatorModule:
    r"""Return the gradient of an ODL functional as a torch module on batches.

    .. math:: \text{Re} \langle \nabla f(x), h \rangle_X = f'(x) h ,

    the Riesz representative in the weighted inner product of the domain, as ``f.gradient`` is:
    :math:`W^{-1}` times torch's Euclidean gradient of ``as_module(f)``.

    Parameters
    ----------
    f : odl.functionals.Functional
        Any functional with a gradient in ODL.

    Returns
    -------
    module : OperatorModule
        Maps ``(*batch, *f.domain.shape)`` to the same shape, in the dtype of the domain;
        differentiable once less often than ``as_module(f)``: to every order, if that is native,
        otherwise once, by ``f.gradient.derivative(x)`` and its adjoint.

    Raises
    ------
    TypeError
        If ``f`` is not a functional.
    NotImplementedError
        If ODL has no gradient of the functional, such as an indicator, whose derivative by
        autograd would be a meaningless zero.

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import bridge, functionals
    >>> X = odl.rn(2, dtype="float32")
    >>> gradient = bridge.as_gradient_module(functionals.l2_fidelity(X.element([1, 2])))
    >>> print(gradient(torch.tensor([[1.0, 3.0], [0.0, 0.0]])))
    tensor([[ 0.,  1.],
            [-1., -2.]])
    """
    if not isinstance(f, odl.functionals.Functional):
        raise TypeError(
            f"expected an ODL functional, got {type(f).__name__} ({f!r}); an operator has a "
            "derivative, as_module(op.derivative(x))."
        )
    try:
        f.gradient
    except NotImplementedError as error:
        raise NotImplementedError(
            f"ODL has no gradient of {type(f).__name__} ({f!r}). If it has a proximal, use "
            "as_proximal_module(f)."
        ) from error
    return OperatorModule(lower_gradient(f), layout_of(f.domain), False)
