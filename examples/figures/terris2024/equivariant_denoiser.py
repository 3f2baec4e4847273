r"""Plug and play with a denoiser that is seen from all directions, or from a random one each time.

Terris et al., Equivariant plug-and-play image reconstruction (2024): replace a denoiser N by

    1/|G| sum_g g^{-1} N(g x),   or by   g^{-1} N(g x)   with a new g of G in every iteration,

algorithm 1, for G the quarter turns and reflections of images. Here N is a DnCNN, trained on
phantoms, in the gradient steps u <- N(u - tau grad E(u)) for a blurred phantom. The blur commutes
with G, so that the reconstruction of a reflected image is the reflected reconstruction if and as
far as the denoiser commutes, too.

Claims: the average commutes with G to 1e-6, and what comes of 20 iterations to 1e-4, N to neither a
thousandth nor a hundredth; both ways to use G are as good as N at the best iterate of each, up to
0.05 dB, and at least 5 dB better at the last; none of them has a guarantee.

    python examples/figures/terris2024/equivariant_denoiser.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl
import torch
from matplotlib.figure import Figure

from odl_learned import bridge, data, functionals, learning, metrics, networks, operators
from odl_learned.networks import equivariant
from odl_learned.reconstruction import plug_and_play

SIZES = {"smoke": {"n": 32, "maxiter": 60}, "paper": {"n": 64, "maxiter": 120}}
NOISE_LEVEL, NOISE, BLUR, TAU, FEW = 0.02, 0.01, 1.5, 1.8, 20
GROUP = equivariant.Dihedral(4)


def compute(size, rng):
    """Return the qualities of iterates and errors of equivariance, for three denoisers."""
    n, maxiter = SIZES[size].values()
    space = odl.uniform_discr([0, 0], [n, n], (n, n), dtype="float32")
    generator = torch.Generator().manual_seed(0)
    clean = [torch.from_numpy(data.random_body(space, rng).asarray()) for _ in range(32)]
    pairs = [(x + NOISE_LEVEL * torch.randn(x.shape, generator=generator), x) for x in clean]
    truth = data.random_body(space, rng)
    A = operators.ReflectingConvolution(space, operators.gaussian_kernel(space, BLUR))
    y = data.add_white_noise(A(truth), NOISE, rng)
    net = networks.OnImages(networks.DnCNN(1, 16, 5, dimension=2, generator=generator), dimension=2)
    learning.train(net, pairs, steps=100, batch_size=8, seed=0, progress=False,
                   optimizer=torch.optim.Adam(net.parameters(), 3e-3))
    denoisers = {"one direction": net,
                 "random directions": equivariant.RandomElement(net, GROUP, generator),
                 "all directions": equivariant.GroupAverage(net, GROUP)}  # fmt: skip
    return {"before": metrics.psnr(y, truth),
            "runs": {name: run(A, y, truth, denoiser, maxiter)
                     for name, denoiser in denoisers.items()}}


def run(A, y, truth, denoiser, maxiter):
    """Iterate, and compare with what comes of the reflected data."""
    g = bridge.ImplicitRegularizer(bridge.as_proximal(denoiser.eval(), A.domain))
    images = []

    def solved(measured, count, callback=None):
        E = functionals.LeastSquares(A, measured)
        return plug_and_play.proximal_gradient(E, g, measured, None, count, tau=TAU,
                                               callback=callback)

    answer = solved(y, maxiter, lambda u: images.append(u.copy()))
    flipped = A.domain.element(moved(y.asarray()))
    few, other = solved(y, FEW).x.asarray(), solved(flipped, FEW).x.asarray()
    with torch.no_grad():
        once, turned = (denoiser(torch.from_numpy(x.asarray())).numpy() for x in (y, flipped))
    return {"answer": answer, "psnr": np.array([metrics.psnr(u, truth) for u in images]),
            "evaluation": error(once, turned), "iteration": error(few, other),
            "image": few}  # fmt: skip


def moved(image):
    """The image reflected and turned by a quarter."""
    element = GROUP.order - 1
    return GROUP.act(element, torch.from_numpy(image)).numpy()


def error(image, other):
    """How far the result for moved data is from the moved result."""
    return np.linalg.norm(other - moved(image)) / np.linalg.norm(image)


def draw(results, path):
    """Draw qualities over iterations, and the images after a few."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots(1, 4, gridspec_kw={"width_ratios": (1.6, 1, 1, 1)})
    for axis, (name, found) in zip(axes[1:], results["runs"].items()):
        axes[0].plot(range(1, 1 + len(found["psnr"])), found["psnr"], label=name)
        axis.imshow(data.to_rows(found["image"]), cmap="gray", vmin=0, vmax=1)
        axis.set_title(f"{name}\n{found['psnr'][FEW - 1]:.1f} dB, moved data: "
                       f"{found['iteration']:.0e}", fontsize=9)
        axis.set_axis_off()
    axes[0].axhline(results["before"], color="black", linewidth=0.8, linestyle="--", label="data")
    axes[0].set(xlabel="iteration", title="PSNR (dB)", ylim=(0, None))
    axes[0].legend()
    figure.savefig(path, dpi=120)


def claim(results):
    """Assert what the figure claims."""
    one, random, everything = results["runs"].values()
    # The iteration, which is not stable, multiplies rounding errors.
    assert everything["evaluation"] < 1e-6, "the average does not commute"
    assert everything["iteration"] < 1e-4 < one["iteration"] / 100, "nor do its iterates"
    assert one["evaluation"] > 1e-3, "an ordinary network commutes"
    for found in (random, everything):
        assert found["psnr"].max() > one["psnr"].max() - 0.05
        assert found["psnr"][-1] > one["psnr"][-1] + 5
    for found in (one, random, everything):
        assert str(found["answer"].guarantee).startswith("no guarantee")


def main(size, out):
    results = compute(size, np.random.default_rng(0))
    path = out / "equivariant_denoiser.png"
    draw(results, path)
    print(f"data {results['before']:.1f} dB;", "; ".join(
        f"{name}: {found['psnr'].max():.1f} at best, {found['psnr'][-1]:.1f} at the end, off by "
        f"{found['iteration']:.1e} for moved data"
        for name, found in results["runs"].items()), f"-> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(arguments.size, arguments.out)
