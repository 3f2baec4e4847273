r"""Worst perturbations of the data, of learned maps and of total variation, on the same slices.

V. Antun, F. Renna, C. Poon, B. Adcock and A. C. Hansen, On instabilities of deep learning in image
reconstruction and the potential costs of AI, PNAS 117 (2020): for every map the perturbation of
the data, found by projected gradient ascent in the ball ``|e|_Y <= eps`` of the weighted norm, its
reconstruction of ``y + e``, and that of total variation on the same data; and how much of a disc
and of a letter comes back that training never showed. ``eps`` is the norm of the noise.

Here TV has a worst perturbation of its own: `tv_map` solves every problem to a duality gap and
ascends along ``A (A* A + alpha H)^-1 r``, the implicit derivative of the solution. Learned maps are
trained on phantoms of bodies; there is a simulated slice of the same kind, and a real one.

Claims, for CT and MR, simulated and real: every change is found again by applying the map to the
perturbed data, and no perturbation is longer than eps; backprojection and zero filling, which are
linear, move by their norm times eps; solutions of TV five times as accurate move as far, up to
10 %; its own perturbation moves TV further than random ones and, up to 5 %, further than those of
the other maps do.

    python examples/figures/antun2020/worst_perturbations.py [smoke | paper] [--out results]
        [--data FOLDER]   further slices: a folder of DICOM files, CT or MR
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import torch

from odl_learned import bridge, data, demo, learning, metrics, networks, operators, plotting
from odl_learned.functionals import BoxConstraint, MagnitudeBound
from odl_learned.reconstruction import (
    DeepEquilibrium,
    GradientStep,
    LearnedPrimalDual,
    LearnedProximalGradient,
    LearnedStepSize,
    Postprocessing,
    StateStep,
    small_disc,
    small_letter,
    stability_report,
    tv_map,
)
from odl_learned.reconstruction.trust.tried_maps import Spaces, norm

SIZES = {
    "smoke": {"n": 16, "pairs": 10, "steps": 4, "ascent": 3, "starts": 1, "gap": 3e-2,
              "maxiter": 30, "cases": ("CT, simulated", "MR, real")},
    "paper": {"n": 64, "pairs": 100, "steps": 150, "ascent": 8, "starts": 2, "gap": 3e-3,
              "maxiter": 100, "cases": ("CT, simulated", "CT, real", "MR, simulated", "MR, real")},
}
WIDTH, MEMORY, ITERATIONS = 16, 4, 5
KINDS = {"CT": "filtered backprojection", "MR": "zero filling"}


def train(model, pairs, steps, rate=2e-3):
    """Adam with a cosine schedule, two pairs a step."""
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    learning.train(model, pairs, steps=steps, optimizer=optimizer, schedule=schedule, batch_size=2,
                   clip_norm=1.0, progress=False)  # fmt: skip
    return model.eval()


def maps_of(scene, pairs, size):
    """Return the maps by name, the learned ones trained."""
    A, steps = scene.forward_op, SIZES[size]["steps"]
    forward, inverse = bridge.as_module(A), bridge.as_module(scene.inverse_op)
    generator = torch.Generator().manual_seed(0)
    c = 2 if A.domain.is_complex else 1
    unet = networks.UNet(c, c, (WIDTH, 2 * WIDTH), dimension=2, generator=generator)

    def state_steps(inputs):
        return [StateStep(networks.CNN(c * (MEMORY + inputs), c * MEMORY, WIDTH, 3,
                                       generator=generator), dimension=2)
                for _ in range(ITERATIONS)]  # fmt: skip

    primal_dual = LearnedPrimalDual(
        forward, inverse, state_steps(2), state_steps(1), dual_memory=MEMORY, primal_memory=MEMORY,
        dimension=2, initial=inverse)  # fmt: skip
    adjoint = bridge.as_module(A.adjoint)
    step = GradientStep(networks.OnImages(networks.ResidualCNN(c, c, WIDTH, 3, generator=generator),
                                          dimension=2),
                        LearnedStepSize(1 / operators.operator_norm(A) ** 2))  # fmt: skip
    train(LearnedProximalGradient(forward, adjoint, [step] * 6, initial=inverse), pairs, steps)
    limit = DeepEquilibrium(
        forward, adjoint, step, dimension=2, initial=inverse, accuracy=1e-3, backward_accuracy=1e-2,
        maxiter=SIZES[size]["maxiter"])  # fmt: skip
    return {
        scene.analytical: scene.inverse_op,
        "TV": tv_of(scene, SIZES[size]["gap"]),
        "U-Net behind it": train(Postprocessing(inverse, networks.OnImages(
            networks.Residual(unet), dimension=2)), pairs, steps),
        "learned primal-dual": train(primal_dual, pairs, steps),
        "deep equilibrium": train(limit, pairs, max(2, steps // 10), 2e-4),
    }  # fmt: skip


def tv_of(scene, gap):
    """Total variation in bounds that are not attained."""
    space = scene.forward_op.domain
    bounds = MagnitudeBound(space, 4) if space.is_complex else BoxConstraint(space, -2, 4)
    return tv_map(scene.forward_op, scene.alphas["TV"], bounds, accuracy=gap, maxiter=4000)


def measurement(scene, truth, rng):
    """Data of an image on the grid of the reconstruction, with the noise of the scene."""
    exact = scene.forward_op(truth)
    if truth.space.is_complex:
        noisy = data.add_white_noise(exact, demo.scenes.MR_NOISE_LEVEL, rng)
        return scene.forward_op.range.element(scene.forward_op.weights * noisy.data)
    photons = demo.scenes.PHOTONS
    return data.log_linearize(data.transmission_counts(exact, photons, rng), photons)


def phantom(space, rng):
    """A body, with a smooth phase in a complex space."""
    body = data.random_body(space, rng)
    return space.element(body.data * data.smooth_phase(space, rng).data) if space.is_complex else (
        2.4 * body)  # fmt: skip


def examine(scene, maps, truth, y, size):
    """Return the report of one slice, images, TV on all perturbed data, and what is certified."""
    A, settings = scene.forward_op, SIZES[size]
    spaces, image_space = Spaces(A), A.domain
    low, high = (np.asarray(image_space.partition.extent) * t + image_space.min_pt
                 for t in (0.42, 0.6))  # fmt: skip
    extent = float(min(image_space.partition.extent))
    contrast = 0.3 * float(np.abs(truth.data).max())
    structures = {"disc": small_disc(image_space, low, 0.06 * extent, contrast),
                  "letter": small_letter(image_space, high, 0.35 * extent, contrast)}  # fmt: skip
    epsilon = float((y - A(truth)).norm())
    report = stability_report(
        maps, A, [truth], [y], epsilon=epsilon, structures=structures,
        generator=torch.Generator().manual_seed(0), steps=settings["ascent"],
        starts=settings["starts"])  # fmt: skip
    data_tensor = spaces.data.to_tensor(y)[None]
    tv, exact = maps["TV"], tv_of(scene, settings["gap"] / 5)
    again, lengths, everything = {}, {}, []
    with torch.no_grad():
        for name, row in report.rows.items():
            map = maps[name] if isinstance(maps[name], torch.nn.Module) else (
                bridge.as_module(maps[name]))  # fmt: skip
            perturbed = data_tensor + row.perturbation
            change = norm(spaces.images, map(perturbed) - map(data_tensor))
            again[name] = float(change / row.worst_change)
            lengths[name] = float(norm(spaces.data, row.perturbation)) / epsilon
            everything.append(perturbed)
        others = dict(zip(report.rows, tv(torch.cat(everything))[:, None]))
        ends = exact(torch.cat([data_tensor, data_tensor + report.rows["TV"].perturbation]))
        accurate = float(norm(spaces.images, ends[1] - ends[0]))
    before = report.rows["TV"].before
    size_of = float(norm(spaces.images, spaces.images.to_tensor(truth)[None]))
    return {
        "report": report, "again": again, "lengths": lengths, "accurate": accurate,
        "size": size_of, "tv": {name: float(norm(spaces.images, x - before))
                                for name, x in others.items()},
        "images": {name: x[0].numpy() for name, x in others.items()}, "truth": truth.asarray(),
    }  # fmt: skip


def compute(size, rng, folder=None):
    """Return the reports by case.

    Parameters
    ----------
    size : key of ``SIZES``
    rng : numpy.random.Generator
    folder : pathlib.Path, optional
        Of DICOM files, one further case each.

    Returns
    -------
    results : dict
        By case, such as ``"CT, real"``: ``report``; ``truth``; ``images``, TV on the perturbed data
        of each map; ``tv``, how far it moved; ``size``, the norm of the truth; ``again`` and
        ``lengths``, the changes and norms found again, over those reported; ``accurate``, how far
        accurate solutions of TV move.
    """
    further = [] if folder is None else [data.read_dicom(p) for p in sorted(folder.glob("*.dcm"))]
    results = {}
    for kind, image in zip(KINDS, demo.example_images()):
        scene = demo.scene_of(image, SIZES[size]["n"], rng)
        space = scene.forward_op.domain
        pairs = data.FixedPairs.drawn(data.SimulatedPairs(
            lambda rng: phantom(space, rng), lambda x, rng: measurement(scene, x, rng),
            SIZES[size]["pairs"], seed=int(rng.integers(2**31))))  # fmt: skip
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="the (equilibrium|derivative)")
            maps = maps_of(scene, pairs, size)
            truth = phantom(space, rng)
            slices = {f"{kind}, simulated": (truth, measurement(scene, truth, rng)),
                      f"{kind}, real": (scene.truth, scene.data)}
            for i, other in enumerate(o for o in further if o.modality == kind):
                other = demo.scene_of(other, SIZES[size]["n"], rng).truth
                truth = space.element(other.data)  # in the scanner that the maps know
                slices[f"{kind}, further {i}"] = truth, measurement(scene, truth, rng)
            for case, pair in slices.items():
                if case in SIZES[size]["cases"] or "further" in case:
                    results[case] = examine(scene, maps, *pair, size)
    return results


def columns(case, name):
    """The numbers of one map: in per cent of the norm of the truth."""
    row, percent = case["report"].rows[name], 100 / case["size"]
    return {
        "error": f"{100 * float(row.relative_error):.1f} %",
        "random e": f"{percent * float(row.random_change):.1f} %",
        "worst e": f"{percent * float(row.worst_change):.1f} %",
        "TV, same e": f"{percent * case['tv'][name]:.1f} %",
        **{mark: f"{100 * float(share):.0f} %" for mark, share in row.recovered.items()},
    }  # fmt: skip


def draw(results, out):
    """Draw a figure for each case; return the paths."""
    paths = []
    for title, case in results.items():
        rows = case["report"].rows
        path = out / f"worst_perturbations_{title.replace(', ', '_').replace(' ', '_')}.png".lower()
        truth = np.abs(case["truth"])
        plotting.perturbations(
            {name: row.before[0] for name, row in rows.items()},
            {name: row.after[0] for name, row in rows.items()}, path, truth=case["truth"],
            added={name: row.perturbation[0] for name, row in rows.items()},
            reference=case["images"], window=(0.0, float(np.quantile(truth, 0.995))),
            captions={name: f"{metrics.psnr(np.abs(row.before[0].numpy()), truth):.1f} dB"
                      for name, row in rows.items()},
            table={name: columns(case, name) for name in rows},
            title=f"{title}: worst perturbations of "
            f"{100 * case['report'].relative_epsilon:.2g} % of the data")  # fmt: skip
        paths.append(path)
    return paths


def claim(results):
    """Assert the claims of the figures."""
    for title, case in results.items():
        rows, epsilon = case["report"].rows, case["report"].epsilon
        assert all(abs(a - 1) < 1e-3 for a in case["again"].values()), f"{title}: not found again"
        assert all(length <= 1 for length in case["lengths"].values()), f"{title}: too long"
        linear = rows[next(name for name in rows if name in KINDS.values())]
        share = float(linear.worst_change) / (epsilon * float(linear.lipschitz))
        assert 0.9 <= share <= 1.1, f"{title}: a linear map does not move by its norm"
        tv = float(rows["TV"].worst_change)
        assert abs(case["accurate"] / tv - 1) <= 0.1, f"{title}: TV is not solved"
        assert tv >= float(rows["TV"].random_change), f"{title}: random ones are worse"
        assert tv >= 0.95 * max(case["tv"].values()), f"{title}: TV has a worse perturbation"


def main(size, out, folder=None):
    """Compute, draw, print one line, and assert the claims."""
    results = compute(size, np.random.default_rng(0), folder)
    paths = draw(results, out)
    numbers = "; ".join(
        f"{title}: " + ", ".join(f"{name} {columns(case, name)['worst e']}"
                                 for name in case["report"].rows)
        for title, case in results.items())  # fmt: skip
    print(f"worst change of the image: {numbers} -> {', '.join(map(str, paths))}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(arguments.size, arguments.out, arguments.data)
