"""``as_operator`` and ``as_functional``: torch modules as ODL operators and functionals."""

import odl
import torch

from odl_learned.bridge.module_operators import ModuleFunctional, ModuleOperator


def as_operator(module, domain, range):
    """Return an ODL operator that evaluates a torch module.

    The module is called with a batch of one, ``(1, *domain.shape)``; its derivative, the adjoint
    of that, and, where the module says ``is_linear``, its own adjoint come from autograd.

    Parameters
    ----------
    module : torch.nn.Module
        Maps ``(*batch, *domain.shape)`` to ``(*batch, *range.shape)``, such as a reconstruction
        or a network wrapped in ``networks.OnImages``. Put it in evaluation mode first.
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
        On call, if the module returns another shape than ``range.shape``.
    RuntimeError
        On call, if the module fails.
    """
    _require_module(module)
    _require_space("domain", domain)
    _require_space("range", range)
    return ModuleOperator(module, domain, range)


def as_functional(module, domain):
    """Return an ODL functional that evaluates a torch module with one value per sample.

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
        On call, if the module does not return one real number per sample.
    """
    _require_module(module)
    _require_space("domain", domain)
    return ModuleFunctional(module, domain)


def _require_module(module):
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
