"""``odl-learned reconstruct FILE``: a certified picture from a measured sinogram or k-space."""

import contextlib
import json
import math
import sys
import warnings
from pathlib import Path

from odl_learned.commands import scan_files
from odl_learned.commands.learn import results

SUMMARY = "reconstruct a measured sinogram or k-space file, with a certificate"


def add(commands):
    """Add the parser."""
    keys = "; ".join(f"{key}: {meaning}" for key, meaning in scan_files.MEANING.items())
    parser = commands.add_parser("reconstruct", help=SUMMARY, description=SUMMARY + (
        ". A sinogram has a row for each view, and holds line integrals."),
        epilog=f"Keys of the geometry. {keys}.")  # fmt: skip
    parser.add_argument("file", metavar="FILE", type=Path, help=(
        "sinogram in .npy, .npz, .h5 or .tif, or k-space in .h5"))
    parser.add_argument("--operator", required=True, choices=tuple(scan_files.OPERATORS),
                        help="what was measured: parallel or fan beams, or the layout of fastMRI")
    parser.add_argument("--method", choices=tuple(METHODS), default="tv",
                        help="total variation, or total generalized variation [tv]")
    parser.add_argument("--geometry", metavar="TOML", help="file with the geometry")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings",
                        help="a key of the geometry, in TOML, such as pixel_mm=0.5")
    parser.add_argument("--key", help="name of the array in .npz and .h5 files")
    parser.add_argument("--index", type=int, help="number of the slice in a stack")
    parser.add_argument("--noise-level", type=float, metavar="SIGMA", help=(
        "standard deviation of the noise in the unit of the data [k-space: as measured]"))
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--alpha", type=float, help=(
        "regularization parameter, for k-space over the largest value of its root sum of squares "
        "[by --choose]"))
    how.add_argument("--choose", choices=tuple(RULES), default="discrepancy", help=(
        "the parameter by the noise level: a residual as large as the noise, the least unbiased "
        "estimate of the risk, or the first guess of both [discrepancy]"))
    how.add_argument("--alpha-from", type=Path, metavar="JSON", help=(
        "the parameter that `learn alpha` wrote for this operator"))
    parser.add_argument("--pattern", type=Path, metavar="JSON", help=(
        "for k-space: leave out all lines but those that `learn sampling` wrote"))
    parser.add_argument("--accuracy", type=float, default=0.01,
                        help="relative duality gap to reach [0.01]")
    parser.add_argument("--maxiter", type=int, default=5000, help="iterations of a solve [5000]")
    parser.add_argument("--out", type=Path, default=Path("results"),
                        help="folder for FILE_METHOD.npy and .png [results]")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a line")
    parser.set_defaults(run=run)


def tv(forward_op, fidelity, alpha, constraint):
    """Total variation."""
    from odl_learned import variational

    return variational.tv_problem(forward_op, fidelity, alpha, constraint)


def tgv(forward_op, fidelity, alpha, constraint):
    """Total generalized variation, with a ratio of its weights of two pixels."""
    from odl_learned import variational

    beta = 2 * float(max(forward_op.domain.cell_sides))
    return variational.tgv_problem(forward_op, fidelity, alpha, beta, constraint)


def image_part(problem, space):
    """The operator from the unknowns of a problem to the image, the first of several."""
    import odl

    unknowns = problem.L.domain
    return (odl.IdentityOperator(space) if unknowns == space else
            odl.ComponentProjection(unknowns, 0))  # fmt: skip


def by_discrepancy(problem_of, observed, data, level, start, solve):
    """The residual is as large as the noise."""
    from odl_learned import solvers
    from odl_learned.variational import parameter_choice

    norm = parameter_choice.white_noise_norm(observed.range, level)
    noise = solvers.Discrepancy(observed, data, norm, tau=1.0)
    with warnings.catch_warnings():  # `told` says it, with the reason
        warnings.filterwarnings("ignore", ".* ended undecided", RuntimeWarning)
        return parameter_choice.by_discrepancy(lambda alpha: problem_of(alpha, data), noise, start,
                                               rtol=0.05, solve=solve)  # fmt: skip


