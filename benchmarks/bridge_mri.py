"""Multi-coil MRI: our native rules, deepinv, and torch with the shifts written out."""

import numpy as np
import odl
import peers
import torch
from timing import race, require_close, without_gradients

from odl_learned import data, operators
from odl_learned.bridge import as_module

SIZES = {"tiny": (16, 3, (1, 2), 3), "full": (320, 8, (1, 4), 9)}  # pixels, coils, batches, rounds
AXES = (-2, -1)


def measure(size):
    """Return the ratios to deepinv, the larger of two batch sizes, and those to plain torch."""
    n, coils, batches, rounds = SIZES[size]
    space = odl.uniform_discr([0, 0], [1, 1], (n, n), dtype="complex64")
    mask = data.cartesian_mask(space.shape, 0.25, 0.08, np.random.default_rng(0))
    op = operators.MultiCoilFourier(space, mask, data.simulated_sensitivities(space, coils))
    numbers = {}
    for batch in batches:
        for key, seconds in measure_batch(op, batch, rounds).items():
            mine = seconds["odl_learned"]
            for other, peer in (("deepinv", "deepinv MultiCoilMRI"), ("plain_torch", "torch")):
                name = f"mri_{key}_vs_{other}"
                ratio = mine / seconds[peer] if peer in seconds else None
                numbers[f"{name}_batch_{batch}"] = ratio
                previous = numbers.get(name)
                numbers[name] = ratio if previous is None else max(previous, ratio)
    return numbers


def measure_batch(op, batch, rounds):
    """Race forward operator, adjoint and normal operator on one batch."""
    n, coils = op.domain.shape[0], len(op.range)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, n, n, dtype=torch.complex64, generator=generator)
    y = torch.randn(batch, coils, n, n, dtype=torch.complex64, generator=generator)
    maps = torch.from_numpy(op.sensitivities.copy())
    mask = torch.from_numpy(op.weights.copy())
    forward, adjoint, normal = (as_module(a) for a in (op, op.adjoint, op.normal))

    def plain_forward():
        k = torch.fft.ifftshift(maps * x[:, None], dim=AXES)
        return mask * torch.fft.fftshift(torch.fft.fft2(k, norm="ortho"), dim=AXES)

    def plain_adjoint(values):
        k = torch.fft.ifftshift(mask * values, dim=AXES)
        images = torch.fft.fftshift(torch.fft.ifft2(k, norm="ortho"), dim=AXES)
        return (maps.conj() * images).sum(1)

    contestants = {
        "forward": {"torch": plain_forward, "odl_learned": lambda: forward(x)},
        "adjoint": {"torch": lambda: plain_adjoint(y), "odl_learned": lambda: adjoint(y)},
        "normal": {"torch": lambda: plain_adjoint(plain_forward()),
                   "odl_learned": lambda: normal(x)},
    }
    deepinv = peers.deepinv()
    if deepinv is not None:
        physics = deepinv.physics.MultiCoilMRI(mask=mask[None, None], coil_maps=maps[None],
                                               img_size=(2, n, n))
        x2, y2 = (torch.view_as_real(t).movedim(-1, 1).contiguous() for t in (x, y))
        functions = (lambda: physics.A(x2), lambda: physics.A_adjoint(y2),
                     lambda: physics.A_adjoint_A(x2))
        for race_of, function in zip(contestants.values(), functions):
            race_of["deepinv MultiCoilMRI"] = function
    seconds = {}
    for key, functions in contestants.items():
        reference = functions["torch"]()
        for name, function in functions.items():
            value = function()
            if name.startswith("deepinv"):
                value = torch.complex(value[:, 0], value[:, 1])
            require_close(name, value, reference, 1e-5)
        seconds[key] = race(f"MRI {n}^2, {coils} coils, batch {batch}: {key}",
                            {k: without_gradients(f) for k, f in functions.items()}, rounds)
    return seconds
