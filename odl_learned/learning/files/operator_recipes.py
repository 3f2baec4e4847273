"""Forward operators and their spaces as plain data, and back: no code, and nothing left to chance.

A recipe is a dict of numbers, texts, tensors and further recipes. Whether it says everything is
tried at once: what is built from it must have the spaces and the values of the operator.
"""

import numpy as np
import odl
import torch
from odl.applications import tomo

from odl_learned import operators
from odl_learned.learning.files.geometry_recipes import build_geometry, describe_geometry
from odl_learned.odl_validation import shown
from odl_learned.operators.tomography.cone.implementation import JosephImpl
from odl_learned.operators.tomography.projectors.implementation import MatrixImpl, runs_on_cpu
from odl_learned.operators.tomography.projectors.stacked import StackedImpl
from odl_learned.weights import component_weights, constant_weight, has_constant_weight

_KINDS = ("ray transforms of parallel and fan beams, also symmetrized, SampledFourier, "
          "MultiCoilFourier, convolutions, masks and other multiplications, matrices, "
          "identities, orthogonal wavelets, and multiples of these")


def describe_space(space) -> dict:
    """Return the recipe of a ``uniform_discr``, ``rn`` or ``cn`` space, or of a power of one.

    Raises
    ------
    TypeError
        If it is another one, or `build_space` does not give it back.
    """
    recipe = None
    if isinstance(space, odl.ProductSpace) and len(space) and space.is_power_space:
        weights = component_weights(space)
        if len(set(weights)) == 1:
            recipe = {"kind": "power", "base": describe_space(space[0]), "size": len(space),
                      "weighting": weights[0]}
    elif has_constant_weight(space) and space.impl == "numpy":
        recipe = {"kind": "array", "shape": [int(n) for n in space.shape],
                  "dtype": space.dtype_identifier,
                  "weighting": constant_weight("space", space)}
        if isinstance(space, odl.DiscretizedSpace):
            recipe |= {"kind": "uniform", "min": [float(t) for t in space.min_pt],
                       "max": [float(t) for t in space.max_pt]}  # fmt: skip
    if recipe is None or build_space(recipe) != space:
        raise TypeError(f"{shown(space)} cannot be stored; expected a uniform_discr, rn or cn "
                        "space on numpy with a constant weight, or a power of one.")
    return recipe


def build_space(recipe: dict):
    """Return the space of a recipe of `describe_space`."""
    if recipe["kind"] == "power":
        options = {} if recipe["weighting"] == 1.0 else {"weighting": recipe["weighting"]}
        return odl.ProductSpace(build_space(recipe["base"]), recipe["size"], **options)
    options = {"dtype": recipe["dtype"], "weighting": recipe["weighting"]}
    if recipe["kind"] == "uniform":
        return odl.uniform_discr(recipe["min"], recipe["max"], recipe["shape"], **options)
    return odl.tensor_space(tuple(recipe["shape"]), **options)


def describe_operator(op: odl.Operator) -> dict:
    """Return the recipe of a forward operator.

    Raises
    ------
    TypeError
        If there is none for its class or its spaces, or if the operator that `build_operator` makes
        of it is another one.
    """
    recipe = _describe(op)
    built = build_operator(recipe)
    if built.domain != op.domain or built.range != op.range or not _agree(built, op):
        raise TypeError(f"{shown(op)} cannot be stored: what is built from its description "
                        "differs, because it was made with options of its own. Store the weights, "
                        "model.state_dict(), and build it by your script.")
    return recipe


def _describe(op):
    name = type(op).__name__
    if isinstance(op, odl.OperatorLeftScalarMult | odl.OperatorRightScalarMult):
        return {"kind": "multiple", "operator": _describe(op.operator),
                "scalar": _number(op.scalar)}
    if isinstance(op, tomo.RayTransform):
        # The matrix has ASTRA's entries: files name one projector, however it is computed.
        impl = "astra_cpu" if runs_on_cpu(op) else str(op.impl)
        return {"kind": "RayTransform", "impl": impl,
                "domain": describe_space(op.domain), "geometry": describe_geometry(op.geometry)}
    if type(op) is operators.OrthogonalWaveletAdjoint:
        return {"kind": name, "operator": _describe(op.adjoint)}
    if type(op) is operators.SymmetrizedRayTransform:
        return {"kind": name, "operator": _describe(op.forward_op)}
    recipe = {"kind": name, "domain": describe_space(op.domain)} if hasattr(op, "domain") else {}
    if type(op) in _CONVOLUTIONS.values():
        return recipe | {"kernel": torch.tensor(op.kernel)}
    if type(op) is operators.SampledFourier:
        return recipe | {"weights": torch.tensor(op.weights), "range": describe_space(op.range)}
    if type(op) is operators.MultiCoilFourier:
        return recipe | {"weights": torch.tensor(op.weights), "range": describe_space(op.range),
                         "sensitivities": torch.tensor(op.sensitivities)}
    if type(op) is odl.MultiplyOperator and op.domain == op.range and op.multiplicand in op.domain:
        return recipe | {"multiplicand": torch.tensor(op.multiplicand.asarray())}
    if type(op) is odl.MatrixOperator:
        return recipe | {"matrix": torch.tensor(op.matrix), "axis": op.axis,
                         "range": describe_space(op.range)}
    if type(op) is operators.OrthogonalWavelet:
        return recipe | {"wavelet": op.wavelet.name, "nlevels": op.nlevels}
    if type(op) is odl.IdentityOperator:
        return recipe
    raise TypeError(f"{shown(op)} of the class {name} cannot be stored; expected one of {_KINDS}. "
                    "Store the weights, model.state_dict(), and build it by your script.")


