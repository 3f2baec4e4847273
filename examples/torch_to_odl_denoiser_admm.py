"""A learned denoiser in ODL's own ADMM: tomography with a network in the place of a proximal.

A small network, firmly nonexpansive by construction, learns to denoise phantoms. As an object with
a proximal, `CertifiedDenoiser`, `odl.solvers.admm_linearized` takes it as any functional; large
steps make up for a proximal that does not depend on them, and weigh the data.

    python examples/torch_to_odl_denoiser_admm.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl
import torch

from odl_learned import data, learning, metrics, networks, operators, plotting
from odl_learned.reconstruction import plug_and_play

SIZES = {"smoke": {"n": 32, "views": 20}, "paper": {"n": 64, "views": 40}}
NOISE, DENOISED, STEP = 0.02, 0.04, 500.0


def main(n, views, out, niter=300):
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    X = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="float32")
    A = operators.normalized(operators.parallel_ray_transform(X, views))

    first, second = (networks.NormalizedConvolution(
        *channels, 3, networks.Reflecting(), dimension=2, generator=generator)
        for channels in ((1, 8), (8, 1)))  # fmt: skip
    inner = torch.nn.Sequential(first, networks.GroupSort(), second)
    net = networks.OnImages(networks.Averaged(inner), dimension=2)
    clean = [torch.from_numpy(data.random_body(X, rng).asarray()) for _ in range(32)]
    pairs = [(x + DENOISED * torch.randn(x.shape, generator=generator), x) for x in clean]
    learning.train(net, pairs, steps=300, batch_size=8, seed=0, progress=False,
                   optimizer=torch.optim.Adam(net.parameters(), 3e-2))

    truth = data.random_body(X, rng)
    y = data.add_white_noise(A(truth), NOISE * float(np.abs(A(truth).asarray()).mean()), rng)
    denoiser = plug_and_play.CertifiedDenoiser(net, X, generator)
    fidelity = odl.functionals.L2NormSquared(A.range).translated(y)
    x, images = X.zero(), []
    odl.solvers.admm_linearized(x, denoiser, 0.5 * fidelity, A, 0.9 * STEP, STEP, niter,
                                callback=lambda u: images.append(u.copy()))

    filtered, step = operators.fbp(A)(y), (images[-1] - images[-2]).norm() / x.norm()
    before, after = metrics.psnr(filtered, truth), metrics.psnr(x, truth)
    found, path = {"backprojection": filtered, "ADMM": x}, out / "denoiser_admm.png"
    plotting.comparison(found, truth, path, title=f"CT, {views} views, {n} x {n}")
    print(f"PSNR {before:.2f} -> {after:.2f} dB, last step {step:.1e} of the image -> {path}")
    assert after >= before + 2 and step <= 1e-3


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    (arguments := parser.parse_args()).out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[arguments.size], out=arguments.out)
