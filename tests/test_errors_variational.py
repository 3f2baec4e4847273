"""Bad input to functionals and variational problems."""

import numpy as np
import odl
from mistakes import BOX, FIDELITY, NAN, ONE, SMALL, A, C, Square, X, check_message, rows

from odl_learned import functionals as F
from odl_learned import variational
from odl_learned.bridge import as_module


def experts(filters, alphas):
    return variational.experts_problem(A, FIDELITY, filters, alphas)


def problem(norm=None, balance=1.0, strong_convexity=0.0, radii=()):
    return variational.Problem(FIDELITY, BOX, odl.IdentityOperator(X), norm=norm, radii=radii,
                               balance=balance, strong_convexity=strong_convexity)  # fmt: skip


WIDER = odl.ZeroOperator(X, SMALL)
MODELS = [
    ("array for data", lambda: F.l2_fidelity(ONE), TypeError,
     r"ndarray, expected an element.*range\.element\(array\)"),
    ("NaN in data", lambda: F.l2_fidelity(X.element(NAN)), ValueError,
     "data contains 16 NaN.*expected finite.*isfinite"),
    ("NaN deep in data", lambda: F.l2_fidelity(odl.ProductSpace(X**2, X).element(
        [[ONE, NAN], ONE])), ValueError, "data contains 16 NaN"),
    ("inf in data", lambda: F.l2_fidelity(X.element(ONE * np.inf)), ValueError, "infinite"),
    ("box on a complex space", lambda: F.BoxConstraint(C, 0, 1), TypeError,
     "complex64, expected a real one.*MagnitudeBound"),
    ("empty box", lambda: F.BoxConstraint(X, 1, 0), ValueError,
     "bounds are 1 and 0; expected.*lower <= upper"),
    ("word for a bound", lambda: F.BoxConstraint(X, "a", 1), ValueError,
     "bounds are 'a' and 1; expected"),
    ("box without a space", lambda: F.BoxConstraint(None, 0, 1), TypeError,
     "space is None, expected"),
    ("bound zero", lambda: F.MagnitudeBound(C, 0), ValueError, "bound is 0; expected"),
    ("alpha zero", lambda: F.SmoothedTV(X, 0, 1, 1), ValueError, "alpha is 0; expected"),
    ("nu negative", lambda: F.SmoothedTV(X, 1, -1, 1), ValueError, "nu is -1; expected"),
    ("xi negative", lambda: F.SmoothedTV(X, 1, 1, -1), ValueError, "xi is -1; expected"),
    ("alpha zero in tv", lambda: variational.tv_problem(A, FIDELITY, 0), ValueError,
     "alpha is 0; expected a finite number greater than zero"),
    ("alpha negative in tikhonov", lambda: variational.tikhonov_problem(A, FIDELITY, -1.0),
     ValueError, "alpha is -1.0; expected"),
    ("alpha NaN in h1", lambda: variational.h1_problem(A, FIDELITY, np.nan), ValueError,
     "alpha is nan; expected"),
    ("word for alpha", lambda: variational.tv_problem(A, FIDELITY, "1"), ValueError,
     "alpha is '1'; expected"),
    ("array for alpha", lambda: variational.tv_problem(A, FIDELITY, np.ones(2)), ValueError,
     r"alpha is array.*; expected"),
    ("beta zero", lambda: variational.tgv_problem(A, FIDELITY, 1, 0), ValueError,
     "beta is 0; expected"),
    ("nonlinear forward operator", lambda: variational.tv_problem(Square(X), FIDELITY, 1),
     TypeError, r"forward_op is Square.*expected a linear.*derivative\(x\)"),
    ("module for an operator", lambda: variational.tv_problem(as_module(A), FIDELITY, 1),
     TypeError, "OperatorModule.*expected a linear odl.Operator.*as_operator"),
    ("data for a fidelity", lambda: variational.tv_problem(A, X.one(), 1), TypeError,
     r"fidelity is [^;]{1,40}; expected a functional.*l2_fidelity\(data\)"),  # one line of it
    ("fidelity elsewhere", lambda: variational.tv_problem(A, F.l2_fidelity(SMALL.one()), 1),
     ValueError, "fidelity lives on.*expected.*build it on forward_op.range"),
    ("constraint elsewhere", lambda: variational.tv_problem(
        A, FIDELITY, 1, F.BoxConstraint(SMALL, 0, 1)), ValueError,
     "constraint lives on.*expected.*build it on forward_op.domain"),
    ("nothing measured", lambda: variational.tv_problem(odl.ZeroOperator(X), FIDELITY, 1),
     ValueError, "zero operator; expected"),
    ("ratio zero", lambda: variational.tv_problem(A, FIDELITY, 1).step_sizes(0), ValueError,
     "ratio is 0; expected"),
    ("value elsewhere", lambda: variational.tv_problem(A, FIDELITY, 1).value(SMALL.one()),
     TypeError, r"x is not an element of L\.domain.*L\.domain\.zero\(\)"),
    ("gap with half a dual", lambda: variational.tv_problem(A, FIDELITY, 1).gap(X.one(), X.one()),
     TypeError, r"y is not an element of L\.range.*L\.range\.zero\(\)"),
    ("infinite convexity", lambda: problem(strong_convexity=np.inf), ValueError,
     "strong_convexity is inf; expected a finite number of at least zero"),
    ("negative convexity", lambda: problem(strong_convexity=-1.0), ValueError,
     "strong_convexity is -1.0; expected"),
    ("convexity without a number", lambda: problem(strong_convexity=np.nan), ValueError,
     "strong_convexity is nan; expected"),
    ("negative norm", lambda: problem(norm=-1), ValueError,
     "norm is -1; expected a finite number greater than zero"),
    ("infinite norm", lambda: problem(norm=np.inf), ValueError, "norm is inf; expected"),
    ("balance zero", lambda: problem(balance=0.0), ValueError, "balance is 0.0; expected"),
    ("word for a balance", lambda: problem(balance="1"), ValueError, "balance is '1'; expected"),
    ("negative radius", lambda: problem(radii=((None, -1.0),)), ValueError,
     "the radius of None is -1.0; expected"),
    ("convexity of one sample", lambda: problem(strong_convexity=np.array([1.0, np.nan])),
     ValueError, r"strong_convexity is array.*; expected"),
    ("functional elsewhere", lambda: variational.Problem(FIDELITY, FIDELITY, -1 * WIDER),
     ValueError, r"g is .*expected a functional with a proximal on .* the range of L"),
    ("operator for a functional", lambda: variational.Problem(A, FIDELITY, A), ValueError,
     r"f is .*; expected a functional with a proximal on .* the domain of L"),
    ("nonlinear part of a problem", lambda: variational.Problem(FIDELITY, FIDELITY, Square(X)),
     TypeError, r"L is Square.*expected a linear.*derivative\(x\)"),
]

