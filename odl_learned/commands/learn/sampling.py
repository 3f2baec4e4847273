r"""``learn sampling``: which lines of k-space to measure for images like those of a folder.

Weights of lines are learned by `graduated_sampling`: from one half, first without the concave part
of the penalty, then with it; those in the center are one all the time. Lines with a weight are the
pattern, or the heaviest of them, up to a fraction. The pattern has a certificate of its own: the
mean squared error of reconstructions from its lines, with a bound.
"""

import dataclasses
import json
import math
import sys

from odl_learned.commands.learn import images as folders
from odl_learned.commands.learn import results

#: A checkpoint for each of both problems of `graduated_sampling`.
STAGES = ("sampling_weights.pt", "sampling_decided.pt")


def run(arguments):
    """Write the pattern and two pictures; the status is 1 if there is no certificate."""
    import matplotlib.image
    import numpy as np

    from odl_learned import data, metrics, plotting
    from odl_learned.learning.bilevel import sampling

    require_options(arguments)
    checkpoints = [arguments.out / name for name in STAGES]
    folders.require_free(checkpoints, arguments.resume)
    rng = np.random.default_rng(arguments.seed)
    pictures = pictures_of(arguments)
    names = list(pictures)
    train, test = folders.split(names)
    truth, scans = sampling.simulated_scans(list(pictures.values()), arguments.noise_level, rng)
    rows, last = [names.index(name) for name in train], slice(len(names) - 1, len(names))
    shape = tuple(truth.shape[1:])
    center = center_of(arguments, shape[1])
    alpha = first_guess(shape, arguments.noise_level) if arguments.alpha is None else (
        arguments.alpha)  # fmt: skip
    arguments.out.mkdir(parents=True, exist_ok=True)
    pattern, reason = learned_weights(truth[rows], scans[rows], alpha, center, arguments,
                                      checkpoints)  # fmt: skip
    mask = (pattern.mask() if arguments.fraction is None else
            pattern.mask_of_fraction(arguments.fraction))  # fmt: skip
    rate = float(mask.mean())
    if not rate:
        raise ValueError(f"no line is worth its price; --price is {arguments.price:g} and "
                         f"--fraction {arguments.fraction}; expected a smaller price, or a "
                         "fraction of at least one line.")
    value, bound, _ = error_of_mask(truth[rows], scans[rows], mask, alpha)
    random = data.cartesian_mask(shape, rate, max(arguments.center, 1) / shape[1], rng, 1)
    found = {name: np.abs(error_of_mask(truth[last], scans[last], each, alpha)[2])
             for name, each in (("lines at random", random), ("learned lines", mask))}  # fmt: skip
    target = np.abs(truth[-1].numpy())
    psnr = {name: metrics.psnr(x, target) for name, x in found.items()}

    path, picture = arguments.out / "sampling.json", arguments.out / "sampling.png"
    lines_picture = arguments.out / "sampling_lines.png"
    lines = np.flatnonzero(mask[0]).tolist()
    entries = {
        "columns": shape[1], "lines": lines, "sampling_rate": rate,
        "weights": pattern.params.tolist(), "noise_level": arguments.noise_level, "alpha": alpha,
        "price": arguments.price, "training_error": value, "bound": results.finite(bound),
        "reason": reason, "images": train, "test": test, "test_psnr": psnr["learned lines"],
        "test_psnr_random": psnr["lines at random"], "seed": arguments.seed,
    }  # fmt: skip
    results.write(path, "sampling", entries)
    plotting.comparison({name: data.from_rows(x) for name, x in found.items()},
                        data.from_rows(target), picture,
                        title=f"{test}, {rate:.0%} of the lines; {folders.told_of(test, train)}",
                        captions={name: f"PSNR {each:.1f} dB" for name, each in psnr.items()})
    matplotlib.image.imsave(lines_picture, mask.astype(float), cmap="gray", vmin=0, vmax=1)
    certified = results.is_certified(reason, value, bound)
    for each in checkpoints if certified else ():
        each.unlink(missing_ok=True)
    if arguments.json:
        print(json.dumps({"json": str(path), "png": [str(picture), str(lines_picture)], **entries}))
    else:
        ended = "" if certified else f", not as asked ({reason})"
        print(f"{len(lines)} of {shape[1]} lines, {results.certificate(value, bound)} on "
              f"{len(train)} images{ended}; {test}: {psnr['learned lines']:.1f} dB, from as many "
              f"lines at random {psnr['lines at random']:.1f} dB -> {path}, {picture}, "
              f"{lines_picture}")
        print(f"import json, numpy as np; found = json.load(open({str(path)!r}))\n"
              "mask = np.isin(np.arange(found[\"columns\"]), found[\"lines\"])  # of the columns")
        print(f"or: odl-learned reconstruct FILE --operator fastmri --pattern {path}")
    return 0 if certified else 1


