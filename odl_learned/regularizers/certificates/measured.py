r"""What is attained: norms of derivatives, curvatures and asymmetries, with points and directions.

All of it is in double precision, on a copy of the module, one sample at a time.
"""

import copy
import functools

import torch
from torch import nn

from odl_learned.networks.layers import require_generator
from odl_learned.validation import require_count, shown

#: Sizes of the random points at which derivatives are taken; networks are steep in some places.
SCALES = (0.1, 1.0, 10.0)
#: Distances of pairs of points for curvatures: small, where kinks are smooth, and large, over them.
REACHES = (1e-3, 1.0)


def examined(module, shape, generator):
    """Return a copy of the module in double precision; raise unless all three are what they are."""
    if not isinstance(module, nn.Module):
        raise TypeError(f"module is {shown(module)}, expected a torch.nn.Module, such as a layer "
                        "of networks.")
    require_shape_of_sample(shape)
    if generator is None:
        raise TypeError("generator is None, expected torch.Generator().manual_seed(seed).")
    require_generator(generator)
    module = copy.deepcopy(module).double()
    for layer in module.modules():
        if callable(getattr(layer, "kernel", None)):  # once, not in every derivative
            layer.kernel = functools.partial(torch.Tensor.detach, layer.kernel())
    with torch.no_grad():
        try:
            module(torch.zeros(1, *shape, dtype=torch.float64))
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            raise ValueError(f"the module fails on samples of shape {shape}, expected the shape of "
                             f"what it maps, without batch axis: {error}") from error
    return module


def require_shape_of_sample(shape):
    """Raise unless a shape is a tuple of whole numbers of at least one."""
    if not isinstance(shape, tuple) or not shape:
        raise TypeError(f"shape is {shown(shape)}, expected a tuple, that of one sample without "
                        "batch axis, such as (1, 24, 24).")
    for n in shape:
        require_count("an entry of shape", n, 1, 2**31)


def random_points(shape, generator, count=1):
    """Yield random points of several sizes, ``(1, *shape)``."""
    for scale in SCALES:
        for _ in range(count):
            yield scale * random(shape, generator)


def random(shape, generator):
    """Return normal random numbers ``(1, *shape)`` in double precision."""
    return torch.randn(1, *shape, dtype=torch.float64, generator=generator)


def steepest(f, shape, generator, steps=40):
    r"""Return the largest ``|f'(x) h| / |h|`` that was found, with ``(x, h)``.

    By Lanczos' iteration on ``f'(x)^T f'(x)`` at some points x, which finds more than as many steps
    of the power iteration; the value is that of the vector that it ends with.
    """
    best = (0.0, (torch.zeros(shape, dtype=torch.float64),) * 2)
    for x in random_points(shape, generator):

        def push(h, x=x):
            with torch.no_grad():
                return torch.func.jvp(f, (x,), (h,))[1]

        def normal(h, x=x):
            _, pull_back = torch.func.vjp(f, x)
            return pull_back(push(h))[0].detach()

        h = _ritz_vector(normal, random(shape, generator), steps, -1)
        value = float(push(h).norm())
        if not value < float("inf"):
            return float("inf"), (x[0], h[0])
        if value > best[0]:
            best = (value, (x[0], h[0]))
    return best


def least_curvature(f, shape, generator, steps=30):
    r"""Return the least curvature that was found between two points, with them, and the largest.

    .. math:: \frac{\langle \nabla f(x) - \nabla f(y), x - y \rangle}{|x - y|^2},

    at least m for all pairs if and only if ``f - m/2 |.|^2`` is convex. Directions are found by
    Lanczos' iteration on ``v -> (grad f(x + r v) - grad f(x - r v)) / 2 r``, the Hessian as r tends
    to zero, and for larger r also where derivatives jump.
    """
    gradient = torch.func.grad(lambda x: f(x).sum())
    best = (float("inf"), (torch.zeros(shape, dtype=torch.float64),) * 2)
    largest = 0.0

    def bent(x, reach, v):
        return (gradient(x + reach * v) - gradient(x - reach * v)).detach() / (2 * reach)

    for x in random_points(shape, generator):
        for reach in REACHES:
            reach = reach * float(x.norm())
            v = _ritz_vector(functools.partial(bent, x, reach), random(shape, generator), steps, 0)
            image = bent(x, reach, v)
            value = float((image * v).sum())
            largest = max(largest, float(image.norm()))
            if value < best[0]:
                best = (value, ((x + reach * v)[0], (x - reach * v)[0]))
    return *best, largest


def _ritz_vector(apply, start, steps, place):
    """The unit vector in a Krylov space for one of the sorted Ritz values, by Lanczos' iteration.

    All vectors are kept and orthogonalized twice; values that are not finite end it.
    """
    basis, images = [start / start.norm()], []
    for _ in range(min(steps, start.numel())):
        images.append(apply(basis[-1]))
        new = images[-1]
        for _ in range(2):
            for q in basis:
                new = new - (new * q).sum() * q
        size = float(new.norm())
        if not 1e-10 * float(images[-1].norm()) < size < float("inf"):
            break
        basis.append(new / size)
    Q, HQ = (torch.stack(rows).flatten(1) for rows in (basis[: len(images)], images))
    small = Q @ HQ.mT
    if not bool(torch.isfinite(small).all()):
        return basis[-1]
    _, vectors = torch.linalg.eigh((small + small.mT) / 2)
    v = (vectors[:, place] @ Q).reshape(start.shape)
    return v / v.norm()


def largest_asymmetry(f, shape, generator, probes=4):
    r"""Return ``|J - J^T|_F / (sqrt(2) |J|_F)``, the largest at some points, with ``(x, v)``.

    Estimated by ``|J v - J^T v|`` for random v; the witness has the largest one.
    """
    best, witness = 0.0, (torch.zeros(shape, dtype=torch.float64),) * 2
    for x in random_points(shape, generator):
        differences, sizes, largest, found = 0.0, 0.0, -1.0, None
        for _ in range(probes):
            v = random(shape, generator)
            with torch.no_grad():
                _, moved = torch.func.jvp(f, (x,), (v,))
            _, pull_back = torch.func.vjp(f, x)
            (back,) = pull_back(v)
            difference = float((moved - back.detach()).square().sum())
            differences, sizes = differences + difference, sizes + float(moved.square().sum())
            if difference > largest:
                largest, found = difference, v
        value = (differences / (2 * sizes)) ** 0.5 if sizes > 0 else 0.0
        if value > best:
            best, witness = value, (x[0], found[0])
    return best, witness
