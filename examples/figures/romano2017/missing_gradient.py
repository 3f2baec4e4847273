r"""The gradient that regularization by denoising has not, unless the network is symmetric.

Romano, Elad, Milanfar, The little engine that could (2017), take a denoiser N and

    R(x) = 1/2 <x, x - N(x)>,   with the gradient x - N(x)   if N' = N'^T and N'(x) x = N(x);

Reehorst, Schniter, Regularization by denoising: clarifications (2019), measure that trained
networks do neither. Two networks are trained on the same noisy phantoms: a DnCNN, and

    N(x) = x - W^T max(W x, 0),   N' = 1 - W^T diag(W x > 0) W,

which is symmetric and homogeneous. At a phantom, the difference quotient of R is compared with
<x - N(x), h> for directions h, and x - N(x) is integrated around squares, which is zero for every
gradient.

Claims: both networks remove noise; the DnCNN is refused as a functional, its quotients miss the
product by more than a tenth, and integrals around squares are not zero, a thousandth of those of
the absolute values; the symmetric one is a
functional, whose quotients agree to 1e-4 and whose integrals are a hundred times smaller.

    python examples/figures/romano2017/missing_gradient.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl
import torch
from matplotlib.figure import Figure
from torch import nn
from torch.nn.functional import conv2d, conv_transpose2d

from odl_learned import data, learning, networks, regularizers
from odl_learned.regularizers import certificates

SIZES = {"smoke": {"n": 24, "steps": (100, 100), "directions": 20},
         "paper": {"n": 64, "steps": (300, 300), "directions": 60}}  # fmt: skip
NOISE_LEVEL, STEP = 0.1, 1e-4


class Symmetric(nn.Module):
    """``N(x) = x - W^T max(W x, 0)`` of images ``(*batch, n, n)``."""

    def __init__(self, channels, generator):
        super().__init__()
        self.kernel = nn.Parameter(0.1 * torch.randn(channels, 1, 5, 5, generator=generator))

    def forward(self, x):
        """Denoised images."""
        z = x.reshape(-1, 1, *x.shape[-2:])
        rest = conv_transpose2d(conv2d(z, self.kernel, padding=2).relu(), self.kernel, padding=2)
        return (z - rest).reshape(x.shape)


def compute(size, rng):
    """Return what is measured of both networks, by name."""
    n, steps, directions = SIZES[size].values()
    space = odl.uniform_discr([0, 0], [n, n], (n, n))
    generator = torch.Generator().manual_seed(0)
    clean = [torch.from_numpy(data.random_body(space, rng).asarray()).float() for _ in range(32)]
    pairs = [(x + NOISE_LEVEL * torch.randn(x.shape, generator=generator), x) for x in clean]
    free = networks.OnImages(networks.DnCNN(1, 16, 5, dimension=2, generator=generator),
                             dimension=2)
    x = torch.from_numpy(data.random_body(space, rng).asarray())
    results = {}
    for name, net, rate, count in (("free", free, 3e-3, steps[0]),
                                   ("symmetric", Symmetric(16, generator), 1e-2, steps[1])):
        learning.train(net, pairs, steps=count, batch_size=8, seed=0, progress=False,
                       optimizer=torch.optim.Adam(net.parameters(), rate))
        with torch.no_grad():
            noisy, truth = (torch.stack(part) for part in zip(*pairs))
            left = float((net(noisy) - truth).square().mean()) / NOISE_LEVEL**2
        results[name] = {"left": left} | measured(net.double().eval(), space, x, directions)
    return results


def measured(net, space, x, count):
    """Asymmetry, the word on the functional, quotients and products, and integrals of squares."""
    generator = torch.Generator().manual_seed(1)
    verdict = certificates.certify_symmetric_jacobian(net, shape=x.shape, generator=generator)
    try:
        regularizers.red_functional(net, space, generator)
        refusal = ""
    except ValueError as error:
        refusal = str(error)
    smooth = torch.nn.AvgPool2d(5, 1, 2)

    def direction():
        h = smooth(torch.randn(1, *x.shape, dtype=x.dtype, generator=generator))[0]
        return h / h.norm()

    def value(u):
        return float(0.5 * (u * (u - net(u))).sum())

    def slope(u, h):
        return float(((u - net(u)) * h).sum())

    with torch.no_grad():
        hs = [direction() + 0.2 * x / x.norm() for _ in range(count)]
        quotients = [(value(x + STEP * h) - value(x - STEP * h)) / (2 * STEP) for h in hs]
        products = [slope(x, h) for h in hs]
        circles = [circulation(slope, x, direction(), direction()) for _ in range(count)]
        rest = x - net(x)
    u = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((0.5 * (u * (u - net(u))).sum()), u)
    return {"asymmetry": float(verdict.measured), "refusal": refusal,
            "quotients": np.array(quotients), "products": np.array(products),
            "circulation": np.array(circles), "rest": rest.numpy(), "gradient": gradient.numpy()}


def circulation(slope, x, h, k, side=1.0, points=64):
    """The integral around a square over that of its absolute values."""
    corners = [x, x + side * h, x + side * (h + k), x + side * k, x]
    terms = []
    for a, b in zip(corners, corners[1:]):
        for t in (np.arange(points) + 0.5) / points:
            terms.append(slope(a + t * (b - a), (b - a) / points))
    return abs(sum(terms)) / sum(abs(t) for t in terms)


def mismatch(found):
    """Distance of quotients and products, relative to the products."""
    return np.linalg.norm(found["quotients"] - found["products"]) / np.linalg.norm(
        found["products"])


def draw(results, path):
    """Draw quotients against products, and both candidates for a gradient."""
    figure = Figure(figsize=(9.5, 6), layout="constrained")
    axes = figure.subplots(2, 3, gridspec_kw={"width_ratios": (1.3, 1, 1)})
    for row, (name, found) in zip(axes, results.items()):
        ends = [min(found["products"].min(), found["quotients"].min()),
                max(found["products"].max(), found["quotients"].max())]
        row[0].plot(ends, ends, color="black", linewidth=0.8, linestyle="--")
        row[0].plot(found["products"], found["quotients"], ".", color="tab:red")
        row[0].set(xlabel="<x - N(x), h>", ylabel="quotient of R",
                   title=f"{name}: asymmetry {found['asymmetry']:.2g}")
        bound = np.abs(found["rest"]).max()
        for axis, title in ((row[1], "rest"), (row[2], "gradient")):
            axis.imshow(data.to_rows(found[title]), cmap="RdBu", vmin=-bound, vmax=bound)
            axis.set_title({"rest": "x - N(x)", "gradient": "gradient of R"}[title])
            axis.set_axis_off()
    figure.savefig(path, dpi=120)


def claim(results):
    """Assert what the figure claims."""
    free, symmetric = results["free"], results["symmetric"]
    assert free["left"] < 0.8 and symmetric["left"] < 0.8, "a network does not denoise"
    assert free["asymmetry"] > 0.1 and "not the gradient" in free["refusal"]
    assert mismatch(free) > 0.1, "the free network has the gradient"
    assert np.median(free["circulation"]) > 1e-3
    assert symmetric["asymmetry"] < 1e-6 and not symmetric["refusal"]
    assert mismatch(symmetric) < 1e-4, "the symmetric network has not"
    assert symmetric["circulation"].max() < 1e-5


def main(size, out):
    results = compute(size, np.random.default_rng(0))
    path = out / "missing_gradient.png"
    draw(results, path)
    print("; ".join(
        f"{name}: noise left {found['left']:.2f}, asymmetry {found['asymmetry']:.2g}, quotients "
        f"off by {mismatch(found):.2g}, circulation {np.median(found['circulation']):.2g}, "
        f"{'refused' if found['refusal'] else 'a functional'}"
        for name, found in results.items()), f"-> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(arguments.size, arguments.out)