def require_options(arguments):
    """Raise ValueError or TypeError that names the first option that is out of range."""
    from odl_learned.validation import require_count, require_positive

    require_count("--maxiter", arguments.maxiter)
    require_count("--seed", arguments.seed, 0)
    for name in ("noise_level", "price", "alpha", "fraction"):
        if getattr(arguments, name) is not None:
            require_positive("--" + name.replace("_", "-"), getattr(arguments, name))
    if arguments.fraction is not None and arguments.fraction > 1:
        raise ValueError(f"--fraction is {arguments.fraction:g}; expected a share of at most 1.")
    for count in arguments.pixels or ():
        require_count("--pixels", count)


def pictures_of(arguments):
    """Arrays of rows and columns with the largest value one, by names, all of one size."""
    from odl_learned import data

    images = folders.read_folder(arguments.folder, arguments.count, arguments.key, arguments.index)
    arrays = folders.over_largest({name: image.array for name, image in images.items()})
    arrays = (folders.as_they_are(arrays) if arguments.pixels is None else
              folders.on_grid(arrays, arguments.pixels))  # fmt: skip
    return {name: data.to_rows(array) for name, array in arrays.items()}


def first_guess(shape, noise_level):
    """The parameter of total variation by the noise alone, for all frequencies."""
    import numpy as np
    import odl

    from odl_learned import operators
    from odl_learned.variational import parameter_choice

    X = odl.uniform_discr([0, 0], shape, shape, dtype="complex128")
    return parameter_choice.first_alpha(operators.SampledFourier(X, np.ones(shape)), noise_level)


def center_of(arguments, columns):
    """The lines around frequency zero that are always kept, bool ``(columns,)``."""
    import torch

    from odl_learned.validation import require_count

    require_count("--center", arguments.center, 0, columns)
    kept = columns if arguments.fraction is None else round(arguments.fraction * columns)
    if kept < arguments.center:
        raise ValueError(f"--fraction is {arguments.fraction:g}, {kept} of {columns} lines, and "
                         f"--center {arguments.center}; expected at least as many lines as in the "
                         "center.")
    first = columns // 2 - arguments.center // 2
    center = torch.zeros(columns, dtype=torch.bool)
    center[first:first + arguments.center] = True
    return center


def learned_weights(truth, scans, alpha, center, arguments, checkpoints):
    """The `LearnedPattern` of lines, and why learning ended; every step is kept and told."""
    import numpy as np

    from odl_learned.learning import bilevel
    from odl_learned.learning.bilevel import sampling

    shape, stages, ended = tuple(truth.shape[1:]), iter(checkpoints), []

    def told(row):
        share = np.mean(row["params"] > 0.01)
        print(f"{share:.0%} of the lines, objective {row['value']:.4g} +- {row['value_bound']:.1g},"
              f" {row['seconds']:.0f} s", file=sys.stderr, flush=True)

    def learn(problem, params):
        problem = dataclasses.replace(problem, lower=center.double())
        params = problem.clip(params)
        found = bilevel.first_order.lbfgsb(problem, params, ftol=1e-3, maxiter=arguments.maxiter,
                                           run=bilevel.Run(next(stages), told))  # fmt: skip
        ended.append(found.reason)
        return found

    try:
        pattern = sampling.graduated_sampling(
            truth, scans, sampling.lines(shape, axis=1), sampling.smoothed_variation(shape), alpha,
            arguments.price, learn)  # fmt: skip
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(results.interrupted(arguments.out)) from error
    return pattern, ended[-1]


def error_of_mask(truth, scans, mask, alpha):
    """The mean squared error of reconstructions from a mask, its bound, and the last of them."""
    import numpy as np
    import torch

    from odl_learned.learning.bilevel import lower, sampling

    tv = sampling.smoothed_variation(tuple(truth.shape[1:]))
    problem = sampling.alpha_problem(truth, scans, np.asarray(mask, dtype=float), tv)
    size = float(truth.flatten(1).norm(dim=1).max())
    found = lower.LowerLevel(problem).solve(torch.tensor([math.log(alpha)], dtype=torch.float64),
                                            1e-4 * size)
    bound = problem.loss.value_bound(found.x, torch.as_tensor(found.error_bound))
    return float(problem.loss.value(found.x).sum()), float(bound.sum()), found.x[-1].numpy()
