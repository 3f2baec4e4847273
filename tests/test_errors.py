"""Bad input over the public interface: the error names the value, the expectation, the next step.

Every row of the table is one mistake: what is done, the type of the error, and a pattern of its
message, usually value, expectation and next step in this order. Below the table is what looks like
a mistake but is none.
"""

import re

import numpy as np
import odl
import pytest
import torch
from torch import nn

from odl_learned import (
    conformance,
    data,
    learning,
    metrics,
    networks,
    operators,
    plotting,
    reconstruction,
    solvers,
    variational,
)
from odl_learned import functionals as F
from odl_learned.bridge import as_batch, as_functional, as_module, as_operator
from odl_learned.learning.checkpoint import read_checkpoint, write_checkpoint

X = odl.uniform_discr([-1, -1], [1, 1], (4, 4), dtype="float32")
C = odl.uniform_discr([-1, -1], [1, 1], (4, 4), dtype="complex64")
SMALL = odl.uniform_discr([0, 0], [1, 1], (3, 3), dtype="float32")
WIDE = odl.uniform_discr([-1, -1], [1, 1], (4, 6), dtype="float32")
PAIR = odl.ProductSpace(X, SMALL)
A = operators.mask_operator(X, np.ones((4, 4)))
RAY = operators.parallel_ray_transform(X, 4)
TV = F.SmoothedTV(X, 1.0, 0.1, 0.1)
FIDELITY = F.l2_fidelity(X.one())
BOX = F.BoxConstraint(X, 0, 1)
PROBLEM = variational.tv_problem(A, FIDELITY, 0.1, BOX)
TV2, TWO = as_batch(TV), torch.ones(2, 4, 4)
ONE = np.ones((4, 4))
NAN = np.full((4, 4), np.nan)
T = torch.ones(4, 4)


def rng():
    return np.random.default_rng(0)


class Square(odl.Operator):
    """Nonlinear, without derivative."""

    def __init__(self, space):
        super().__init__(space, space, linear=False)

    def _call(self, x):
        return x * x


class SmoothSquare(Square):
    """Nonlinear, with ODL's derivative and without a native rule."""

    def derivative(self, x):
        return 2 * odl.MultiplyOperator(x)


class Double(odl.Operator):
    """Linear, without adjoint."""

    def __init__(self, space):
        super().__init__(space, space, linear=True)

    def _call(self, x):
        return 2 * x


class Quartic(odl.functionals.Functional):
    """``sum_j w_j x_j^4``, with a gradient and without a native rule."""

    def __init__(self, space):
        super().__init__(space, linear=False)

    def _call(self, x):
        return (x * x).inner(x * x)

    @property
    def gradient(self):
        return _QuarticGradient(self.domain)


class _QuarticGradient(Square):
    def _call(self, x):
        return 4 * x * x * x

    def derivative(self, x):
        return 12 * odl.MultiplyOperator(x * x)


class Value(odl.functionals.Functional):
    """Without gradient."""

    def __init__(self, space):
        super().__init__(space, linear=False)

    def _call(self, x):
        return x.norm()


class Map(nn.Module):
    """A module given by a function, with one parameter."""

    def __init__(self, function=lambda x: x):
        super().__init__()
        self.scale, self.function = nn.Parameter(torch.ones(())), function

    def forward(self, x):
        return self.function(self.scale * x)


def experts(filters, alphas):
    return variational.experts_problem(A, FIDELITY, filters, alphas)


def backward(op, x=T):
    x = x.clone().requires_grad_()
    as_module(op)(x).sum().backward()


def pairs():
    return data.SimulatedPairs(lambda rng: X.one(), lambda x, rng: x, 4, 0)


def train(model=None, items=None, **changes):
    model = Map() if model is None else model
    options = {"steps": 1, "progress": False} | changes
    if "optimizer" not in options:
        options["optimizer"] = torch.optim.SGD(nn.ParameterList([torch.ones(1)]), 0.1)
        if isinstance(model, nn.Module):
            options["optimizer"] = torch.optim.SGD(model.parameters(), 0.1)
    learning.train(model, pairs() if items is None else items, **options)


def unrolled(**changes):
    steps = [reconstruction.GradientStep(nn.Identity(), 0.1)]
    options = {"forward": as_module(A), "adjoint": as_module(A), "steps": steps} | changes
    return reconstruction.LearnedProximalGradient(**options)


