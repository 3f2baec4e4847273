r"""Anchor: learned maps on two published protocols of random ellipses, trained on one GPU.

``shepp_logan``: J. Adler and O. Oktem, Learned primal-dual reconstruction (2018): images of 128 x
128 pixels, 30 parallel beams of 183 bins, noise of 5 % of the mean data, trained on random
ellipses, PSNR on the Shepp-Logan phantom; published 38.28 dB for the learned primal-dual method.
``dival``: D. O. Baguer, J. Leuschner and M. Schmidt (2020): ellipses of another kind, enlarged to
400 x 400 before they are projected, noise of 2.5 %, mean PSNR with the range of each image over 100
images. Both as in `shepp_logan_ellipses.py` and `dival_ellipses.py`, where the classical methods
are. Ten iterations, five memories, networks of three layers and 32 channels; Adam with beta_2 =
0.99, a cosine from 1e-3 to zero, gradients clipped to norm 1, as in the first paper; but from
filtered backprojection, and with it in the place of the adjoint, which training is shorter with.

Images are drawn and projected on the device, all rays as one sparse matrix. A training is measured
first: it takes as many steps as fit into ``--minutes``, and continues in ``--run`` if stopped.

Claims: primal-dual 37.5 dB on Shepp-Logan; on dival primal-dual 32.1, U-Net 29.2, learned gradient
30.1 dB; at smoke size a training that stops and continues ends at the same bits, and training
lowers the error on images that it has not seen.

    python examples/figures/anchors/learned_ellipses.py paper --device cuda --minutes 11 \
        --protocol dival --maps "primal-dual" [--run FOLDER] [--out results]
"""

import argparse
import copy
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import odl
import torch
from matplotlib.figure import Figure
from odl.applications.tomo import RayTransform, parallel_beam_geometry

from odl_learned import bridge, data, learning, metrics, networks, operators
from odl_learned.reconstruction import (
    LearnedPrimalDual,
    LearnedProximalGradient,
    MemoryStep,
    Postprocessing,
    StateStep,
)

SIZES = {
    "smoke": {"n": 24, "views": 8, "train": 40, "tests": 4, "iterations": 2, "memory": 2,
              "width": 6, "scales": (4, 8), "steps": 12, "chunk": 16},
    "paper": {"n": 128, "views": 30, "train": 32000, "tests": 100, "iterations": 10, "memory": 5,
              "width": 32, "scales": (32, 32, 64, 64, 128), "steps": None, "chunk": 200},
}  # fmt: skip
PROTOCOLS = {"shepp_logan": 0.05, "dival": 0.025}  # noise over the mean of the data
MARKS = {("shepp_logan", "primal-dual"): 37.5, ("dival", "primal-dual"): 32.1,
         ("dival", "U-Net"): 29.2, ("dival", "learned gradient"): 30.1}  # fmt: skip
BATCH, RATE = 5, 1e-3


def ellipses(protocol, number, rng):
    """Parameters ``(number, 70, 6)``: value, semi-axes, center, angle; unused values are zero."""
    shape = (number, 70)
    if protocol == "dival":
        count = np.minimum(np.maximum(rng.poisson(40, number), 1), 70)
        value, center = rng.uniform(-0.4, 1, shape), rng.uniform(-0.9, 0.9, (*shape, 2))
    else:
        count = np.minimum(rng.poisson(50, number), 70)  # more than 70 once in 400 images
        value = (rng.random(shape) - 0.5) * rng.exponential(0.4, shape)
        center = rng.uniform(-1, 1, (*shape, 2))
    value = np.where(np.arange(70) < count[:, None], value, 0.0)
    axes, angle = 0.2 * rng.exponential(1, (*shape, 2)), rng.uniform(0, 2 * np.pi, shape)
    return np.concatenate([value[..., None], axes, center, angle[..., None]], -1).astype("float32")