FUNCTIONALS = [
    ("negative counts of a functional", lambda: F.KullbackLeiblerFidelity(-X.one()), ValueError,
     "data has the negative value -1.0, expected nonnegative.*background"),
    ("NaN counts", lambda: F.KullbackLeiblerFidelity(X.element(NAN)), ValueError, "16 NaN"),
    ("variation without cells", lambda: F.TotalVariation(odl.rn(3)), TypeError,
     r"space is rn\(3\); expected a uniform discretization"),
    ("inaccurate variation", lambda: F.TotalVariation(X, accuracy=0), ValueError,
     "accuracy is 0; expected"),
    ("proximal of no size", lambda: F.TotalVariation(X).proximal(0)(X.one()), ValueError,
     "sigma is 0.0; expected"),
    ("generalized variation without beta", lambda: F.TotalGeneralizedVariation(X, 0), ValueError,
     "beta is 0; expected"),
    ("seminorm without cells", lambda: F.H1Seminorm(odl.rn(3)), TypeError,
     "expected a uniform discretization"),
    ("weights of one image", lambda: F.weighted_l1(X, [1]), TypeError,
     r"expected a power space X \*\* K"),
    ("experts without weight", lambda: experts(np.ones((2, 3, 3)), [0, 0]), ValueError,
     "alphas are all zero; expected a positive one"),
    ("experts without number", lambda: experts(np.ones((2, 3, 3)), [1]), ValueError,
     r"alphas has shape \(1,\), expected \(2,\)"),
    ("experts that see nothing", lambda: experts(np.zeros((2, 3, 3)), [1, 1]), ValueError,
     "filters are all zero; expected"),
    ("one filter", lambda: experts(np.ones((3, 3)), [1, 1, 1]), ValueError,
     r"filters have shape \(3, 3\), expected \(K, s_1, ..., s_2\).*stack"),
    ("negative expert", lambda: experts(np.ones((1, 3, 3)), [-1]), ValueError,
     "alphas have the negative value -1"),
]


@rows(MODELS + FUNCTIONALS)
def test_mistake(mistake, error, pattern):
    check_message(mistake, error, pattern)
