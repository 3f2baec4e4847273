"""Reproductions for the repairs of functionals, by the name of the repair."""

import odl

from reproductions.elements import close, draw, image_space

F = odl.functionals


def separable_sum_linear():
    space = odl.rn(2)
    f = F.SeparableSum(F.L1Norm(space), 0.5 * F.L2NormSquared(space))
    x = (space**2).element([[1, -2], [3, 4]])
    assert not f.is_linear
    close((f * 2)(x), 2 * 3 + 0.5 * 4 * 25)
    g = 3.0 * f
    moreau = g.proximal(0.7)(x) + 0.7 * g.convex_conj.proximal(1 / 0.7)(x / 0.7)
    close((moreau - x).norm(), 0)
    assert F.SeparableSum(F.ZeroFunctional(space), 2).is_linear


def complex_values():
    for impl in ("numpy", "pytorch"):
        space = odl.cn(2, impl=impl)
        x = space.element([3 + 4j, 1j])
        squared = F.L2NormSquared(space)
        shifted = F.FunctionalQuadraticPerturb(squared, linear_term=space.element([1j, 1]))
        for f, value in (
            (squared, 26.0),
            (2.0 * squared.translated(space.element([3, 0])), 34.0),
            (squared + F.GroupL1Norm(space**1) @ odl.BroadcastOperator(odl.IdentityOperator(space)),
             32.0),
            (shifted, 26 + 4.0),
        ):
            assert type(f(x)) is float
            close(f(x), value)
    assert type(F.IdentityFunctional(odl.ComplexNumbers())(2j)) is complex


def real_constants():
    space = odl.cn(2)
    zero, two = F.ZeroFunctional(space), F.ConstantFunctional(space, 2)
    form = F.QuadraticForm(operator=odl.IdentityOperator(space), constant=3 + 0j)
    constants = [zero.constant, zero.convex_conj.constant, zero.convex_conj.convex_conj.constant,
                 two.constant, two.convex_conj.constant, (F.L2NormSquared(space) + 5).scalar,
                 form.constant]  # fmt: skip
    assert not any(isinstance(c, complex) for c in constants)
    assert constants == [0, 0, 0, 2, -2, 5, 3]


def quadratic_conjugate():
    for space in (odl.rn(2, weighting=3.0), odl.cn(2), image_space() ** 2):
        A = 2 * odl.IdentityOperator(space)
        for form in (F.QuadraticForm(A, draw(space), 4), F.QuadraticForm(A)):
            # Young's equality at a point and its gradient.
            x, conjugate = draw(space), form.convex_conj
            p = form.gradient(x)
            close(form(x) + conjugate(p), p.inner(x).real)
            # The conjugate of the conjugate is the form itself, and the gradients are inverse.
            close(conjugate.convex_conj(x), form(x))
            close((conjugate.gradient(p) - x).norm(), 0)
    turn = odl.MatrixOperator([[1.0, 1.0], [0.0, 1.0]], domain=odl.rn(2), range=odl.rn(2))
    try:
        F.QuadraticForm(turn).convex_conj
    except NotImplementedError as error:
        assert "not self-adjoint" in str(error)
    else:
        raise AssertionError("there is a conjugate of a form that is not symmetric")


def lp_norm():
    for impl in ("numpy", "pytorch"):
        weighted = odl.uniform_discr(0, 1, 2, dtype="complex128", impl=impl)
        for space, weight in ((odl.cn(2, impl=impl), 1.0), (weighted, 0.5)):
            x = space.element([3 + 4j, 0])
            for p, value in ((0, 1), (1, 5), (2, 25), (3, 125)):
                close(F.LpNorm(space, p)(x), (weight * value) ** (1 / max(p, 1)))
        # The weights of a product space must survive the absolute value.
        product = odl.ProductSpace(weighted, 2, weighting=[1, 3])
        close(F.L1Norm(product)(product.element([x, 2 * x])), 0.5 * (5 + 3 * 10))


def grad_lipschitz():
    space = odl.rn(2)
    f, u = 0.5 * F.L2NormSquared(space), odl.rn(2).element([30.0, 40.0])
    perturbed = F.FunctionalQuadraticPerturb(f, quadratic_coeff=3.0, linear_term=u)
    bregman = F.BregmanDistance(f, u, f.gradient(u))
    for g, lipschitz in ((f * 3.0, 9.0), (perturbed, 7.0), (bregman, 1.0)):
        assert g.grad_lipschitz == lipschitz
        x, y = draw(space), u
        close((g.gradient(x) - g.gradient(y)).norm(), lipschitz * (x - y).norm())


def huber_proximal():
    for impl in ("numpy", "pytorch"):
        for space in (image_space(impl), image_space(impl) ** 2):
            x, sigma = draw(space), 0.3
            f = F.Huber(space, 0.5)
            y = f.proximal(sigma)(x)
            # Optimality: (x - y) / sigma is the gradient of f at y.
            close(((x - y) / sigma - f.gradient(y)).norm(), 0)
            moreau = y + sigma * f.convex_conj.proximal(1 / sigma)(x / sigma)
            close((moreau - x).norm(), 0, rtol=0)
