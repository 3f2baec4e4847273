"""What is public, and which of it has no call of its own."""

import importlib
import inspect
import pkgutil

import odl_learned

RESULTS = (
    "AlphaBounds", "Answer", "Batch", "Bound", "Certified", "Choice", "Coefficients",
    "ConformalBands", "Convergence",
    "Difference", "Differences", "EquivarianceErrors", "Fit", "Greedy", "Guarantee", "History",
    "Hypergradient",
    "Image", "Learned", "LearnedPattern", "Monotone", "MriScan", "NoGuarantee", "Reconstruction",
    "Refuted", "Regularizer", "SavedReconstruction", "Solution", "Stability",
    "StabilityReport", "Stack", "Table", "Trial", "Unknown", "Verdict", "WorstPerturbation",
)  # fmt: skip
MADE_BY_THE_BRIDGE = (
    "BatchFunctional", "BatchOperator", "BatchSpace", "EnergyModule", "OperatorModule",
    "ProximalModule", "RayBackprojector", "RayProjector", "lower", "lower_proximal",
)  # fmt: skip
PARTS_OF_EXPRESSIONS = (
    "AffineMap", "Bounds", "Rates", "Scalar", "Term", "applied", "bounds_of", "opened", "rates_of",
    "row_norm", "term_of",
)  # fmt: skip
COMPILED = ("compiled", "run_all", "shares", "useful_threads")

#: Public names without a call, and why.
WITHOUT_CALLS = (
    dict.fromkeys(RESULTS, "a record that the package returns")
    | dict.fromkeys(MADE_BY_THE_BRIDGE, "made by bridge.as_module and as_batch, which are tried")
    | dict.fromkeys(PARTS_OF_EXPRESSIONS, "made by energy_of, which is tried, and its rules")
    | dict.fromkeys(COMPILED, "for the loops of the package, which check what they pass")
    | {
        "Repair": "an entry of the list of repairs",
        "apply": "changes ODL for all tests",
        "cache_folder": "changes where matrices are kept, for all tests",
        "gradient_restart": "a rule that solvers call with their own arithmetic",
        "no_restart": "a rule that solvers call with their own arithmetic",
        "Simulated": "a record of what users simulate, which compare checks",
        "Stage": "a record that train_in_stages checks, which is tried",
        "processes": "needs processes that torchrun has started",
    }
)


def public_names():
    """Names that packages list in ``__all__`` and that take arguments."""
    names = set()
    for module in pkgutil.walk_packages(odl_learned.__path__, "odl_learned."):
        if not module.ispkg:
            continue
        package = importlib.import_module(module.name)
        names |= {name for name in getattr(package, "__all__", ())
                  if _takes_arguments(getattr(package, name))}
    return names


def _takes_arguments(value):
    if inspect.ismodule(value) or not callable(value) or inspect.isabstract(value):
        return False
    if isinstance(value, type) and issubclass(value, BaseException):
        return False
    kinds = {p.kind for p in inspect.signature(value).parameters.values()}
    return bool(kinds - {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD})