def by_risk(problem_of, observed, data, level, start, solve):
    """The estimated error of the data is least."""
    import numpy as np

    from odl_learned.variational import parameter_choice

    rng = np.random.default_rng(0)
    return parameter_choice.by_unbiased_risk(problem_of, observed, data, level, start, rng,
                                             rtol=0.3, solve=solve)  # fmt: skip


def by_first_guess(problem_of, observed, data, level, start, solve):
    """No search: the start itself."""
    from odl_learned.variational.parameter_choice import Choice

    return Choice(start, (0.0, math.inf), None, [], "accuracy")


#: Regularizers and rules for the parameter, by their names on the command line.
METHODS = {"tv": tv, "tgv": tgv}
RULES = {"discrepancy": by_discrepancy, "risk": by_risk, "first": by_first_guess}


def learned_alpha(path, operator, method, scan, level):
    """The parameter of a file of ``learn alpha``, which was learned for what is measured here.

    Raises
    ------
    ValueError
        If operator, method, pixels, views or distances are others.
    """
    from odl_learned.validation import require_positive

    found = results.read(path, "alpha", ("operator", "method", "alpha", "domain", "range",
                                         "rays", "noise_level"))
    here = {"operator": operator, "method": method,
            "domain": results.described(scan.forward_op.domain),
            "range": results.described(scan.forward_op.range)}  # fmt: skip
    for name, value in here.items():
        if found[name] != value:
            raise ValueError(
                f"the parameter in {path} was learned for the {name} {found[name]}, and this is "
                f"{value}; learn it with --scan of this file, or pass what you mean by --alpha.")
    for name, value in results.rays(scan.forward_op).items():
        if found["rays"].get(name) != value:
            raise ValueError(
                f"the parameter in {path} was learned for other {name} of the scan; compare the "
                "files of --geometry, learn it with --scan of this file, or pass what you mean by "
                "--alpha.")
    if level is not None and not math.isclose(level, found["noise_level"], rel_tol=0.1):
        print(f"note: {path} was learned with the noise level {found['noise_level']:.4g}, and here "
              f"it is {level:.4g}.", file=sys.stderr)
    require_positive(f"alpha in {path}", found["alpha"])
    return float(found["alpha"])


