"""``as_operator`` and ``as_functional``: torch modules as ODL operators and functionals."""

import odl
import torch
from odl.core.set.sets import Field

from odl_learned.bridge.learned.module_operators import ModuleFunctional, ModuleOperator
from odl_learned.bridge.learned.separation import require_samples_of_space_apart
from odl_learned.bridge.lowering import OperatorModule


def as_operator(
    module: torch.nn.Module, domain: odl.LinearSpace | Field, range: odl.LinearSpace | Field
) -> ModuleOperator:
    """Return an ODL operator that evaluates a torch module.

    The module is called with a batch of one, ``(1, *domain.shape)``; its derivative, the adjoint
    of that, and, where the module says ``is_linear``, its own adjoint come from autograd.

    When the operator is made, a random image is mapped in a batch of two and alone, which must
    agree (`separation`). This costs two evaluations, on one image and on two, and leaves
    parameters, buffers and random states as they are. Modules of `as_module` are spared it, and
    modules that are random in evaluation mode too, which cannot be compared, are let through.

    Parameters
    ----------
    module : torch.nn.Module
        Maps ``(*batch, *domain.shape)`` to ``(*batch, *range.shape)``, such as a reconstruction
        or a network wrapped in ``networks.OnImages``. Put it in evaluation mode first, with
        ``module.eval()``.
    domain, range : odl.LinearSpace
        Spaces with a weighted inner product; their dtypes are those of the module.

    Returns
    -------
    operator : odl.Operator

    Raises
    ------
    TypeError
        If ``module`` is no module or a space is none; on call, if complex values come out for a
        real range.
    ValueError
        If the samples of a batch influence each other: an axis of the batch is taken for one of
        the image, or batch normalization is in training mode; if the module is random in training
        mode. On call, if it returns another shape than ``range.shape``.
    RuntimeError
        On call, if the module fails.
    """
    require_module(module)
    _require_space("domain", domain)
    _require_space("range", range)
    operator = ModuleOperator(module, domain, range)
    _require_samples_apart(module, operator.source)
    return operator


def as_functional(module: torch.nn.Module, domain: odl.LinearSpace) -> ModuleFunctional:
    """Return an ODL functional that evaluates a torch module with one value per sample.

    As for `as_operator`, a random image must have the same value in a batch of two and alone.

    Parameters
    ----------
    module : torch.nn.Module
        Maps ``(*batch, *domain.shape)`` to real values of shape ``(*batch,)``.
    domain : odl.LinearSpace
        Space with a weighted inner product, of the dtype of the module.

    Returns
    -------
    functional : odl.functionals.Functional
        With ``gradient`` (a Riesz representative in the weighted space) and its derivative.

    Raises
    ------
    ValueError
        If the samples of a batch influence each other, as for `as_operator`. On call, if the
        module does not return one real number per sample.
    """
    require_module(module)
    _require_space("domain", domain)
    functional = ModuleFunctional(module, domain)
    _require_samples_apart(module, functional.source)
    return functional


def _require_samples_apart(module, layout):
    if not isinstance(module, OperatorModule):
        require_samples_of_space_apart(module, layout)


def require_module(module):
    """Raise TypeError unless the module is one of torch."""
    if not isinstance(module, torch.nn.Module):
        raise TypeError(
            f"expected a torch.nn.Module, got {type(module).__name__}. An ODL operator goes the "
            "other way: as_module(op)."
        )


def _require_space(name, space):
    if not isinstance(space, (odl.core.set.space.LinearSpace, odl.core.set.sets.Field)):
        raise TypeError(
            f"{name} is {space!r}, expected an ODL space such as forward_op.domain; build it with "
            "odl.uniform_discr(min_pt, max_pt, shape, dtype=...)."
        )