def build_operator(recipe: dict) -> odl.Operator:
    """Return the operator of a recipe of `describe_operator`."""
    kind = recipe["kind"]
    if kind == "multiple":
        return recipe["scalar"] * build_operator(recipe["operator"])
    if kind == "OrthogonalWaveletAdjoint":
        return build_operator(recipe["operator"]).adjoint
    if kind == "SymmetrizedRayTransform":
        return operators.SymmetrizedRayTransform(build_operator(recipe["operator"]))
    domain = build_space(recipe["domain"])
    if kind == "RayTransform":
        own = {"astra_cpu": MatrixImpl, StackedImpl.__name__: StackedImpl,
               JosephImpl.__name__: JosephImpl}
        impl = own.get(recipe["impl"], recipe["impl"])
        return tomo.RayTransform(domain, build_geometry(recipe["geometry"]), impl=impl)
    if kind in _CONVOLUTIONS:
        return _CONVOLUTIONS[kind](domain, recipe["kernel"].numpy())
    if kind == "SampledFourier":
        return operators.SampledFourier(domain, recipe["weights"].numpy(),
                                        build_space(recipe["range"]))
    if kind == "MultiCoilFourier":
        return operators.MultiCoilFourier(domain, recipe["weights"].numpy(),
                                          recipe["sensitivities"].numpy(),
                                          build_space(recipe["range"]))
    if kind == "MultiplyOperator":
        return odl.MultiplyOperator(domain.element(recipe["multiplicand"].numpy()))
    if kind == "MatrixOperator":
        return odl.MatrixOperator(recipe["matrix"].numpy(), domain=domain,
                                  range=build_space(recipe["range"]), axis=recipe["axis"])
    if kind == "OrthogonalWavelet":
        return operators.OrthogonalWavelet(domain, recipe["wavelet"], recipe["nlevels"])
    if kind == "IdentityOperator":
        return odl.IdentityOperator(domain)
    raise ValueError(f"the file holds an operator of the kind {kind!r}, expected one of {_KINDS}; "
                     "read it with the version of the package that wrote it.")


_CONVOLUTIONS = {kind.__name__: kind for kind in (
    operators.PeriodicConvolution, operators.ZeroConvolution, operators.ReflectingConvolution)}


def _number(scalar):
    return complex(scalar) if np.iscomplexobj(scalar) else float(scalar)


def _agree(one, two):
    """Whether two operators have the same value at one point, up to rounding."""
    x = operators.random_element(one.domain, np.random.default_rng(0))
    expected = two(x)
    return (one(x) - expected).norm() <= 1e-5 * expected.norm()


def difference(saved, current, where: str = "") -> str:
    """Return where and how two recipes differ first, or an empty text."""
    if isinstance(saved, dict) and isinstance(current, dict):
        for name in [*saved, *(name for name in current if name not in saved)]:
            place = f"{where}.{name}" if where else name
            if name not in saved or name not in current:
                return f"{place} is {'there' if name in saved else 'here'} only"
            found = difference(saved[name], current[name], place)
            if found:
                return found
        return ""
    if isinstance(saved, torch.Tensor) and isinstance(current, torch.Tensor):
        if saved.shape != current.shape:
            return (f"{where} has {' x '.join(map(str, saved.shape))} entries there, "
                    f"{' x '.join(map(str, current.shape))} here")
        if saved.dtype == current.dtype and torch.equal(saved, current):
            return ""
        return f"{where} has other values"
    return "" if saved == current else f"{where} is {shown(saved)} there, {shown(current)} here"