def run(arguments):
    """Write the picture; the status is 1 if parameter or certificate are not as asked for."""
    import matplotlib.image
    import numpy as np

    from odl_learned import functionals
    from odl_learned.validation import require_count, require_positive
    from odl_learned.variational import parameter_choice

    for name in ("alpha", "noise_level", "accuracy"):
        if getattr(arguments, name) is not None:
            require_positive("--" + name.replace("_", "-"), getattr(arguments, name))
    require_count("--maxiter", arguments.maxiter)
    geometry = scan_files.read_geometry(arguments.geometry, arguments.settings)
    source = arguments.file, arguments.key, arguments.index, geometry
    scan = (scan_files.OPERATORS[arguments.operator](*source) if arguments.pattern is None else
            scan_files.fastmri(*source, kept_lines(arguments)))  # fmt: skip
    level = scan.noise_level
    if arguments.noise_level is not None:
        level = arguments.noise_level / scan.scale
    alpha = arguments.alpha
    if arguments.alpha_from is not None:
        alpha = learned_alpha(arguments.alpha_from, arguments.operator, arguments.method, scan,
                              level)  # fmt: skip
    if level is None and alpha is None:
        raise ValueError("neither --noise-level nor --alpha is given; expected --noise-level with "
                         "the standard deviation of the noise, which chooses the parameter, or "
                         "the parameter by --alpha.")

    def problem_of(alpha, data):
        return METHODS[arguments.method](scan.forward_op, functionals.l2_fidelity(data), alpha,
                                         scan.constraint)  # fmt: skip

    def announced(alpha, data):
        print(f"alpha {alpha:.4g}", file=sys.stderr, flush=True)
        return problem_of(alpha, data)

    solve = solver(arguments.maxiter)
    reason, start, given = "accuracy", None, alpha is not None
    if not given:
        first = parameter_choice.first_alpha(scan.forward_op, level)
        image_of = image_part(problem_of(first, scan.data), scan.forward_op.domain)
        alpha, _, start, _, reason = RULES[arguments.choose](
            announced, scan.forward_op @ image_of, scan.data, level, first, solve)  # fmt: skip
    problem = announced(alpha, scan.data)
    solution = solve(problem, arguments.accuracy, start)
    image = image_part(problem, scan.forward_op.domain)(solution.x)
    picture = (scan.scale * scan.picture(image)).astype(np.float32)

    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / f"{arguments.file.stem}_{arguments.method}.npy"
    np.save(path, picture)
    matplotlib.image.imsave(path.with_suffix(".png"), picture, cmap="gray")
    value, gap = float(problem.value(solution.x)), float(solution.gap)
    relative, residual = gap / value if value > 0 else math.inf, None
    if level is not None:
        noise = parameter_choice.white_noise_norm(scan.forward_op.range, level)
        residual = float((scan.forward_op(image) - scan.data).norm()) / noise
    if arguments.json:
        print(json.dumps({
            "npy": str(path), "png": str(path.with_suffix(".png")), "shape": picture.shape,
            "alpha": alpha, "parameter": ("learned" if arguments.alpha_from else
                                            "given" if given else arguments.choose),
            "parameter_reason": reason, "value": value, "gap": gap if gap < math.inf else None,
            "relative_gap": relative if relative < math.inf else None,
            "accuracy": arguments.accuracy, "reason": str(solution.reason),
            "residual_of_noise": residual, "iterations": int(solution.niter)}))  # fmt: skip
    else:
        print(told(alpha, reason, value, relative, solution, residual), "->", path)
    return 0 if reason == solution.reason == "accuracy" else 1


def kept_lines(arguments):
    """The lines of ``--pattern`` as a mask ``(1, columns)``."""
    import numpy as np

    if arguments.operator != "fastmri":
        raise ValueError(f"--pattern is given and --operator is {arguments.operator}; expected "
                         "fastmri: a pattern says which lines of k-space are kept.")
    found = results.read(arguments.pattern, "sampling", ("columns", "lines"))
    return np.isin(np.arange(found["columns"]), found["lines"])[None]


def told(alpha, reason, value, relative, solution, residual):
    """The line of certificate."""
    gap = f"{relative:.2%}" if relative < math.inf else f"{float(solution.gap):.2g}"
    proven = (f"at most {gap} above the minimum" if solution.gap < math.inf else
              "without a certificate")  # fmt: skip
    ended = "" if solution.reason == "accuracy" else f", not as asked ({solution.reason})"
    sought = "" if reason == "accuracy" else f" (search undecided: {reason})"
    left = "" if residual is None else f", residual {residual:.3f} of the noise"
    return (f"alpha {alpha:.4g}{sought}, value {value:.5g}, {proven} after {solution.niter} "
            f"iterations{ended}{left}")  # fmt: skip


def solver(maxiter):
    """``(problem, accuracy, start) -> Solution`` that shows its progress on stderr."""
    from tqdm import tqdm

    from odl_learned import solvers

    def solve(problem, accuracy, start):
        x0, dual0 = (None, None) if start is None else (start.x, start.dual)
        with contextlib.closing(tqdm(total=maxiter, disable=None, leave=False, unit="it")) as bar:
            found = solvers.primal_dual(problem, x0, accuracy, maxiter, dual0=dual0,
                                        callback=lambda x: bar.update())  # fmt: skip
        print(f"  solved up to a gap of {float(found.gap):.2g} in {found.niter} iterations",
              file=sys.stderr, flush=True)
        return found

    return solve
