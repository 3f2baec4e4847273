r"""``learn alpha``: the parameter of total variation that reconstructs images of one's own best.

.. math:: \min_\alpha \frac1n \sum_i |\hat x_i(\alpha) - x_i|^2, \qquad
          \hat x_i = \text{argmin}_x \tfrac12 |A x - y_i|^2
          + \alpha \int \sqrt{|\nabla x|^2 + \nu^2} + \tfrac{\xi}{2} |x|^2

Total variation is smoothed, with ``nu`` a hundredth of the range of the images over a pixel, since
derivatives and their bounds need it; ``xi`` is 1e-4 times the squared norm of ``A``, which makes
the energy strongly convex, and zero for denoising, which is anyway.
"""

import dataclasses
import json
import math
import sys

from odl_learned.commands.learn import images as folders
from odl_learned.commands.learn import results
from odl_learned.commands.learn.tasks import task_of

SMOOTHING, CONVEXITY = 1e-2, 1e-4
#: The parameter is sought within this factor of the first guess.
REACH = 1e4


def run(arguments):
    """Write the parameter and a picture; the status is 1 if there is no certificate."""
    import numpy as np
    import torch

    from odl_learned import data, metrics, plotting
    from odl_learned.validation import require_count
    from odl_learned.variational import parameter_choice

    require_count("--maxiter", arguments.maxiter)
    require_count("--seed", arguments.seed, 0)
    stem = arguments.out / f"alpha_{arguments.operator}"
    checkpoint, path, picture = (stem.with_suffix(end) for end in (".pt", ".json", ".png"))
    folders.require_free([checkpoint], arguments.resume)
    rng = np.random.default_rng(arguments.seed)
    task = task_of(arguments, rng)
    A = task.forward_op
    measured = {name: data.add_white_noise(A(x), task.noise_level, rng)
                for name, x in task.truth.items()}
    train, test = folders.split(task.truth)
    guess = parameter_choice.first_alpha(A, task.noise_level)
    arguments.out.mkdir(parents=True, exist_ok=True)
    learned = learned_energy(A, [task.truth[name] for name in train],
                             [measured[name] for name in train], math.log(guess),
                             arguments.maxiter, checkpoint)  # fmt: skip
    alpha, found = math.exp(learned.params[0]), learned.learned
    guessed = dataclasses.replace(learned, learned=found._replace(
        params=torch.tensor([math.log(guess)], dtype=torch.float64)))
    guessed_error, _ = learned.training_error(guessed.params)
    shown = {f"first guess, {guess:.3g}": guessed.reconstruct(measured[test]).x,
             f"learned, {alpha:.3g}": learned.reconstruct(measured[test]).x}
    psnr = {name: metrics.psnr(x, task.truth[test]) for name, x in shown.items()}

    entries = {
        "operator": arguments.operator, "method": "tv", "alpha": alpha,
        "domain": results.described(A.domain), "range": results.described(A.range),
        "rays": results.rays(A),
        "noise_level": task.noise_level, "training_error": found.value,
        "bound": results.finite(found.value_bound), "reason": found.reason,
        "first_guess": {"alpha": guess, "training_error": guessed_error},
        "images": train, "test": test, "test_psnr": list(psnr.values())[-1],
        "seed": arguments.seed,
    }  # fmt: skip
    results.write(path, "alpha", entries)
    plotting.comparison({name: task.picture(x) for name, x in shown.items()},
                        task.picture(task.truth[test]), picture,
                        title=f"{test}, {folders.told_of(test, train)}",
                        captions={name: f"PSNR {each:.1f} dB" for name, each in psnr.items()})
    certified = results.is_certified(found.reason, found.value, found.value_bound)
    if certified:
        checkpoint.unlink(missing_ok=True)
    if arguments.json:
        print(json.dumps({"json": str(path), "png": str(picture), **entries}))
    else:
        ended = "" if certified else f", not as asked ({found.reason})"
        print(f"alpha {alpha:.4g}, {results.certificate(found.value, found.value_bound)} on "
              f"{len(train)} images ({guessed_error:.4g} with the first guess, {guess:.4g})"
              f"{ended} -> {path}, {picture}")
        print(f"import json; alpha = json.load(open({str(path)!r}))[\"alpha\"]\n"
              "problem = variational.tv_problem(A, functionals.l2_fidelity(y), alpha)")
        if arguments.operator != "denoising":
            geometry = "" if arguments.operator == "fastmri" else "--geometry TOML "
            print(f"or: odl-learned reconstruct FILE --operator {arguments.operator} {geometry}"
                  f"--alpha-from {path}")
    return 0 if certified else 1


def learned_energy(forward_op, truth, measured, guess, maxiter, checkpoint):
    """The `LearnedEnergy` of pairs, from the logarithm of a guess; every step is kept and told."""
    import odl

    from odl_learned import operators
    from odl_learned.learning import bilevel

    identity = isinstance(forward_op, odl.IdentityOperator)
    xi = 0.0 if identity else CONVEXITY * operators.operator_norm(forward_op) ** 2

    def told(row):
        print(f"alpha {math.exp(row['params'][0]):.4g}, "
              f"{results.certificate(row['value'], row['value_bound'])}, "
              f"{row['seconds']:.0f} s", file=sys.stderr, flush=True)

    reach = math.log(REACH)
    try:
        return bilevel.learn(energy(forward_op, smoothing(truth), xi), truth, measured, [guess],
                             lower=guess - reach, upper=guess + reach, maxiter=maxiter,
                             run=bilevel.Run(checkpoint, told))  # fmt: skip
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(results.interrupted(checkpoint)) from error


def smoothing(truth, part=SMOOTHING):
    """``nu``: a part of the range of magnitudes over the side of a pixel."""
    import numpy as np

    reach = max(float(np.ptp(np.abs(x.asarray()))) for x in truth)
    if not reach > 0:
        raise ValueError("all images are constant; expected pictures of something.")
    return part * reach / float(min(truth[0].space.cell_sides))


def energy(forward_op, nu, xi):
    """``E`` on images, the logarithm of alpha and data."""
    import odl

    from odl_learned import functionals, operators

    X, square = forward_op.domain, odl.functionals.L2NormSquared
    u, (alpha,), y = functionals.arguments(X, 1, forward_op.range)
    E = (0.5 * square(forward_op.range) @ (forward_op @ u - y)
         + functionals.smoothed_length(operators.gradient(X) @ u, alpha, nu))  # fmt: skip
    return E + 0.5 * xi * square(X) @ u if xi > 0 else E