def drawn(parameters, n, scaled):
    """Sums of ellipses as images ``(N, n, n)`` on the device; as dival scales them, if so asked."""
    x = torch.linspace(-1, 1, n, device=parameters.device)
    image = parameters.new_zeros(len(parameters), n, n)
    for ellipse in parameters.unbind(1):
        value, a, b, p, q, angle = ellipse.unbind(-1)
        u, v = x[:, None] - p[:, None, None], x - q[:, None, None]
        c, s = angle.cos()[:, None, None], angle.sin()[:, None, None]
        inside = ((c * u + s * v) / a[:, None, None]) ** 2 + (
            (c * v - s * u) / b[:, None, None]) ** 2 <= 1  # fmt: skip
        image += value[:, None, None] * inside
    if not scaled:
        return image
    image = torch.where(image != 0, image - image.amin((1, 2), keepdim=True), image)
    largest = image.amax((1, 2), keepdim=True)
    return image / torch.where(largest > 0, largest, 1.0)


class Scanner:
    """The operators of a protocol, and the simulation of its data on a device."""

    def __init__(self, protocol, n, views, device):
        self.protocol, self.n, self.device = protocol, n, device
        m = 25 * n // 8 if protocol == "dival" else n
        space, fine = (odl.uniform_discr([-64, -64], [64, 64], (k, k), dtype="float32")
                       for k in (n, m))  # fmt: skip
        geometry = parallel_beam_geometry(space, views)
        ray = RayTransform(space, geometry, impl="astra_cpu")
        self.forward_op = operators.normalized(ray)
        self.scale = 1 / operators.operator_norm(ray)
        self.inverse_op = operators.fbp(self.forward_op, "Hann", 0.705)
        exact = RayTransform(fine, geometry, impl="astra_cpu")
        self.simulate = bridge.as_module(exact).to(device)
        self.enlarged = (m, m)
        matrices = {part.pair for module in (self.simulate, bridge.as_module(ray))
                    for part in module.modules() if hasattr(part, "pair")}  # fmt: skip
        self.bytes = sum(pair.nbytes for pair in matrices)

    def pairs(self, number, seed, chunk):
        """Data and images; the data are those of ``|A|^-1 A``, with white noise."""
        rng = np.random.default_rng(seed)
        generator = torch.Generator(self.device).manual_seed(seed)
        data_parts, images = [], []
        for start in range(0, number, chunk):
            parameters = ellipses(self.protocol, min(chunk, number - start), rng)
            x = drawn(torch.from_numpy(parameters).to(self.device), self.n,
                      self.protocol == "dival")  # fmt: skip
            data_parts.append(self.measured(x, generator).cpu())
            images.append(x.cpu())
        return data.FixedPairs(torch.cat(data_parts), torch.cat(images))

    def measured(self, x, generator):
        """Noisy data of images ``(N, n, n)``."""
        with torch.no_grad():
            up = x if self.enlarged == x.shape[1:] else torch.nn.functional.interpolate(
                x[:, None], size=self.enlarged, mode="bilinear")[:, 0]  # fmt: skip
            exact = self.scale * self.simulate(up)
            level = PROTOCOLS[self.protocol] * exact.abs().mean((1, 2), keepdim=True)
            return exact + level * torch.randn(exact.shape, device=x.device, generator=generator)


def model_of(name, scanner, settings):
    """A map, untrained, on the device."""
    forward, inverse = bridge.as_module(scanner.forward_op), bridge.as_module(scanner.inverse_op)
    iterations, memory, width = (settings[k] for k in ("iterations", "memory", "width"))
    generator = torch.Generator().manual_seed(0)

    def cnn(before, after):
        return networks.CNN(before, after, width, 3, generator=generator)

    if name == "U-Net":
        unet = networks.UNet(1, 1, settings["scales"], dimension=2, generator=generator)
        model = Postprocessing(inverse, networks.OnImages(networks.Residual(unet), dimension=2))
    elif name == "learned gradient":
        steps = [MemoryStep(cnn(2 + memory, 1 + memory), memory, 1.0, dimension=2)
                 for _ in range(iterations)]  # fmt: skip
        model = LearnedProximalGradient(forward, inverse, steps, initial=inverse)
    else:
        dual, primal = ([StateStep(cnn(memory + k, memory), dimension=2) for _ in range(iterations)]
                        for k in (2, 1))  # fmt: skip
        model = LearnedPrimalDual(forward, inverse, dual, primal, dual_memory=memory,
                                  primal_memory=memory, dimension=2, initial=inverse)  # fmt: skip
    return model.to(scanner.device)


