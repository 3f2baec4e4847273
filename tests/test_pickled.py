"""Operators and functionals in other processes: what pickle and deepcopy give back is the same."""

import copy
import functools
import multiprocessing
import pickle

import instances
import numpy as np
import odl
import pytest
import torch

from odl_learned import data, functionals, operators, variational
from odl_learned.conformance.sampling import draw, sample

build = functools.cache(lambda table, name: getattr(instances, table)[name]())
TABLES = {"operator": "OPERATORS", "functional": "FUNCTIONALS"}
CASES = [(table, name) for table in TABLES.values() for name in getattr(instances, table)]
COPIES = {"pickle": lambda obj: pickle.loads(pickle.dumps(obj)), "deepcopy": copy.deepcopy}
MISSING = (AttributeError, NotImplementedError, TypeError, ValueError, np.linalg.LinAlgError)


#: Proximals whose classes or functions ODL, or a repair of it, makes inside functions, by how the
#: name begins; so are the gradients of Moreau envelopes, which hold them (`docs/odl_1_0.md`).
INSIDE_FUNCTIONS = (
    "proximal_", "huber_proximal", "IndicatorSimplex", "sum_constraint", "lp_balls", "group_balls",
    "nuclear_", "_entrywise")


def taken(obj, rng):
    """What operators and functionals are asked for, as ``{name: (get, argument)}``."""
    x, h = sample(obj, rng), draw(obj.domain, rng)
    parts = {"itself": (lambda op: op, x), "derivative": (lambda op: op.derivative(x), h)}
    if obj.is_linear:
        parts["adjoint"] = (lambda op: op.adjoint, draw(obj.range, rng))
        parts["inverse"] = (lambda op: op.inverse, draw(obj.range, rng))
    if isinstance(obj, odl.functionals.Functional):
        parts["gradient"] = (lambda f: f.gradient, x)
        parts["proximal"] = (lambda f: f.proximal(0.5), x)
        parts["conjugate"] = (lambda f: f.convex_conj, 0.1 * h)
    return parts


def computed(get, op, argument):
    """The object and its values, or None where there is none."""
    torch.manual_seed(0)
    try:
        part = get(op)
        return part, values(part(argument))
    except MISSING:
        return None, None


def values(y):
    """The entries of an element, its parts one after the other."""
    if isinstance(y, odl.core.space.pspace.ProductSpaceElement):
        return np.concatenate([values(part) for part in y]) if len(y) else np.zeros(0)
    return np.asarray(getattr(y, "data", y)).ravel()


def pickled_part(part, may_be_inside):
    """The part from a pickle; nothing where it is of a known class inside a function."""
    try:
        return [COPIES["pickle"](part)]
    except (AttributeError, pickle.PicklingError) as error:
        assert may_be_inside and any(f"'{name}" in str(error) for name in INSIDE_FUNCTIONS), error
        return []


# The same operations on arrays of the same shapes: the same bits (`rounding`).
@pytest.mark.parametrize(("table", "name"), CASES, ids=[name for _, name in CASES])
def test_copies_compute_the_same(table, name, rng):
    obj, stored = build(table, name), []
    of_moreau = isinstance(obj, odl.functionals.MoreauEnvelope)
    parts = taken(obj, rng)
    parts = {kind: (get, argument, *computed(get, obj, argument))  # also fills caches
             for kind, (get, argument) in parts.items()}
    copies = [copied(obj) for copied in COPIES.values()]
    for kind, (get, argument, part, expected) in parts.items():
        if part is None:
            continue
        may_be_inside = kind == "proximal" or kind == "gradient" and of_moreau
        alone = pickled_part(part, may_be_inside) if kind != "itself" else []
        for other in [get(other) for other in copies] + alone:
            torch.manual_seed(0)
            assert np.array_equal(values(other(argument)), expected, equal_nan=True)
            assert (other.domain, other.range) == (part.domain, part.range)
        stored.append(kind)
    assert stored


def test_what_is_copied_together_stays_together():
    for name in ("ray transform", "fan beam", "MultiCoilFourier", "Whitening"):
        op, adjoint = COPIES["pickle"]((build("OPERATORS", name),) * 2)
        assert op is adjoint
    op = operators.parallel_ray_transform(RAY_SPACE, 4)
    again, adjoint = COPIES["pickle"]((op, op.adjoint))
    assert adjoint.adjoint is again and again.adjoint is adjoint


RAY_SPACE = odl.uniform_discr([-1, -1], [1, 1], (6, 6), dtype="float32")


def test_ray_transforms_are_small_and_leave_the_projector_behind():
    op = operators.fan_beam_ray_transform(RAY_SPACE, 5, 4.0, 2.0)
    before = len(pickle.dumps(op))
    op.adjoint(op(RAY_SPACE.one()))
    assert len(pickle.dumps(op)) <= before + 100 < 20_000  # a few words that ODL keeps
    again = COPIES["pickle"](op)
    assert again._RayTransform__cached_impl is None and not again.geometry.implementation_cache


def test_shifts_of_a_source_are_kept_where_pickle_finds_them():
    angles, bins = odl.uniform_partition(0, 6, 4), odl.uniform_partition(-2, 2, 7)
    geometry = odl.applications.tomo.FanBeamGeometry(angles, bins, 4, 2, src_shift_func=sideways)
    again = COPIES["pickle"](geometry)
    assert np.array_equal(again.src_position(0.3), geometry.src_position(0.3))
    plain = odl.applications.tomo.FanBeamGeometry(angles, bins, 4, 2)
    assert not np.array_equal(plain.src_position(0.3), geometry.src_position(0.3))
    shifted = odl.applications.tomo.FanBeamGeometry(
        angles, bins, 4, 2, src_shift_func=lambda angle: sideways(angle))
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        pickle.dumps(shifted)


def sideways(angle):
    return np.array([[0.0, 0.1]])


def reconstructed(job):
    """What a worker does: the backprojection of data, and the gap of a problem at zero."""
    fbp, problem, y = job
    return fbp(y).asarray(), problem.gap(fbp.range.zero(), problem.L.range.zero())


def test_other_processes_reconstruct():
    A = operators.parallel_ray_transform(RAY_SPACE, 6)
    y = data.add_white_noise(A(RAY_SPACE.one()), 0.1, np.random.default_rng(0))
    problem = variational.tv_problem(A, functionals.l2_fidelity(y), 0.1)
    job = operators.fbp(A), problem, y
    expected = reconstructed(job)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        picture, gap = pool.apply(reconstructed, (job,))
    assert np.array_equal(picture, expected[0]) and gap == expected[1]