def damaged(path, start, stop):
    """A copy of a file with every seventh byte between two places turned over."""
    content = bytearray(path.read_bytes())
    for i in range(start, stop, 7):
        content[i] ^= 0xFF
    copy = path.with_name(f"damaged{path.suffix}")
    copy.write_bytes(content)
    return copy


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with good and bad files."""
    h5py = pytest.importorskip("h5py")
    folder = tmp_path_factory.mktemp("files")
    noise = rng().standard_normal((64, 64))
    stored = {"one": ONE, "nan": NAN, "complex": 1j * ONE, "stack": np.ones((2, 4, 4)),
              "text": np.array([["a"]]), "none": np.ones((0, 4)), "huge": np.full((4, 4), 1e300)}
    for name, array in stored.items():
        np.save(folder / f"{name}.npy", array)
    np.savez_compressed(folder / "noise.npz", a=noise)
    np.savez(folder / "two.npz", a=ONE, b=ONE)
    with h5py.File(folder / "two.h5", "w") as file:
        file["a"], file["b"], file["kspace"] = ONE, ONE, np.ones((2, 3, 4, 4), dtype=complex)
    with h5py.File(folder / "noise.h5", "w") as file:
        file.create_dataset("a", data=noise, compression="gzip")
    for suffix in ("npy", "npz", "dcm", "h5", "png", "pt"):
        (folder / f"junk.{suffix}").write_bytes(b"junk")
    (folder / "cut.npy").write_bytes((folder / "one.npy").read_bytes()[:-20])
    (folder / "cut.npz").write_bytes((folder / "two.npz").read_bytes()[:-20])
    torch.save({"x": 1}, folder / "foreign.pt")
    torch.save({"format": 99}, folder / "future.pt")
    torch.save({"format": 1, "x": Map}, folder / "code.pt")
    return folder


BRIDGE = [
    ("module of a module", lambda d: as_module(nn.Identity()), TypeError,
     "expected an ODL operator.*got Identity.*as_operator"),
    ("module of an array", lambda d: as_module(ONE), TypeError,
     "expected an ODL operator.*got ndarray"),
    ("space without inner product", lambda d: as_module(odl.IdentityOperator(
        odl.rn(3, exponent=1))), TypeError, "exponent 1.*expected 2.*exponent=2"),
    ("array into a module", lambda d: as_module(A)(ONE), TypeError,
     r"input is a ndarray, expected one tensor.*\*batch, 4, 4.*torch.from_numpy"),
    ("element into a module", lambda d: as_module(A)(X.one()), TypeError,
     "DiscretizedSpaceElement, expected one tensor.*operator itself"),
    ("wrong shape", lambda d: as_module(A)(torch.ones(4, 5)), ValueError,
     r"shape \(4, 5\), expected \(\*batch, 4, 4\).*reshape"),
    ("too few axes", lambda d: as_module(A)(torch.ones(4)), ValueError,
     r"shape \(4,\), expected \(\*batch, 4, 4\).*reshape"),
    ("wrong dtype", lambda d: as_module(A)(T.double()), TypeError,
     r"float64 on cpu, expected torch.float32 on cpu.*\.to"),
    ("complex into a real module", lambda d: as_module(A)(T + 0j), TypeError,
     "complex64 on cpu, expected torch.float32"),
    ("wrong device", lambda d: as_module(A)(T.to("meta")), TypeError,
     r"float32 on meta, expected torch.float32 on cpu.*\.to"),
    ("module moved away", lambda d: as_module(A).to("meta")(T), TypeError,
     "on cpu, expected torch.float32 on meta"),
    ("tensor for a pair", lambda d: as_module(odl.IdentityOperator(PAIR))(T), TypeError,
     "input is a Tensor, expected a tuple of 2.*Pass"),
    ("half a pair", lambda d: as_module(odl.IdentityOperator(PAIR))((T,)), TypeError,
     "tuple of 1 entries, expected a tuple of 2.*Pass"),
    ("wrong part of a pair", lambda d: as_module(odl.IdentityOperator(PAIR))((T, T)), ValueError,
     r"input\[1\] has shape \(4, 4\), expected \(\*batch, 3, 3\)"),
    ("unequal batches", lambda d: as_module(odl.IdentityOperator(PAIR))(
        (torch.ones(2, 4, 4), torch.ones(1, 3, 3))), ValueError,
     r"batch axes \[\(2,\), \(1,\)\], expected the same.*expand"),
    ("no derivative", lambda d: backward(Square(X)), NotImplementedError,
     "Square cannot be differentiated.*derivative.*lower.register.*no_grad"),
    ("no gradient", lambda d: backward(Value(X)), NotImplementedError,
     "Value cannot be differentiated.*gradient.*lower.register.*no_grad"),
    ("no adjoint", lambda d: backward(Double(X)), NotImplementedError,
     "Double cannot be differentiated.*adjoint.*lower.register.*no_grad"),
    ("operator of an operator", lambda d: as_operator(A, X, X), TypeError,
     "expected a torch.nn.Module, got MultiplyOperator.*as_module"),
    ("operator of a function", lambda d: as_operator(abs, X, X), TypeError,
     "expected a torch.nn.Module, got builtin"),
    ("functional of a functional", lambda d: as_functional(TV, X), TypeError,
     "expected a torch.nn.Module, got SmoothedTV.*as_module"),
    ("shape for a domain", lambda d: as_operator(nn.Identity(), (4, 4), X), TypeError,
     r"domain is \(4, 4\), expected an ODL space.*uniform_discr"),
    ("none for a range", lambda d: as_operator(nn.Identity(), X, None), TypeError,
     "range is None, expected an ODL space.*uniform_discr"),
    ("number for a domain", lambda d: as_functional(Map(), 3), TypeError,
     "domain is 3, expected an ODL space"),
    ("output of another shape", lambda d: as_operator(nn.Identity(), X, SMALL)(X.one()),
     ValueError, r"output of Identity has shape \(1, 4, 4\), expected \(\*batch, 3, 3\)"),
    ("output without batch axis", lambda d: as_operator(Map(lambda x: x[0]), X, X)(X.one()),
     ValueError, r"batch axes \(\), expected \(1,\).*keep the batch axis"),
    ("no output", lambda d: as_operator(Map(lambda x: None), X, X)(X.one()), TypeError,
     "output of Map is a NoneType, expected one tensor"),
    ("complex output in a real space", lambda d: as_operator(Map(), C, X)(C.one()), TypeError,
     r"complex64, expected real ones.*x\.real"),
    ("weights of another dtype", lambda d: as_operator(nn.Linear(4, 4).double(), X, X)(X.one()),
     RuntimeError, r"Linear failed on a tensor of shape \(1, 4, 4\).*float32.*Expected.*\.to"),
    ("adjoint of a nonlinear module", lambda d: as_operator(Map(), X, X).adjoint,
     NotImplementedError, r"Map is nonlinear.*expected a linear.*derivative\(x\)\.adjoint"),
    ("element of another space", lambda d: as_operator(Map(), X, X)(SMALL.one()),
     odl.OpDomainError, r"element of the domain uniform_discr\(\[-1"),
    ("many values for a functional", lambda d: as_functional(Map(), X)(X.one()), ValueError,
     r"shape \(1, 4, 4\) for a batch of one, expected one real number.*Sum"),
    ("complex value", lambda d: as_functional(Map(lambda x: x.sum((1, 2))), C)(C.one()),
     ValueError, "complex64.*expected one real number"),
    ("float for a value", lambda d: as_functional(Map(lambda x: 3.0), X)(X.one()), TypeError,
     r"returned a float, expected a tensor.*\.item"),
]

OPERATORS = [
    ("gradient without cells", lambda d: operators.gradient(odl.rn(3)), TypeError,
     r"space is rn\(3\); expected.*uniform_discr\("),
    ("symmetrized gradient of images", lambda d: operators.SymmetrizedGradient(X), TypeError,
     r"expected X \*\* d.*gradient\(X\)\.range"),
    ("Fourier on a real space", lambda d: operators.SampledFourier(X, ONE), TypeError,
     "float32.*expected a complex.*dtype='complex64'"),
    ("Fourier on a power space", lambda d: operators.SampledFourier(C**2, ONE), TypeError,
     "ProductSpace.*expected a complex"),
    ("weights of another shape", lambda d: operators.SampledFourier(C, ONE[:3]), ValueError,
     r"weights has shape \(3, 4\), expected \(4, 4\).*cartesian_mask"),
    ("complex weights", lambda d: operators.SampledFourier(C, 1j * ONE), TypeError,
     "weights is complex.*expected real.*numpy.abs"),
    ("NaN in weights", lambda d: operators.SampledFourier(C, NAN), ValueError,
     "weights contains 16 NaN.*expected finite.*isfinite"),
    ("words for weights", lambda d: operators.SampledFourier(C, np.full((4, 4), "a")), TypeError,
     "weights has dtype <U1, expected numbers; convert"),
    ("range of another shape", lambda d: operators.SampledFourier(C, ONE, odl.cn((3, 3))),
     ValueError, r"range has shape \(3, 3\), expected \(4, 4\).*Leave"),
    ("quarter turn of a rectangle", lambda d: operators.QuarterTurn(WIDE, 1), ValueError,
     r"shape \(4, 6\), expected \(n, n\).*Crop or pad"),
    ("quarter turn of rectangular cells", lambda d: operators.QuarterTurn(
        odl.uniform_discr([0, 0], [1, 2], (4, 4)), 1), ValueError,
     r"\[0.25, 0.5\], expected equal.*Choose"),
    ("quarter turn without a plane", lambda d: operators.QuarterTurn(odl.rn((4, 4)), 1), TypeError,
     "expected a 2D uniform discretization.*uniform_discr"),
    ("half a quarter turn", lambda d: operators.QuarterTurn(X, 0.5), TypeError,
     "k is 0.5; expected an integer"),
    ("reflection along no axis", lambda d: operators.Reflection(X, 2), ValueError,
     r"axis is 2; expected an integer from 0 to 1.*\(4, 4\)"),
    ("reflection of numbers", lambda d: operators.Reflection(odl.rn(4), 0), TypeError,
     r"space is rn\(4\); expected a uniform discretization.*uniform_discr"),
    ("half a translation", lambda d: operators.Translation(X, [0.1]), ValueError,
     r"shift has shape \(1,\), expected \(2,\).*one number for each axis"),
    ("NaN in a translation", lambda d: operators.Translation(X, [0.1, np.nan]), ValueError,
     "shift contains 1 NaN"),
    ("translation of numbers", lambda d: operators.Translation(odl.rn(4), [1]), TypeError,
     r"space is rn\(4\); expected a uniform discretization"),
    ("rotation of a rectangle", lambda d: operators.Rotation(WIDE, 1.0), ValueError,
     r"shape \(4, 6\), expected \(n, n\): a rotation.*Crop or pad"),
    ("rotation by NaN", lambda d: operators.Rotation(X, np.nan), ValueError,
     "angle is nan; expected a finite number, in radians"),
    ("kernel without a center", lambda d: operators.PeriodicConvolution(X, np.ones((3, 2))),
     ValueError, r"kernel has shape \(3, 2\), expected 2 odd.*append a row.*gaussian_kernel"),
    ("kernel of another dimension", lambda d: operators.ZeroConvolution(X, np.ones(3)), ValueError,
     r"kernel has shape \(3,\), expected 2 odd numbers"),
    ("NaN in a kernel", lambda d: operators.PeriodicConvolution(X, NAN), ValueError,
     "kernel contains 16 NaN"),
    ("complex kernel", lambda d: operators.PeriodicConvolution(X, 1j * np.ones((1, 1))), TypeError,
     "kernel is complex.*expected a real kernel.*complex128"),
    ("kernel without a space", lambda d: operators.ReflectingConvolution(odl.rn(4), np.ones(3)),
     TypeError, r"space is rn\(4\); expected a uniform discretization"),
    ("kernel too wide to reflect", lambda d: operators.ReflectingConvolution(X, np.ones((11, 1))),
     ValueError, r"kernel has shape \(11, 1\), expected at most \(9, 9\).*cut the kernel"),
    ("Gaussian of width zero", lambda d: operators.gaussian_kernel(X, 0), ValueError,
     "standard_deviation is 0.0; expected a finite number greater"),
    ("Gaussian of three widths", lambda d: operators.gaussian_kernel(X, [1, 2, 3]), ValueError,
     r"standard_deviation has shape \(3,\), expected one number or 2"),
    ("source inside", lambda d: operators.fan_beam_ray_transform(X, 4, 1.2, 1), ValueError,
     r"src_radius is 1.2, expected more than 1.414.*must not enter"),
    ("detector at a negative distance", lambda d: operators.fan_beam_ray_transform(X, 4, 2, -1),
     ValueError, "det_radius is -1, expected a finite number that is at least zero"),
    ("fan of doubles", lambda d: operators.fan_beam_ray_transform(X.astype("float64"), 4, 2, 1),
     TypeError, "float64, expected float32"),
    ("cone in the plane", lambda d: operators.cone_beam_ray_transform(X, 4, 2, 1), ValueError,
     "2 dimensions, expected 3; use fan_beam_ray_transform"),
    ("fan turned by a quarter", lambda d: operators.require_even_angles(
        operators.fan_beam_ray_transform(X, 6, 2, 1)), ValueError,
     r"6 angles on a full circle, expected a multiple of four.*\(space, 8, ...\)"),
    ("emission without rays", lambda d: operators.emission_operator(ONE, ONE), TypeError,
     "expected a linear odl.Operator.*parallel_ray_transform"),
    ("attenuation of an image", lambda d: operators.emission_operator(RAY, ONE), ValueError,
     r"attenuation has shape \(4, 4\), expected \(4, 7\).*attenuation_factors"),
    ("logarithm of an attenuation", lambda d: operators.emission_operator(
        RAY, -RAY.range.one()), ValueError, "attenuation has the minimum -1, expected nonneg.*log"),
    ("scale zero", lambda d: operators.emission_operator(RAY, RAY.range.one(), 0), ValueError,
     "scale is 0; expected a finite number greater"),
    ("array for an attenuation", lambda d: operators.attenuation_factors(RAY, ONE), TypeError,
     r"mu is of type ndarray, expected an element.*domain\.element"),
    ("negative attenuation", lambda d: operators.attenuation_factors(RAY, -X.one()), ValueError,
     "mu has the minimum -1, expected nonnegative.*sign and the unit"),
    ("subsets of an expression", lambda d: operators.view_subsets(2 * RAY, 2), TypeError,
     "expected a ray transform; take the subsets before"),
    ("more subsets than views", lambda d: operators.view_subsets(RAY, 5), ValueError,
     "number is 5; expected at most 4"),
    ("mask of another shape", lambda d: operators.mask_operator(X, ONE[:3]), ValueError,
     r"mask has shape \(3, 4\), expected \(4, 4\).*one entry per point"),
    ("complex mask", lambda d: operators.mask_operator(X, 1j * ONE), TypeError,
     "mask is complex.*expected real"),
    ("NaN in a mask", lambda d: operators.mask_operator(X, NAN), ValueError,
     "mask contains 16 NaN"),
    ("weights for a mask", lambda d: operators.mask_operator(X, ONE / 2), ValueError,
     "mask holds 16 values.*expected a boolean.*MultiplyOperator"),
    ("mask without a space", lambda d: operators.mask_operator((4, 4), ONE), TypeError,
     r"space is \(4, 4\); expected.*uniform_discr\("),
    ("norm of a nonlinear operator", lambda d: operators.operator_norm(Square(X)), TypeError,
     r"op is Square.*expected a linear.*derivative\(x\)"),
    ("norm of a module", lambda d: operators.operator_norm(as_module(A)), TypeError,
     "OperatorModule.*expected a linear odl.Operator.*as_operator"),
    ("norm without adjoint", lambda d: operators.operator_norm(Double(X)), NotImplementedError,
     "Double has no adjoint, expected one.*exact_norm.register"),
    ("norm of NaN", lambda d: operators.operator_norm(odl.MultiplyOperator(X.element(NAN))),
     ValueError, "not finite; apply both to random"),
    ("zero tolerance", lambda d: operators.operator_norm(A, rtol=0), ValueError,
     "rtol is 0; expected a finite number greater than zero"),
    ("seed for a generator", lambda d: operators.random_element(X, 0), TypeError,
     "rng is 0, expected a numpy.random.Generator.*default_rng"),
    ("normalized zero", lambda d: operators.normalized(odl.ZeroOperator(X)), ValueError,
     "zero operator; expected one that can be scaled"),
    ("rays without cells", lambda d: operators.parallel_ray_transform(odl.rn((4, 4)), 4), TypeError,
     r"rn\(\(4, 4\)\); expected a 2D float32.*uniform_discr"),
    ("rays in double precision", lambda d: operators.parallel_ray_transform(
        X.astype("float64"), 4), TypeError, "float64, expected float32.*dtype='float32'"),
    ("rays in space", lambda d: operators.parallel_ray_transform(odl.uniform_discr(
        [0] * 3, [1] * 3, (4,) * 3, dtype="float32"), 4), ValueError,
     "3 dimensions, expected 2.*slice"),
    ("rays through oblong pixels", lambda d: operators.parallel_ray_transform(WIDE, 4), ValueError,
     r"cell sides \[0.5, 0.333.*\], expected equal ones.*Choose the shape"),
    ("no angles", lambda d: operators.parallel_ray_transform(X, 0), ValueError,
     "num_angles is 0; expected a positive integer"),
    ("no detector", lambda d: operators.parallel_ray_transform(X, 4, 5, 0.0), ValueError,
     "det_half_width is 0.0; expected"),
    ("odd angles", lambda d: operators.require_even_angles(operators.parallel_ray_transform(X, 5)),
     ValueError, r"5 angles.*expected an even.*parallel_ray_transform\(space, 6\)"),
    ("angles of a mask", lambda d: operators.require_even_angles(A), TypeError,
     "MultiplyOperator.*expected a ray transform.*parallel_ray_transform"),
    ("fbp of a module", lambda d: operators.fbp(as_module(RAY)), TypeError,
     "OperatorModule.*expected a ray transform"),
    ("fbp with cutoff zero", lambda d: operators.fbp(RAY, frequency_scaling=0), ValueError,
     r"frequency_scaling is 0; expected a number in \(0, 1\]"),
    ("fbp with another filter", lambda d: operators.fbp(RAY, "Gauss"), ValueError,
     "filter_type is 'Gauss'; expected one of.*hann"),
]

MODELS = [
    ("array for data", lambda d: F.l2_fidelity(ONE), TypeError,
     r"ndarray, expected an element.*range\.element\(array\)"),
    ("NaN in data", lambda d: F.l2_fidelity(X.element(NAN)), ValueError,
     "data contains 16 NaN.*expected finite.*isfinite"),
    ("NaN deep in data", lambda d: F.l2_fidelity(odl.ProductSpace(X**2, X).element(
        [[ONE, NAN], ONE])), ValueError, "data contains 16 NaN"),
    ("inf in data", lambda d: F.l2_fidelity(X.element(ONE * np.inf)), ValueError, "infinite"),
    ("box on a complex space", lambda d: F.BoxConstraint(C, 0, 1), TypeError,
     "complex64, expected a real one.*MagnitudeBound"),
    ("empty box", lambda d: F.BoxConstraint(X, 1, 0), ValueError,
     "bounds are 1 and 0; expected.*lower <= upper"),
    ("word for a bound", lambda d: F.BoxConstraint(X, "a", 1), ValueError,
     "bounds are 'a' and 1; expected"),
    ("box without a space", lambda d: F.BoxConstraint(None, 0, 1), TypeError,
     "space is None; expected"),
    ("bound zero", lambda d: F.MagnitudeBound(C, 0), ValueError, "bound is 0; expected"),
    ("alpha zero", lambda d: F.SmoothedTV(X, 0, 1, 1), ValueError, "alpha is 0; expected"),
    ("nu negative", lambda d: F.SmoothedTV(X, 1, -1, 1), ValueError, "nu is -1; expected"),
    ("xi negative", lambda d: F.SmoothedTV(X, 1, 1, -1), ValueError, "xi is -1; expected"),
    ("alpha zero in tv", lambda d: variational.tv_problem(A, FIDELITY, 0), ValueError,
     "alpha is 0; expected a finite number greater than zero"),
    ("alpha negative in tikhonov", lambda d: variational.tikhonov_problem(A, FIDELITY, -1.0),
     ValueError, "alpha is -1.0; expected"),
    ("alpha NaN in h1", lambda d: variational.h1_problem(A, FIDELITY, np.nan), ValueError,
     "alpha is nan; expected"),
    ("word for alpha", lambda d: variational.tv_problem(A, FIDELITY, "1"), ValueError,
     "alpha is '1'; expected"),
    ("array for alpha", lambda d: variational.tv_problem(A, FIDELITY, np.ones(2)), ValueError,
     r"alpha is array.*; expected"),
    ("beta zero", lambda d: variational.tgv_problem(A, FIDELITY, 1, 0), ValueError,
     "beta is 0; expected"),
    ("nonlinear forward operator", lambda d: variational.tv_problem(Square(X), FIDELITY, 1),
     TypeError, r"forward_op is Square.*expected a linear.*derivative\(x\)"),
    ("module for an operator", lambda d: variational.tv_problem(as_module(A), FIDELITY, 1),
     TypeError, "OperatorModule.*expected a linear odl.Operator.*as_operator"),
    ("data for a fidelity", lambda d: variational.tv_problem(A, X.one(), 1), TypeError,
     r"fidelity is.*expected a functional.*l2_fidelity\(data\)"),
    ("fidelity elsewhere", lambda d: variational.tv_problem(A, F.l2_fidelity(SMALL.one()), 1),
     ValueError, "fidelity lives on.*expected.*build it on forward_op.range"),
    ("constraint elsewhere", lambda d: variational.tv_problem(
        A, FIDELITY, 1, F.BoxConstraint(SMALL, 0, 1)), ValueError,
     "constraint lives on.*expected.*build it on forward_op.domain"),
    ("nothing measured", lambda d: variational.tv_problem(odl.ZeroOperator(X), FIDELITY, 1),
     ValueError, "zero operator; expected"),
    ("ratio zero", lambda d: variational.tv_problem(A, FIDELITY, 1).step_sizes(0), ValueError,
     "ratio is 0; expected"),
    ("value elsewhere", lambda d: variational.tv_problem(A, FIDELITY, 1).value(SMALL.one()),
     TypeError, r"x is not an element of L\.domain.*L\.domain\.zero\(\)"),
    ("gap with half a dual", lambda d: variational.tv_problem(A, FIDELITY, 1).gap(X.one(), X.one()),
     TypeError, r"y is not an element of L\.range.*L\.range\.zero\(\)"),
]

SOLVERS = [
    ("noise zero", lambda d: solvers.landweber(A, X.one(), X.zero(), 0), ValueError,
     r"noise_norm is 0; expected.*data\.norm\(\)"),
    ("noise negative", lambda d: solvers.landweber(A, X.one(), X.zero(), -1), ValueError,
     "noise_norm is -1; expected"),
    ("no noise", lambda d: solvers.landweber(A, X.one(), X.zero(), None), ValueError,
     "noise_norm is None; expected"),
    ("tau below one", lambda d: solvers.landweber(A, X.one(), X.zero(), 1, tau=0.5), ValueError,
     "tau is 0.5; expected.*such as 1.1"),
    ("negative step", lambda d: solvers.landweber(A, X.one(), X.zero(), 1, omega=-1), ValueError,
     "omega is -1; expected"),
    ("step too large", lambda d: solvers.landweber(A, X.one(), X.zero(), 1e-9, omega=3.0),
     solvers.DivergenceError, r"omega = 3.*less than 2 / \|A\|\^2; leave it out"),
    ("data elsewhere", lambda d: solvers.landweber(A, SMALL.one(), X.zero(), 1), TypeError,
     r"data is not an element of the range.*range\.element\(array\)"),
    ("start elsewhere", lambda d: solvers.landweber(A, X.one(), SMALL.zero(), 1), TypeError,
     "x0 is not an element of the domain"),
    ("NaN in landweber", lambda d: solvers.landweber(A, X.element(NAN), X.zero(), 1), ValueError,
     "data contains NaN.*expected finite.*isfinite"),
    ("nonlinear landweber", lambda d: solvers.landweber(Square(X), X.one(), X.zero(), 1), TypeError,
     r"forward_op is Square.*expected a linear.*derivative\(x\)"),
    ("module in landweber", lambda d: solvers.landweber(as_module(A), X.one(), X.zero(), 1),
     TypeError, "Element, expected one tensor.*operator itself"),
    ("negative iterations", lambda d: solvers.landweber(A, X.one(), X.zero(), 1, maxiter=-1),
     ValueError, "maxiter is -1; expected a whole number of at least 0"),
    ("iterations of descent", lambda d: solvers.accelerated_gradient(TV, X.zero(), 1, 1.5),
     ValueError, "maxiter is 1.5; expected a whole number"),
    ("accuracy zero", lambda d: solvers.accelerated_gradient(TV, X.zero(), 0, 9), ValueError,
     "accuracy is 0; expected"),
    ("unknown convexity", lambda d: solvers.accelerated_gradient(FIDELITY, X.zero(), 1, 9),
     ValueError, "strong_convexity of the functional is nan, expected.*pass strong_convexity="),
    ("convexity above lipschitz", lambda d: solvers.accelerated_gradient(
        FIDELITY, X.zero(), 1, 9, 1, 2), ValueError, "convexity is 2.0, expected at most 1.0"),
    ("module for a functional", lambda d: solvers.accelerated_gradient(
        as_module(TV), X.zero(), 1, 9, 1, 1), TypeError,
     "OperatorModule.*expected a functional with a gradient.*as_functional"),
    ("descent elsewhere", lambda d: solvers.accelerated_gradient(TV, SMALL.zero(), 1, 9), TypeError,
     r"x0 is not an element.*f\.domain\.element\(array\)"),
    ("descent from NaN", lambda d: solvers.accelerated_gradient(TV, X.element(NAN), 1, 9),
     ValueError, "x0 contains NaN"),
    ("NaN accuracy", lambda d: solvers.gradient_descent(TV, X.zero(), np.nan, 9), ValueError,
     "accuracy is nan; expected a finite number greater"),
    ("three accuracies for two", lambda d: solvers.gradient_descent(TV2, TWO, [1, 1, 1], 9),
     ValueError, r"accuracy has shape \(3,\), expected one number or \(2,\)"),
    ("negative accuracy of one", lambda d: solvers.gradient_descent(TV2, TWO, [1, -1], 9),
     ValueError, "accuracy is -1.0 in sample 1; expected"),
    ("descent in another dtype", lambda d: solvers.gradient_descent(TV2, TWO.double(), 1, 9),
     TypeError, r"not an element of the domain of f, batches \(B, ...\).*check shape and dtype"),
    ("tensors for a functional", lambda d: solvers.gradient_descent(TV, TWO, 1, 9), TypeError,
     r"not an element.*pass bridge\.as_batch\(f\)"),
    ("descent of an indicator", lambda d: solvers.gradient_descent(BOX, X.zero(), 1, 9, 1, 1),
     TypeError, "expected a functional with a gradient"),
    ("descent of one NaN", lambda d: solvers.accelerated_gradient(TV2, TWO / torch.tensor(
        [1.0, 0.0])[:, None, None], 1, 9), ValueError, "x0 contains NaN.* in sample 1; expected"),
    ("Newton without accuracy", lambda d: solvers.newton_krylov(TV, X.zero(), 0, 9), ValueError,
     "accuracy is 0; expected"),
    ("Newton from NaN", lambda d: solvers.newton_krylov(TV, X.element(NAN), 1, 9), ValueError,
     "x0 contains NaN.*isfinite"),
    ("Newton without convexity", lambda d: solvers.newton_krylov(FIDELITY, X.zero(), 1, 9),
     ValueError, "strong_convexity of the functional is nan.*pass strong_convexity="),
    ("Newton without derivatives", lambda d: solvers.newton_krylov(TV, X.zero(), 1, 9), TypeError,
     r"expected f.linearize\(x\).*bridge.as_functional"),
    ("system without operator", lambda d: solvers.conjugate_gradient(3, X.one(), X.zero(), 1, 9),
     TypeError, r"operator is 3; expected a symmetric positive definite one, such as A\* A"),
    ("rectangular system", lambda d: solvers.conjugate_gradient(
        operators.gradient(X), X.one(), X.zero(), 1, 9), TypeError,
     "operator is .*expected a symmetric positive definite"),
    ("system of NaN", lambda d: solvers.conjugate_gradient(
        A, X.element(NAN), X.zero(), 1, 9), ValueError, "b contains NaN"),
    ("spectrum from zero", lambda d: solvers.conjugate_gradient(
        A, X.one(), X.zero(), 1, 9, lower_bound=0), ValueError, "lower_bound is 0; expected"),
    ("right sides of other batches", lambda d: solvers.conjugate_gradient(
        lambda v: v, torch.ones(3, 4), torch.ones(2, 4), 1, 9), ValueError,
     "b has 3 samples, expected 2 as x0"),
    ("negative damping", lambda d: solvers.lsqr(A, X.one(), X.zero(), 1, 9, damp=-1), ValueError,
     "damp is -1; expected.*leave it out"),
    ("least squares without noise", lambda d: solvers.lsqr(
        A, X.one(), X.zero(), 1, 9, noise_norm=0), ValueError, "noise_norm is 0; expected.*leave"),
    ("least squares of NaN", lambda d: solvers.lsqr(A, X.element(NAN), X.zero(), 1, 9), ValueError,
     "data contains NaN.*isfinite"),
    ("nonlinear least squares", lambda d: solvers.lsqr(Square(X), X.one(), X.zero(), 1, 9),
     TypeError, r"expected a linear operator.*derivative\(x\)"),
    ("data of another batch", lambda d: solvers.landweber(
        as_batch(A), TWO, torch.zeros(3, 4, 4), 1), ValueError, "2 samples, expected 3 as x0"),
    ("one sample without noise", lambda d: solvers.landweber(as_batch(A), TWO, 0 * TWO, [1, 0]),
     ValueError, "noise_norm is 0.0 in sample 1; expected"),
    ("gap zero", lambda d: solvers.primal_dual(PROBLEM, accuracy=0), ValueError,
     "accuracy is 0; expected"),
    ("no problem", lambda d: solvers.primal_dual(tuple(PROBLEM)), TypeError,
     r"problem is a tuple; expected a variational.Problem, such as.*Problem\(f, g, L\)"),
    ("word for steps", lambda d: solvers.primal_dual(PROBLEM, steps="adaptive"), TypeError,
     r"steps is 'adaptive'; expected a rule such as AdaptiveSteps\(\)"),
    ("class for steps", lambda d: solvers.primal_dual(PROBLEM, steps=solvers.AdaptiveSteps),
     TypeError, r"steps is <class.*expected a rule such as AdaptiveSteps\(\)"),
    ("primal start elsewhere", lambda d: solvers.primal_dual(PROBLEM, SMALL.zero()), TypeError,
     r"x0 is not an element of L\.domain"),
    ("primal start NaN", lambda d: solvers.primal_dual(PROBLEM, X.element(NAN)), ValueError,
     "x0 contains NaN.*isfinite"),
    ("dual start elsewhere", lambda d: solvers.primal_dual(PROBLEM, dual0=X.zero()), TypeError,
     r"dual0 is not an element of L\.range"),
    ("unknown number of samples", lambda d: solvers.primal_dual(as_batch(PROBLEM)), ValueError,
     "how many samples there are is not known.*starting point"),
    ("one of two steps", lambda d: solvers.FixedSteps(tau=1), ValueError,
     r"tau is 1 and sigma is None; expected both or none.*step_sizes"),
    ("negative ratio", lambda d: solvers.AdaptiveSteps(ratio=-1), ValueError, "ratio is -1; exp"),
    ("acceleration without convexity", lambda d: solvers.Accelerated(0), ValueError,
     "strong_convexity is 0; expected"),
    ("linear rate without convexity", lambda d: solvers.LinearRate(1, 0), ValueError,
     "dual is 0; expected"),
    ("search from zero", lambda d: solvers.Backtracking(0), ValueError, "start is 0; expected"),
    ("unknown distance", lambda d: solvers.proximal_gradient(FIDELITY, BOX, X.zero(), 1, 9),
     ValueError, "accuracy is 1, but strong convexity.*pass strong_convexity="),
    ("proximal of a smooth functional", lambda d: solvers.fista(
        FIDELITY, TV, X.zero(), 1, 9, 1, 1), TypeError, "SmoothedTV.* has no proximal.*Swap them"),
    ("gradient of an indicator", lambda d: solvers.fista(BOX, BOX, X.zero(), 1, 9, 1, 1), TypeError,
     "has no gradient.*Swap them"),
    ("regularizer elsewhere", lambda d: solvers.fista(
        FIDELITY, odl.functionals.L1Norm(SMALL), X.zero(), 1, 9, 1, 1), TypeError,
     r"x0 is not an element of the domain of g.*g\.domain\.element"),
    ("number for a discrepancy", lambda d: solvers.fista(
        FIDELITY, BOX, X.zero(), None, 9, discrepancy=3), TypeError,
     "discrepancy is 3, expected None or a Discrepancy"),
    ("number for a gap", lambda d: solvers.fista(FIDELITY, BOX, X.zero(), 1, 9, gap=3), TypeError,
     "gap is 3, expected a function of x.*leave it out"),
    ("no steps of fista", lambda d: solvers.fista(FIDELITY, BOX, X.zero(), None, 0), ValueError,
     "maxiter is 0; expected a whole number of at least 1"),
    ("Bregman without noise", lambda d: solvers.linearized_bregman(
        A, X.one(), X.zero(), BOX, 1, 0), ValueError, "noise_norm is 0; expected.*never stops"),
    ("Bregman without alpha", lambda d: solvers.linearized_bregman(
        A, X.one(), X.zero(), BOX, 0, 1), ValueError, "alpha is 0.0; expected"),
    ("Bregman of NaN", lambda d: solvers.linearized_bregman(
        A, X.element(NAN), X.zero(), BOX, 1, 1), ValueError, "data contains NaN"),
    ("Bregman without proximal", lambda d: solvers.linearized_bregman(
        A, X.one(), X.zero(), TV, 1, 1), TypeError, "SmoothedTV.*expected a functional with a pro"),
    ("Bregman elsewhere", lambda d: solvers.linearized_bregman(
        A, X.one(), X.zero(), odl.functionals.L1Norm(SMALL), 1, 1), TypeError,
     "v0 is not an element of the domain of regularizer"),
    ("noise unknown", lambda d: solvers.Discrepancy(A, X.one(), None), ValueError,
     "noise_norm is None; expected finite numbers"),
    ("noise of three", lambda d: solvers.Discrepancy(as_batch(A), TWO, np.ones(3)), ValueError,
     r"noise_norm has shape \(3,\), expected one number or \(2,\)"),
    ("discrepancy elsewhere", lambda d: solvers.Discrepancy(A, SMALL.one(), 1), TypeError,
     "data is not an element of the range of forward_op"),
    ("discrepancy of NaN", lambda d: solvers.Discrepancy(A, X.element(NAN), 1), ValueError,
     "data contains NaN"),
    ("discrepancy of nothing", lambda d: solvers.Discrepancy(3, X.one(), 1), TypeError,
     "forward_op is 3; expected an operator"),
    ("safety below one", lambda d: solvers.Discrepancy(A, X.one(), 1, 0.5), ValueError,
     "tau is 0.5; expected"),
    ("negative alpha of variation", lambda d: solvers.rof(X.one(), -1), ValueError,
     "alpha is -1.0, expected a positive number or one per sample"),
    ("variation of NaN", lambda d: solvers.rof(X.element(NAN), 1), ValueError,
     "data contains NaN.*isfinite"),
    ("variation of whole numbers", lambda d: solvers.rof(TWO.long(), 1), TypeError,
     "data is torch.int64, expected floats; convert"),
    ("no exponent of variation", lambda d: solvers.rof(X.one(), 1, exponent=3), ValueError,
     "exponent is 3, expected 2 .*or 1"),
    ("cells of no length", lambda d: solvers.rof(TWO, 1, cell_sides=[1, 0]), ValueError,
     r"cell_sides is \[1, 0\], expected 2 positive lengths"),
    ("generalized variation of NaN", lambda d: solvers.tgv_denoising(X.element(NAN), 1, 1),
     ValueError, "data contains NaN"),
    ("negative beta", lambda d: solvers.tgv_denoising(X.one(), 1, -1), ValueError,
     "beta is -1; expected"),
    ("singular preconditioner", lambda d: solvers.cosine(0 * ONE), ValueError,
     "symbol has values from 0.0.*add a positive constant"),
]

BATCHES = [
    ("empty batch of problems", lambda d: as_batch([]), ValueError, "the list is empty; expected"),
    ("nothing to batch", lambda d: as_batch(None), TypeError,
     "cannot batch NoneType.*expected a functional"),
    ("element to batch", lambda d: as_batch(X.one()), TypeError, "an element becomes a tensor"),
    ("operator among functionals", lambda d: as_batch([FIDELITY, A]), ValueError,
     "sample 1 is MultiplyOperator.*expected one between the spaces of sample 0"),
    ("functional among problems", lambda d: as_batch([PROBLEM, FIDELITY]), TypeError,
     "one of the objects is a FunctionalLeftScalarMult, expected problems only"),
    ("batch of another dtype", lambda d: as_batch(A)(TWO.double()), TypeError,
     r"the batch is of shape \(2, 4, 4\) and dtype torch.float64, expected batches.*\.to"),
    ("batch of another shape", lambda d: as_batch(A)(TWO[:, :3]), TypeError,
     r"the batch is of shape \(2, 3, 4\).*expected batches"),
    ("element for a batch", lambda d: as_batch(A)(X.one()), TypeError,
     "the batch is DiscretizedSpaceElement, expected batches.*for the operator itself"),
    ("negative step of a batch", lambda d: as_batch(BOX).proximal(-1.0)(TWO), ValueError,
     "sigma is -1.0; expected"),
    ("steps of three for two", lambda d: as_batch(BOX).proximal(np.ones(3))(TWO), ValueError,
     r"shape \(3,\), expected real steps of shape \(\) or \(2,\)"),
]

FUNCTIONALS = [
    ("negative counts of a functional", lambda d: F.KullbackLeiblerFidelity(-X.one()), ValueError,
     "data has the negative value -1.0, expected nonnegative.*background"),
    ("NaN counts", lambda d: F.KullbackLeiblerFidelity(X.element(NAN)), ValueError, "16 NaN"),
    ("variation without cells", lambda d: F.TotalVariation(odl.rn(3)), TypeError,
     r"space is rn\(3\); expected a uniform discretization"),
    ("inaccurate variation", lambda d: F.TotalVariation(X, accuracy=0), ValueError,
     "accuracy is 0; expected"),
    ("proximal of no size", lambda d: F.TotalVariation(X).proximal(0)(X.one()), ValueError,
     "sigma is 0.0; expected"),
    ("generalized variation without beta", lambda d: F.TotalGeneralizedVariation(X, 0), ValueError,
     "beta is 0; expected"),
    ("seminorm without cells", lambda d: F.H1Seminorm(odl.rn(3)), TypeError,
     "expected a uniform discretization"),
    ("weights of one image", lambda d: F.weighted_l1(X, [1]), TypeError,
     r"expected a power space X \*\* K"),
    ("experts without weight", lambda d: experts(np.ones((2, 3, 3)), [0, 0]), ValueError,
     "alphas are all zero; expected a positive one"),
    ("experts without number", lambda d: experts(np.ones((2, 3, 3)), [1]), ValueError,
     r"alphas has shape \(1,\), expected \(2,\)"),
    ("experts that see nothing", lambda d: experts(np.zeros((2, 3, 3)), [1, 1]), ValueError,
     "filters are all zero; expected"),
    ("one filter", lambda d: experts(np.ones((3, 3)), [1, 1, 1]), ValueError,
     r"filters have shape \(3, 3\), expected \(K, s_1, ..., s_2\).*stack"),
    ("negative expert", lambda d: experts(np.ones((1, 3, 3)), [-1]), ValueError,
     "alphas have the negative value -1"),
]

DATA = [
    ("seed for noise", lambda d: data.add_white_noise(X.one(), 1, 0), TypeError,
     "rng is 0, expected a numpy.random.Generator.*default_rng"),
    ("negative noise", lambda d: data.add_white_noise(X.one(), -1, rng()), ValueError,
     "noise_level is -1, expected.*at least zero"),
    ("noise on an array", lambda d: data.add_white_noise(ONE, 1, rng()), TypeError,
     r"ndarray, expected an element.*space\.element\(array\)"),
    ("noise on NaN", lambda d: data.add_white_noise(X.element(NAN), 1, rng()), ValueError,
     "16 NaN"),
    ("no photons", lambda d: data.transmission_counts(X.one(), 0, rng()), ValueError,
     "photons is 0; expected"),
    ("complex sinogram", lambda d: data.transmission_counts(C.one(), 9, rng()), TypeError,
     "sinogram is complex.*expected real"),
    ("negative counts", lambda d: data.log_linearize(-X.one(), 9), ValueError,
     "minimum -1, expected nonnegative.*not their logarithm"),
    ("one axis", lambda d: data.from_rows(np.ones(3)), ValueError,
     r"shape \(3,\), expected at least two axes"),
    ("odd side", lambda d: data.downsample(ONE, 3), ValueError,
     r"shape \(4, 4\), expected.*multiples.*factor 3; crop"),
    ("NaN in Hounsfield units", lambda d: data.hounsfield_to_attenuation(NAN), ValueError,
     "16 NaN"),
    ("empty mask", lambda d: data.cartesian_mask((4, 4), 0, 0.1, rng()), ValueError,
     r"fraction is 0, expected a number in the interval \(0, 1\]"),
    ("center above the whole", lambda d: data.cartesian_mask((8, 8), 0.25, 0.9, rng()), ValueError,
     "0.9 keeps 7 lines, more than the 2.*choose a smaller"),
    ("axis out of range", lambda d: data.cartesian_mask((8, 8), 0.5, 0.1, rng(), axis=2),
     ValueError, "axis is 2, expected an axis"),
    ("phantom without cells", lambda d: data.random_body(odl.rn((4, 4)), rng()), TypeError,
     "expected a two-dimensional.*uniform_discr"),
    ("array for a truth", lambda d: data.SimulatedPairs(lambda r: ONE, lambda x, r: x, 1, 0)[0],
     TypeError, r"truth\(rng\) is of type ndarray, expected an element.*space\.element"),
    ("pair out of range", lambda d: pairs()[4], IndexError, "index is 4, expected -4 <= index < 4"),
    ("no pairs", lambda d: data.FixedPairs([], []), ValueError,
     r"data has shape \(0,\), expected.*stack"),
    ("unequal pairs", lambda d: data.FixedPairs(ONE, ONE[:3]), ValueError,
     "4 items and truth has 3, expected equal"),
    ("psnr of other shapes", lambda d: metrics.psnr(ONE[:3], ONE), ValueError,
     r"x has shape \(3, 4\), expected \(4, 4\).*crop or resample"),
    ("psnr of a constant", lambda d: metrics.psnr(ONE, ONE), ValueError,
     "constant, 1 everywhere.*pass data_range"),
    ("psnr of NaN", lambda d: metrics.psnr(NAN, np.eye(4)), ValueError, "x contains 16 NaN"),
    ("ssim of little", lambda d: metrics.ssim(ONE, np.eye(4)), ValueError,
     r"shape \(4, 4\), expected two axes with at least 11"),
    ("figure of nothing", lambda d: plotting.comparison({}, ONE, d / "x.png"), ValueError,
     r"names \[\], expected at least one"),
    ("figure of other shapes", lambda d: plotting.comparison({"x": ONE[:3]}, ONE, d / "x.png"),
     ValueError, r"x has shape \(3, 4\), expected \(4, 4\).*crop"),
    ("window of one", lambda d: plotting.comparison({"x": ONE}, ONE, d / "x.png", window=3),
     ValueError, "window is 3, expected two increasing"),
    ("figure nowhere", lambda d: plotting.comparison(
        {"x": ONE}, np.eye(4), d / "no" / "x.png"), FileNotFoundError, "is no folder.*create it"),
    ("checks of a number", lambda d: conformance.checks_for(3), TypeError,
     "no checks for int; expected an ODL operator or functional, or a torch module"),
]


def reads(name, *args, **kwargs):
    return lambda folder: data.read_image(folder / name, *args, **kwargs)


FILES = [
    ("missing file", reads("no.npy"), FileNotFoundError, "no.npy does not exist, expected a file"),
    ("folder for a file", reads("."), FileNotFoundError, "is a folder, expected a file; check"),
    ("wrong suffix", reads("junk.png"), ValueError, r"'\.png', expected \.npy.*convert"),
    ("junk npy", reads("junk.npy"), ValueError, "junk.npy is not a readable.*expected.*Copy"),
    ("junk npz", reads("junk.npz"), ValueError, "junk.npz is not a readable.*expected.*Copy"),
    ("junk dcm", reads("junk.dcm"), ValueError, "junk.dcm is not a readable DICOM.*expected.*Copy"),
    ("junk h5", reads("junk.h5"), ValueError, "junk.h5 is not a readable HDF5.*copy"),
    ("cut npy", reads("cut.npy"), ValueError, "cut.npy is not a readable.*Copy"),
    ("cut npz", reads("cut.npz", "a"), ValueError, "cut.npz is not a readable.*Copy"),
    ("damaged npz", lambda d: data.read_image(damaged(d / "noise.npz", 1000, 3000)), ValueError,
     "damaged.npz cannot be read.*copy"),
    ("damaged h5", lambda d: data.read_image(damaged(d / "noise.h5", 20000, 30000)), ValueError,
     "a in .*damaged.h5 cannot be read.*copy"),
    ("key left out", reads("two.npz"), ValueError, r"key is None, expected one of.*a \(4, 4\), b"),
    ("unknown key npz", reads("two.npz", "q"), ValueError, r"key is 'q', expected.*a \(4, 4\), b"),
    ("unknown key h5", reads("two.h5", "q"), ValueError, r"key is 'q', expected.*a \(4, 4\), b"),
    ("key of npy", reads("one.npy", "q"), ValueError, "key is 'q', expected None"),
    ("index out of range", reads("stack.npy", index=2), ValueError,
     "stack of 2 images and index is 2; choose an index between 0 and 1"),
    ("index left out", reads("stack.npy"), ValueError, "index is None; choose an index"),
    ("index of a picture", reads("one.npy", index=0), ValueError, "index is 0; leave index away"),
    ("half an index", reads("stack.npy", index=0.5), TypeError,
     "index is 0.5, expected a whole number"),
    ("word for an index", reads("stack.npy", index="0"), TypeError, "index is '0', expected"),
    ("NaN in a file", reads("nan.npy"), ValueError, "nan.npy contains 16 NaN.*expected.*isfinite"),
    ("too large for float32", reads("huge.npy"), ValueError, "single precision contains 16"),
    ("complex picture", reads("complex.npy"), TypeError, "complex.npy is complex.*expected real"),
    ("text in a file", reads("text.npy"), TypeError, "dtype <U1, expected numbers"),
    ("no pixels", reads("none.npy"), ValueError, r"shape \(0, 4\), expected at least one pixel"),
    ("picture for a stack", lambda d: data.read_npz_stack(d / "two.npz", "a"), ValueError,
     r"shape \(4, 4\), expected \(N, rows, columns\).*read_image"),
    ("suffix of a stack", lambda d: data.read_npz_stack(d / "one.npy", "a"), ValueError,
     r"'\.npy', expected \.npz; pack"),
    ("kspace elsewhere", lambda d: data.read_kspace(d / "no.h5"), FileNotFoundError, "no.h5"),
    ("layout of kspace", lambda d: data.read_kspace(d / "two.h5", "a"), ValueError,
     r"shape \(4, 4\) and dtype float64, expected \(slices, coils"),
    ("index of kspace", lambda d: data.read_kspace(d / "two.h5", index=2), ValueError,
     "index is 2, expected between 0 and 1"),
    ("word for an index of kspace", lambda d: data.read_kspace(d / "two.h5", index="a"), TypeError,
     "index is 'a', expected a whole number"),
    ("folder of junk", lambda d: data.read_dicom_folder(d), ValueError,
     "junk.dcm is not a readable"),
    ("file for a folder", lambda d: data.read_dicom_folder(d / "junk.dcm"), NotADirectoryError,
     "is not a folder; for one file use data.read_dicom"),
    ("missing checkpoint", lambda d: read_checkpoint(d / "no.pt"), FileNotFoundError,
     "checkpoint .*no.pt does not exist"),
    ("folder for a checkpoint", lambda d: read_checkpoint(d), IsADirectoryError, "is a folder"),
    ("junk checkpoint", lambda d: read_checkpoint(d / "junk.pt"), ValueError,
     "junk.pt cannot be read.*Restore"),
    ("foreign checkpoint", lambda d: read_checkpoint(d / "foreign.pt"), ValueError,
     "not a training state.*Restore"),
    ("future checkpoint", lambda d: read_checkpoint(d / "future.pt"), ValueError,
     "format 99, expected 1"),
    ("code in a checkpoint", lambda d: read_checkpoint(d / "code.pt"), ValueError,
     r"code.pt cannot be read: it holds more than tensors.*Restore[^\n]*$"),
    ("unreadable state", lambda d: write_checkpoint(d / "new.pt", {"x": Map}), ValueError,
     r"cannot be read back.*expected states.*tensors and numbers"),
]

LEARNING = [
    ("operator for a model", lambda d: train(A), TypeError,
     r"model is of type MultiplyOperator, expected a torch Module.*as_module\(op\)"),
    ("word for an optimizer", lambda d: train(optimizer="Adam"), TypeError,
     r"optimizer is of type str, expected a torch Optimizer.*model\.parameters\(\)"),
    ("optimizer of another model", lambda d: train(optimizer=torch.optim.SGD(
        Map().parameters(), 0.1)), ValueError, r"not of the model; make it with model\.parameters"),
    ("no steps", lambda d: train(steps=0), ValueError, "steps is 0; expected a whole number"),
    ("nothing to train on", lambda d: train(items=[]), ValueError, "pairs is empty; expected"),
    ("NaN in pairs", lambda d: train(items=[(NAN, ONE)]), ValueError,
     r"data of pairs\[0\] contains 16 NaN"),
    ("output of a network", lambda d: train(Map(lambda x: x.flatten(1))), ValueError,
     r"\(1, 4, 4\) to \(1, 16\), expected \(1, 4, 4\).*same spaces"),
    ("dtype of a network", lambda d: train(nn.Linear(4, 4).double()), RuntimeError,
     r"failed in step 1 on data of shape \(1, 4, 4\) and dtype torch.float32"),
    ("float for a loss", lambda d: train(loss=lambda x, truth: 1.0), TypeError,
     r"the loss is of type float, expected a real tensor.*without \.item"),
    ("detached loss", lambda d: train(loss=lambda x, truth: x.detach().mean()), ValueError,
     "does not depend on the parameters, expected.*leave out detach"),
    ("infinite loss", lambda d: train(loss=lambda x, truth: x.mean() / 0), FloatingPointError,
     "loss is inf in step 1, expected finite.*lower the learning rate"),
    ("clip at zero", lambda d: train(clip_norm=0), ValueError, "clip_norm is 0; expected"),
    ("checkpoint nowhere", lambda d: train(checkpoint=d / "no" / "x.pt"), FileNotFoundError,
     "folder that does not exist; create it"),
    ("width zero", lambda d: networks.CNN(1, 1, 0, 2), ValueError, "width is 0; expected"),
    ("no channel axis", lambda d: networks.CNN(1, 1, 2, 2)(T), ValueError,
     r"shape \(4, 4\), expected \(N, 1, H, W\).*OnImages"),
    ("double in a network", lambda d: networks.CNN(1, 1, 2, 2)(T[None, None].double()), TypeError,
     r"float64, expected torch.float32.*\.to\(dtype\)"),
    ("network elsewhere", lambda d: networks.CNN(1, 1, 2, 2)(T[None, None].to("meta")), ValueError,
     r"x is on meta, expected cpu.*\.to\(device\)"),
    ("operator for a network", lambda d: networks.OnImages(A), TypeError,
     "net is of type MultiplyOperator, expected a torch.nn.Module.*networks.CNN"),
    ("channels of a network", lambda d: networks.OnImages(networks.CNN(1, 2, 2, 2))(T), ValueError,
     r"shape \(1, 2, 4, 4\), expected \(1, 1, 4, 4\).*give the network 1"),
    ("complex into a real network", lambda d: networks.OnImages(networks.CNN(1, 1, 2, 2))(T + 0j),
     ValueError, r"shape \(1, 2, 4, 4\), expected \(N, 1, H, W\)"),
    ("no steps to unroll", lambda d: unrolled(steps=[]), ValueError, "steps is empty; expected"),
    ("operator to unroll", lambda d: unrolled(forward=A), TypeError,
     r"forward is an operator on spaces, MultiplyOperator; expected.*as_module\(op\)"),
    ("operator for a proximal", lambda d: reconstruction.GradientStep(TV.gradient, 0.1), TypeError,
     r"proximal is an operator on spaces.*expected a map of tensors.*as_module\(op\)"),
    ("data of another shape", lambda d: unrolled()(torch.ones(2, 3, 3)), ValueError,
     r"shape \(2, 3, 3\), expected \(\*batch, 4, 4\)"),
    ("step size zero", lambda d: reconstruction.GradientStep(nn.Identity(), 0), ValueError,
     "step_size is 0; expected"),
    ("learned step size negative", lambda d: reconstruction.LearnedStepSize(-1.0), ValueError,
     "step size is -1.0; expected"),
    ("memory of a network", lambda d: unrolled(steps=[reconstruction.MemoryStep(
        networks.CNN(4, 2, 2, 2), 2, 0.1)])(T[None]), ValueError,
     r"shape \(1, 2, 4, 4\), expected \(1, 3, 4, 4\).*output channels"),
]

TABLE = (BRIDGE + OPERATORS + MODELS + SOLVERS + BATCHES + FUNCTIONALS + DATA + FILES
         + LEARNING)  # fmt: skip


@pytest.mark.parametrize(("mistake", "error", "pattern"), [row[1:] for row in TABLE],
                         ids=[row[0] for row in TABLE])
def test_mistake(mistake, error, pattern, files):
    with pytest.raises(error) as caught:
        mistake(files)
    assert re.search(pattern, " ".join(str(caught.value).split())), str(caught.value)
    assert "weights_only" not in str(caught.value)


def test_names_of_the_table_are_unique():
    assert len({row[0] for row in TABLE}) == len(TABLE)


@pytest.mark.parametrize("op", [A, RAY, RAY.adjoint, operators.gradient(X), SmoothSquare(X), TV,
                                Double(X), operators.SampledFourier(C, ONE)], ids=repr)
def test_empty_batches_are_valid(op):
    module = as_module(op)
    dtype = torch.complex64 if op.domain == C else torch.float32
    x = torch.ones(0, *op.domain.shape, dtype=dtype)
    target = getattr(op.range, "shape", ())
    assert module(x).shape == (0, *target)
    assert module(x[None].expand(2, *x.shape)).shape == (2, 0, *target)


def test_empty_batches_of_networks_are_valid():
    empty = torch.ones(0, 4, 4)
    assert networks.OnImages(networks.CNN(1, 1, 2, 2))(empty).shape == (0, 4, 4)
    memory = reconstruction.MemoryStep(networks.CNN(4, 3, 2, 2), 2, 0.1)
    assert unrolled(steps=[memory])(empty).shape == (0, 4, 4)


@pytest.mark.parametrize("op", [A, RAY, operators.gradient(X), SmoothSquare(X), TV], ids=repr)
def test_nan_is_never_hidden(op):
    """Modules do not look at their values; NaN in one sample stays in it and shows."""
    x = torch.ones(2, 4, 4)
    x[1] = torch.nan
    y = as_module(op)(x)
    assert y[0].isfinite().all() and y[1].isnan().any()


def test_values_need_no_derivative():
    """Operators that know no derivative can be evaluated, also where gradients are recorded."""
    x = torch.full((2, 4, 4), 3.0)
    for op, expected in ((Square(X), 9.0), (Double(X), 6.0)):
        assert torch.equal(as_module(op)(x), torch.full((2, 4, 4), expected))
        assert as_module(op)(x.requires_grad_()).requires_grad
    torch.testing.assert_close(as_module(Value(X))(x), torch.full((2,), 6.0))  # |X.one()| = 2


def forward_over_reverse(f, x):
    return torch.func.jvp(torch.func.grad(f), (x,), (x,))


def reverse_over_forward(f, x):
    return torch.func.grad(lambda z: torch.func.jvp(f, (z,), (x,))[1])(x)


def forward_over_forward(f, x):
    return torch.func.jvp(lambda z: torch.func.jvp(f, (z,), (x,))[1], (x,), (x,))


def reverse_over_reverse(f, x):
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(f(x), x, create_graph=True)
    slope.square().sum().backward()


ORDERS = (forward_over_reverse, reverse_over_forward, forward_over_forward, reverse_over_reverse)


@pytest.mark.parametrize("second", ORDERS, ids=lambda order: order.__name__)
@pytest.mark.parametrize("op", [SmoothSquare(X), Quartic(X)], ids=lambda op: type(op).__name__)
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_second_derivatives_without_a_rule_are_an_error_and_never_zero(op, second):
    module = as_module(op)
    torch.func.grad(lambda x: module(x).sum())(T)  # the first derivative is known
    with pytest.raises(NotImplementedError, match=f"{type(op).__name__}.*lower.register"):
        second(lambda x: module(x).sum(), T)


def test_hessian_of_a_functional_without_a_rule_is_an_error():
    f = as_functional(as_module(Quartic(X)), X)
    assert (f.gradient(X.one()) - 4 * X.one()).norm() < 1e-6
    with pytest.raises(NotImplementedError, match="Quartic"):
        f.gradient.derivative(X.one())(X.one())
