"""``odl-learned check MODULE:OBJECT``: the conformance suite on an operator of one's own."""

import importlib
import json
import os
import sys
import traceback

SUMMARY = "check identities that an operator, functional or torch module must satisfy"


def add(commands):
    """Add the parser."""
    parser = commands.add_parser("check", help=SUMMARY, description=SUMMARY + (
        ": adjoint, derivative, proximal, norms, and that its torch module computes the same."))
    parser.add_argument("target", metavar="MODULE:OBJECT", help=(
        "where it is: an operator, functional or module, or a function without arguments that "
        "makes one; modules are found from the current folder on"))
    parser.add_argument("--example", type=int, nargs="+", metavar="N", help=(
        "for torch modules: shape of one sample, without batch axis"))
    parser.add_argument("--seed", type=int, default=0, help="of the points that are drawn [0]")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.set_defaults(run=run)


def run(arguments):
    """Print one line for each check; the status is 1 if one of them fails."""
    import numpy as np
    import torch

    from odl_learned import conformance

    obj = load(arguments.target)
    checks = conformance.checks_for(obj)
    if isinstance(obj, torch.nn.Module):
        if arguments.example is None:
            raise ValueError("a torch module is checked on an example; add --example with the "
                             "shape of one sample, such as --example 1 32 32.")
        generator = torch.Generator().manual_seed(arguments.seed)
        point = torch.randn(arguments.example, generator=generator)
    elif arguments.example is not None:
        raise ValueError("--example is for torch modules; operators and functionals know their "
                         "domain.")
    else:
        point = np.random.default_rng(arguments.seed)

    results = []
    for check in checks:
        name = check.__name__.removeprefix("check_").replace("_", " ")
        failure = outcome(check, obj, point)
        results.append({"check": name, "holds": failure is None, "failure": failure})
        if not arguments.json:
            print(f"{'holds' if failure is None else 'FAILS':<6} {name}", flush=True)
            if failure is not None:
                print(f"       {failure}", flush=True)
    failed = sum(not result["holds"] for result in results)
    if arguments.json:
        print(json.dumps({"target": arguments.target, "checks": results, "failed": failed}))
    else:
        print(f"{arguments.target}: {len(results) - failed} of {len(results)} checks hold")
    return 1 if failed else 0


def load(target):
    """Return the object that ``MODULE:OBJECT`` names, made if it is a function that makes it.

    Raises
    ------
    ValueError
        If the module or the object is not found, or is none that could be checked.
    """
    import odl
    import torch

    module_name, separator, path = target.partition(":")
    if not (separator and module_name and path):
        raise ValueError(f"{target!r} names no object; expected MODULE:OBJECT, such as "
                         "my_operators:blur.")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        obj = importlib.import_module(module_name)
    except Exception as error:  # of the user's module, of any kind
        raise ValueError(f"module {module_name!r} cannot be imported from {os.getcwd()}: "
                         f"{type(error).__name__}: {error}{where(error)}") from error
    for name in path.split("."):
        if not hasattr(obj, name):
            raise ValueError(f"{module_name} has no {path!r}; it has "
                             f"{', '.join(public_names(obj)) or 'no public names'}.")
        obj = getattr(obj, name)
    kinds = (odl.Operator, torch.nn.Module)
    if not isinstance(obj, kinds) and callable(obj):
        try:
            obj = obj()
        except TypeError as error:
            raise ValueError(f"{target} was called without arguments to make an operator: {error}"
                             ) from error
    if not isinstance(obj, kinds):
        raise ValueError(f"{target} is of type {type(obj).__name__}; expected an ODL operator or "
                         "functional, a torch module, or a function that makes one.")
    return obj


def where(error):
    """The file and line that raised an error, unless it tells them itself or none is the user's."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    if isinstance(error, (ImportError, SyntaxError)):
        return ""
    return f" ({os.path.basename(frame.filename)}, line {frame.lineno})"


def public_names(obj):
    """Names of an object that begin with no underscore."""
    return sorted(name for name in vars(obj) if not name.startswith("_"))


def outcome(check, obj, point):
    """None if the check holds, otherwise why not, in one line; also where the object raises."""
    try:
        check(obj, point)
    except AssertionError as error:
        return " ".join(str(error).split())
    except Exception as error:  # of the user's code, of any kind: it belongs into the table
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return None