MAPS = ("primal-dual", "U-Net", "learned gradient")


def trained(model, pairs, steps, until=None, checkpoint=None):
    """Train for so many steps, or until one of them; the schedule is that of all."""
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    learning.train(model, pairs, steps=until or steps, optimizer=optimizer, schedule=schedule,
                   batch_size=BATCH, clip_norm=1.0, progress=False, checkpoint=checkpoint,
                   checkpoint_every=1000)  # fmt: skip
    return model


def seconds_of_a_step(model, pairs, count=20):
    """Measured on a copy, after one of warming up."""
    trial = copy.deepcopy(model)
    trained(trial, pairs, 2)
    begin = time.perf_counter()
    trained(trial, pairs, count)  # ends with a number on the host, so that the device is done
    return (time.perf_counter() - begin) / count


def number_of_steps(model, pairs, minutes, run, name):
    """As many as fit, or those that were found when the training began."""
    note = run / f"{name}.json"
    if not note.exists():
        steps = max(2, int(60 * minutes / seconds_of_a_step(model, pairs)))
        note.write_text(json.dumps({"steps": steps}))
    return json.loads(note.read_text())["steps"]


def applied(model, scanner, tests):
    """The images of a set, ten at a time."""
    with torch.no_grad():
        return torch.cat([model(torch.from_numpy(tests.data[i : i + 10]).to(scanner.device)).cpu()
                          for i in range(0, len(tests), 10)])  # fmt: skip


def evaluated(model, scanner, tests):
    """Mean PSNR and the first pair of images: of the Shepp-Logan phantom, whose range is one, or of
    the tests."""
    spread = None
    if scanner.protocol == "shepp_logan":
        spread, truth = 1.0, odl.phantom.shepp_logan(scanner.forward_op.domain, modified=True).data
        x = torch.from_numpy(np.array(truth))[None].to(scanner.device)
        y = scanner.measured(x, torch.Generator(scanner.device).manual_seed(0)).cpu().numpy()
        tests = data.FixedPairs(y, x.cpu().numpy())
    x = applied(model, scanner, tests)
    quality = [metrics.psnr(image, truth, spread) for image, truth in zip(x, tests.truth)]
    return float(np.mean(quality)), x[0].numpy(), tests.truth[0]


def error(model, scanner, tests):
    """Mean squared error of other ellipses."""
    return float((applied(model, scanner, tests) - torch.from_numpy(tests.truth)).square().mean())


