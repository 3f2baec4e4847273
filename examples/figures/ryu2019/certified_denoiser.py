r"""Plug and play diverges with a free network and converges with a certified one.

Ryu et al., Plug-and-play methods provably converge with properly trained denoisers (2019): ADMM
with a denoiser D converges if D is near enough to a contraction; Pesquet et al., Learning maximally
monotone operators for image recovery (2021): it does if ``2 D - 1`` is 1-Lipschitz. Both networks
here are trained on the same noisy phantoms: a DnCNN, and the average of the identity with
convolutions of norm one and sorted channels, which is certified. Then both denoise in

    u = D(x + w),   w <- w + x - u,   x = prox(u - w) of 1/2 |M x - y|^2,

for an image of which three fifths of the pixels are missing.

Claims: both remove noise; the free network diverges, what it ends with is no image, and the answer
says "no guarantee"; the certified one converges to the accuracy that was asked for, with steps
that never grow, and is at least 2 dB better than the data.

    python examples/figures/ryu2019/certified_denoiser.py [smoke | paper] [--out results]
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

SIZES = {"smoke": {"n": 32, "steps": (100, 300), "width": 4},
         "paper": {"n": 64, "steps": (100, 500), "width": 8}}  # fmt: skip
NOISE_LEVEL, KEPT, TAU, MAXITER, ACCURACY = 0.04, 0.4, 1.0, 500, 1e-4


def free_network(generator):
    """Return a DnCNN."""
    return networks.DnCNN(1, 16, 5, dimension=2, generator=generator)


def firm_network(width, generator):
    """Return a firmly nonexpansive network: the average of a 1-Lipschitz one and the identity."""
    layers, sizes = [], (1, width, width, 1)
    for before, after in zip(sizes, sizes[1:]):
        layers += [networks.NormalizedConvolution(before, after, 3, networks.Reflecting(),
                                                  dimension=2, generator=generator),
                   networks.GroupSort()]  # fmt: skip
    return networks.Averaged(nn.Sequential(*layers[:-1]))


def compute(size, rng):
    """Return images, step lengths, qualities and guarantees of both networks.

    Parameters
    ----------
    size : key of ``SIZES``
    rng : numpy.random.Generator
    """
    n, steps, width = SIZES[size].values()
    space = odl.uniform_discr([0, 0], [n, n], (n, n), dtype="float32")
    generator = torch.Generator().manual_seed(0)
    clean = [torch.from_numpy(data.random_body(space, rng).asarray()) for _ in range(32)]
    pairs = [(x + NOISE_LEVEL * torch.randn(x.shape, generator=generator), x) for x in clean]
    truth = data.random_body(space, rng)
    M = operators.mask_operator(space, rng.random((n, n)) < KEPT)
    f = functionals.LeastSquares(M, M(truth))
    start = M.adjoint(f.data)
    results = {"truth": truth.asarray(), "data": start.asarray(),
               "before": metrics.psnr(start, truth), "networks": {}}  # fmt: skip
    for name, net, rate, count in (("free", free_network(generator), 3e-3, steps[0]),
                                   ("certified", firm_network(width, generator), 3e-2, steps[1])):
        denoiser = networks.OnImages(net, dimension=2)
        optimizer = torch.optim.Adam(denoiser.parameters(), rate)
        learning.train(denoiser, pairs, steps=count, optimizer=optimizer, batch_size=8, seed=0,
                       progress=False)
        with torch.no_grad():
            noisy, x = (torch.stack(part) for part in zip(*pairs))
            left = float((denoiser(noisy) - x).square().mean()) / NOISE_LEVEL**2
        g = (bridge.ImplicitRegularizer(bridge.as_proximal(denoiser, space)) if name == "free"
             else plug_and_play.CertifiedDenoiser(denoiser, space, generator))  # fmt: skip
        results["networks"][name] = {"left": left} | solved(f, g, start, truth)
    return results


def solved(f, g, start, truth):
    """Run the method, and note the lengths of its steps and the quality of its images."""
    images = [start]
    answer = plug_and_play.admm(f, g, start, ACCURACY, MAXITER, tau=TAU,
                                callback=lambda u: images.append(u.copy()))
    lengths = [(b - a).norm() / truth.norm() for a, b in zip(images[1:], images[2:])]
    return {"answer": answer, "image": answer.x.asarray(), "last": images[-1].asarray(),
            "steps": np.array(lengths), "psnr": [metrics.psnr(u, truth) for u in images[1:]]}


def draw(results, path):
    """Draw step lengths and qualities of both, and the images."""
    figure = Figure(figsize=(9, 6.2), layout="constrained")
    axes = figure.subplots(2, 4, gridspec_kw={"height_ratios": (1.3, 1)})
    for axis in axes[0]:
        axis.remove()
    grid = axes[0, 0].get_gridspec()
    lengths, quality = figure.add_subplot(grid[0, :2]), figure.add_subplot(grid[0, 2:])
    for name, color in (("free", "tab:red"), ("certified", "tab:blue")):
        found = results["networks"][name]
        answer = found["answer"]
        label = f"{name}: {answer.reason} after {answer.niter}"
        lengths.semilogy(range(2, 2 + len(found["steps"])), found["steps"], color=color,
                         label=label)
        quality.plot(range(1, 1 + len(found["psnr"])), found["psnr"], color=color, label=name)
    lengths.set(xlabel="iteration", title="length of the steps, relative to the image")
    quality.set(xlabel="iteration", title="PSNR (dB)", ylim=(0, None))
    lengths.legend()
    quality.legend()
    free, firm = (results["networks"][name] for name in ("free", "certified"))
    panels = {"truth": results["truth"], f"data, {results['before']:.1f} dB": results["data"],
              "free, last iterate: withheld": free["last"],
              f"certified, {firm['psnr'][-1]:.1f} dB": firm["image"]}
    for axis, (title, image) in zip(axes[1], panels.items()):
        axis.imshow(data.to_rows(image), cmap="gray", vmin=0, vmax=1)
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
    figure.savefig(path, dpi=120)


def claim(results):
    """Assert what the figure claims."""
    free, firm = (results["networks"][name] for name in ("free", "certified"))
    assert free["left"] < 0.95 and firm["left"] < 0.95, "a network does not denoise"
    assert free["answer"].reason == "diverged" and np.isnan(free["image"]).all()
    assert str(free["answer"].guarantee).startswith("no guarantee")
    assert firm["answer"].reason == "accuracy", "the certified network does not converge"
    assert isinstance(firm["answer"].guarantee, plug_and_play.Convergence)
    assert free["steps"][-1] > 10 * firm["steps"][0] and firm["steps"][-1] < 1e-3
    assert firm["psnr"][-1] > results["before"] + 2


def main(size, out):
    results = compute(size, np.random.default_rng(0))
    path = out / "certified_denoiser.png"
    draw(results, path)
    free, firm = (results["networks"][name] for name in ("free", "certified"))
    print(f"noise left {free['left']:.2f} (free), {firm['left']:.2f} (certified); free "
          f"{free['answer'].reason} after {free['answer'].niter}, certified "
          f"{results['before']:.1f} -> {firm['psnr'][-1]:.1f} dB after {firm['answer'].niter} "
          f"-> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(arguments.size, arguments.out)
