r"""Plug and play with a free denoiser has to be stopped, with a certified one it converges.

Ehrhardt, Learned reconstruction (2023): replace the proximal by a learned denoiser N,

    u_{k+1} = N(u_k - tau grad E(u_k)),   stop when E(u_k) < delta,   E(u) = 1/2 |A u - y|^2,

for a blurred phantom with white noise, delta the energy of the noise. "Not well behaved": nothing
says that there is a limit, nor that E ever is below delta. Both denoisers are trained on the same
noisy phantoms: a DnCNN, and a firmly nonexpansive network, for which the iteration is proven to
converge.

Claims: with the free network the iterate where E falls below delta is within 0.5 dB of its best
one, and at least 3 dB better than the last; the iteration diverges, its answer is no image and says
"no guarantee". With the certified one the iteration converges to the accuracy asked for, no worse
than 0.3 dB below its best iterate, and better than the data, though E never is below delta: the
rule alone would not stop it.

    python examples/figures/talk2023/plug_and_play.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl
import torch
from matplotlib.figure import Figure
from torch import nn

from odl_learned import bridge, data, functionals, learning, metrics, networks, operators
from odl_learned.reconstruction import plug_and_play

SIZES = {"smoke": {"n": 32, "maxiter": 60}, "paper": {"n": 64, "maxiter": 160}}
NOISE_LEVEL, NOISE, BLUR, TAU, ACCURACY = 0.02, 0.01, 1.5, 1.8, 1e-4


def networks_of(generator):
    """Return a DnCNN and a firmly nonexpansive network, each with a learning rate and steps."""
    free = networks.DnCNN(1, 16, 5, dimension=2, generator=generator)
    layers, sizes = [], (1, 8, 8, 1)
    for before, after in zip(sizes, sizes[1:]):
        layers += [networks.NormalizedConvolution(before, after, 3, networks.Reflecting(),
                                                  dimension=2, generator=generator),
                   networks.GroupSort()]  # fmt: skip
    firm = networks.Averaged(nn.Sequential(*layers[:-1]))
    return {"free": (free, 3e-3, 100), "certified": (firm, 3e-2, 300)}


def compute(size, rng):
    """Return images, energies and qualities of the iterates of both denoisers."""
    n, maxiter = SIZES[size].values()
    space = odl.uniform_discr([0, 0], [n, n], (n, n), dtype="float32")
    generator = torch.Generator().manual_seed(0)
    clean = [torch.from_numpy(data.random_body(space, rng).asarray()) for _ in range(32)]
    pairs = [(x + NOISE_LEVEL * torch.randn(x.shape, generator=generator), x) for x in clean]
    truth = data.random_body(space, rng)
    A = operators.ReflectingConvolution(space, operators.gaussian_kernel(space, BLUR))
    y = data.add_white_noise(A(truth), NOISE, rng)
    E = functionals.LeastSquares(A, y)
    delta = NOISE**2 / 2 * n * n * float(space.cell_volume)
    results = {"truth": truth.asarray(), "data": y.asarray(), "delta": delta,
               "before": metrics.psnr(y, truth), "runs": {}}  # fmt: skip
    for name, (net, rate, steps) in networks_of(generator).items():
        denoiser = networks.OnImages(net, dimension=2)
        learning.train(denoiser, pairs, steps=steps, batch_size=8, seed=0, progress=False,
                       optimizer=torch.optim.Adam(denoiser.parameters(), rate))
        g = (bridge.ImplicitRegularizer(bridge.as_proximal(denoiser, space)) if name == "free"
             else plug_and_play.CertifiedDenoiser(denoiser, space, generator))  # fmt: skip
        results["runs"][name] = run(E, g, y, truth, delta, maxiter)
    return results


def run(E, g, start, truth, delta, maxiter):
    """Iterate to a residual, and again until the energy is below delta."""
    images = []
    ended = plug_and_play.proximal_gradient(E, g, start, ACCURACY, maxiter, tau=TAU,
                                            callback=lambda u: images.append(u.copy()))
    stopped = plug_and_play.proximal_gradient(E, g, start, None, maxiter, tau=TAU,
                                              until=plug_and_play.Below(E, delta))
    return {"ended": ended, "stopped": stopped, "last": images[-1].asarray(),
            "energy": np.array([E(u) for u in images]),
            "psnr": np.array([metrics.psnr(u, truth) for u in images])}


def draw(results, path):
    """Draw energies and qualities of both, and the images."""
    figure = Figure(figsize=(10.5, 6), layout="constrained")
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.2, 1)).ravel()
    energy, quality = top.subplots(1, 2)
    for name, color in (("free", "tab:red"), ("certified", "tab:blue")):
        found = results["runs"][name]
        count = range(1, 1 + len(found["psnr"]))
        energy.semilogy(count, found["energy"] / results["delta"], color=color, label=name)
        quality.plot(count, found["psnr"], color=color, label=name)
        if found["stopped"].reason == "below":
            k = found["stopped"].niter
            quality.plot(k, found["psnr"][k - 1], "o", color=color, label="E < delta")
    energy.axhline(1.0, color="black", linewidth=0.8, linestyle="--")
    energy.set(xlabel="iteration", title="energy E / delta")
    quality.axhline(results["before"], color="black", linewidth=0.8, linestyle="--", label="data")
    quality.set(xlabel="iteration", title="PSNR (dB)", ylim=(0, None))
    energy.legend()
    quality.legend()
    free, firm = results["runs"]["free"], results["runs"]["certified"]
    k = min(free["stopped"].niter, len(free["psnr"]))
    panels = {"truth": results["truth"], f"data, {results['before']:.1f} dB": results["data"],
              f"free, stopped at {k}: {free['psnr'][k - 1]:.1f} dB": free["stopped"].x.asarray(),
              f"free, at {len(free['psnr'])}: {free['psnr'][-1]:.1f} dB": free["last"],
              f"certified, at {len(firm['psnr'])}: {firm['psnr'][-1]:.1f} dB": firm["last"]}
    for axis, (title, image) in zip(bottom.subplots(1, 5), panels.items()):
        axis.imshow(data.to_rows(image), cmap="gray", vmin=0, vmax=1)
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
    figure.savefig(path, dpi=120)


def claim(results):
    """Assert what the figure claims."""
    free, firm = results["runs"]["free"], results["runs"]["certified"]
    assert free["stopped"].reason == "below", "the free iteration never explains the data"
    at = free["psnr"][free["stopped"].niter - 1]
    assert at > free["psnr"].max() - 0.5, "stopping at delta is not near the best iterate"
    assert at > free["psnr"][-1] + 3, "the free denoiser does not get worse"
    assert free["ended"].reason == "diverged" and np.isnan(free["ended"].x.asarray()).all()
    assert str(free["ended"].guarantee).startswith("no guarantee")
    assert isinstance(firm["ended"].guarantee, plug_and_play.Convergence)
    assert firm["ended"].reason == "accuracy", "the certified iteration does not converge"
    assert firm["psnr"][-1] > firm["psnr"].max() - 0.3 and firm["psnr"][-1] > results["before"]
    assert firm["stopped"].reason == "maxiter" and firm["energy"].min() > results["delta"]


def main(size, out):
    results = compute(size, np.random.default_rng(0))
    path = out / "plug_and_play.png"
    draw(results, path)
    free, firm = results["runs"]["free"], results["runs"]["certified"]
    print(f"data {results['before']:.1f} dB; free: {free['psnr'].max():.1f} at best, "
          f"{free['stopped'].reason} after {free['stopped'].niter}, {free['psnr'][-1]:.1f} at the "
          f"end; certified: {firm['ended'].reason} after {firm['ended'].niter}, "
          f"{firm['psnr'][-1]:.1f} dB, E / delta {firm['energy'][-1] / results['delta']:.2f} "
          f"-> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(arguments.size, arguments.out)