def compute(size, rng, protocols=tuple(PROTOCOLS), maps=MAPS, device="cpu", minutes=0.0, run=None):
    """Return qualities and images.

    Parameters
    ----------
    size : key of ``SIZES``
    rng : numpy.random.Generator
    protocols, maps : sequences of names
    device : str
    minutes : float
        Of training for each map, at paper size.
    run : pathlib.Path, optional
        Folder of training states; needed at paper size.

    Returns
    -------
    results : dict
        ``size``; ``psnr`` and ``shown`` by protocol and map; ``steps``; ``megabytes`` of the
        matrices of a protocol; at smoke size ``same``, whether a training that was interrupted
        ended at the same bits; and ``gain``, the mean squared error of other ellipses without
        training over that with it.
    """
    settings = SIZES[size]
    results = {"size": size, "psnr": {}, "shown": {}, "steps": {}, "megabytes": {}, "same": [],
               "gain": {}}  # fmt: skip
    for protocol in protocols:
        scanner = Scanner(protocol, settings["n"], settings["views"], torch.device(device))
        seeds = rng.integers(2**31, size=2).tolist()
        pairs, tests = (scanner.pairs(settings[part], seed, settings["chunk"])
                        for part, seed in zip(("train", "tests"), seeds))  # fmt: skip
        results["megabytes"][protocol] = round(scanner.bytes / 1e6)
        inverse = bridge.as_module(scanner.inverse_op).to(scanner.device)
        key = protocol, "filtered backprojection"
        results["psnr"][key], results["shown"][key], truth = evaluated(inverse, scanner, tests)
        results["shown"][protocol, "truth"] = truth
        for name in maps:
            key = protocol, name
            model = model_of(name, scanner, settings)
            before = error(model, scanner, tests)
            if size == "smoke":
                steps = settings["steps"]
                with tempfile.TemporaryDirectory() as folder:
                    file = Path(folder) / "state.pt"
                    stopped = copy.deepcopy(model)
                    trained(stopped, pairs, steps, steps // 2, file)
                    stopped = trained(copy.deepcopy(model), pairs, steps, checkpoint=file)
                trained(model, pairs, steps)
                results["same"].append(all(torch.equal(p, q) for p, q in zip(
                    model.parameters(), stopped.parameters())))
            else:
                label = f"{protocol}_{name.replace(' ', '_')}"
                steps = number_of_steps(model, pairs, minutes, run, label)
                trained(model, pairs, steps, checkpoint=run / f"{label}.pt")
            results["steps"][key] = steps
            results["gain"][key] = before / error(model.eval(), scanner, tests)
            results["psnr"][key], results["shown"][key], _ = evaluated(model, scanner, tests)
    return results


def draw(results, path):
    """Draw an image of each map and protocol."""
    protocols = list(dict.fromkeys(protocol for protocol, _ in results["shown"]))
    names = list(dict.fromkeys(name for _, name in results["shown"]))
    names.insert(0, names.pop(names.index("truth")))
    figure = Figure(figsize=(2.3 * len(names), 2.7 * len(protocols)), layout="compressed")
    axes = figure.subplots(len(protocols), len(names), squeeze=False)
    for row, protocol in zip(axes, protocols):
        window = (0.1, 0.4) if protocol == "shepp_logan" else (0, 1)
        for ax, name in zip(row, names):
            quality = results["psnr"].get((protocol, name))
            ax.imshow(data.to_rows(results["shown"][protocol, name]), cmap="gray", vmin=window[0],
                      vmax=window[1])  # fmt: skip
            said = protocol if quality is None else f"{quality:.2f} dB"
            ax.set(xticks=[], yticks=[])
            ax.set_title(f"{name}\n{said}", fontsize=9)
    figure.savefig(path, dpi=130)


def claim(results):
    """Assert the claims of the figure."""
    assert all(results["same"]), "a continued training ends elsewhere"
    for key, steps in results["steps"].items():
        assert results["gain"][key] > 1, f"{key} has learned nothing"
        if results["size"] == "paper" and key in MARKS:
            assert results["psnr"][key] >= MARKS[key], f"{key} is below {MARKS[key]} dB"


def main(size, out, **options):
    """Compute, draw, print one line, and assert the claims."""
    results = compute(size, np.random.default_rng(0), **options)
    path = out / "anchors_learned_ellipses.png"
    draw(results, path)
    numbers = ", ".join(f"{protocol} {name} {value:.2f} dB"
                        for (protocol, name), value in results["psnr"].items())
    print(f"{numbers}; steps {list(results['steps'].values())}; matrices of rays "
          f"{results['megabytes']} MB -> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--protocol", choices=PROTOCOLS, nargs="*", default=list(PROTOCOLS))
    parser.add_argument("--maps", choices=MAPS, nargs="*", default=list(MAPS))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--minutes", type=float, default=11.0, help="of training for each map")
    parser.add_argument("--run", type=Path, help="folder of training states; default: --out")
    arguments = parser.parse_args()
    run = arguments.run or arguments.out
    for folder in (run, arguments.out):
        folder.mkdir(parents=True, exist_ok=True)
    main(arguments.size, arguments.out, protocols=arguments.protocol, maps=arguments.maps,
         device=arguments.device, minutes=arguments.minutes, run=run)
