"""Every public name is used in an example: a script, a page or a docstring, whose examples run."""

import doctest
import importlib
import inspect
import io
import sys
import warnings
from pathlib import Path

import pytest
from test_docs import agree

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs" / "site"))
import reference  # noqa: E402
import uses  # noqa: E402

sys.path.remove(str(ROOT / "docs" / "site"))

NAMES = {f"{module.removeprefix('odl_learned.')}.{name}":
         getattr(importlib.import_module(module), name)
         for module in reference.rooms() for name in reference.public(module)}  # fmt: skip
#: Names without an example, and why.
WITHOUT = {
    "compiled.compiled": "for loops of this package",
    "compiled.is_available": "for loops of this package",
    "compiled.run_all": "for loops of this package",
    "compiled.shares": "for loops of this package",
    "compiled.useful_threads": "for loops of this package",
    "data.MriScan": "what data.read_mri_scan returns",
    "energies.expressions.AffineMap": "a part of rules for functionals of one's own",
    "energies.expressions.Density": "a part of rules for functionals of one's own",
    "energies.expressions.Scalar": "a part of rules for functionals of one's own",
    "energies.expressions.Term": "a part of rules for functionals of one's own",
    "energies.expressions.applied": "a part of rules for functionals of one's own",
    "energies.expressions.opened": "a part of rules for functionals of one's own",
    "energies.expressions.term_of": "a part of rules for functionals of one's own",
    "learning.bilevel.hypergradients.Hypergradient": "what modes return to methods",
    "regularizers.certificates.BrokenCertificateError": "it means a wrong rule of this package",
}
#: Modules of extras, without which examples that have these words in them are left out.
EXTRAS = {"h5py": "h5py", "pydicom": "pydicom", "derivative_free": "pybobyqa"}


def examples():
    """The docstring examples of all objects, each once, by one of their names."""
    found = {}
    for name, obj in NAMES.items():
        if callable(obj) and uses.example(obj):
            found.setdefault(id(obj), name)
    return sorted(found.values())


def test_every_public_name_is_used_in_an_example():
    used = uses.uses(ROOT, NAMES)
    lacking = {name for name, places in used.items() if not places}
    assert lacking == set(WITHOUT), "write an example, or take the name out of WITHOUT"
    assert all(WITHOUT.values())


class Numbers(doctest.OutputChecker):
    """Numbers may differ by a unit of the last digit that is shown."""

    def check_output(self, want, got, optionflags):
        return super().check_output(want, got, optionflags) or agree(want, got)


def failures_of(name, obj):
    """Run the examples in a docstring; return what is wrong, as text."""
    parser, checker = doctest.DocTestParser(), Numbers()
    test = parser.get_doctest(inspect.getdoc(obj), {"__name__": "__main__"}, name, None, 0)
    runner = doctest.DocTestRunner(checker, verbose=False, optionflags=doctest.ELLIPSIS)
    told = io.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runner.run(test, out=told.write)
    return told.getvalue()


@pytest.mark.parametrize("name", examples())
def test_examples_in_docstrings_run(name, tmp_path, monkeypatch):
    for word, extra in EXTRAS.items():
        if word in uses.example(NAMES[name]):
            pytest.importorskip(extra)
    monkeypatch.chdir(tmp_path)
    failures = failures_of(name, NAMES[name])
    assert not failures, failures


def test_a_wrong_number_in_a_docstring_is_found():
    def half():
        """Half of it.

        >>> print(1.50)
        1.51
        >>> print(2.0)
        2.5
        """

    found = failures_of("half", half)
    assert "2.5" in found and "1.51" not in found


@pytest.mark.parametrize(("source", "path"), [
    ("from odl_learned import solvers\nsolvers.fista(f)", "solvers.fista"),
    ("import odl_learned.metrics as m\nm.psnr(1, 2)", "metrics.psnr"),
    ("import odl_learned\nodl_learned.data.to_rows(x)", "data.to_rows"),
    ("from odl_learned.learning import bilevel as b\nb.lower.Newton()",
     "learning.bilevel.lower.Newton"),
    ("from odl_learned.solvers import fista\nfista(f)", "solvers.fista"),
])
def test_names_in_code_are_found(source, path):
    assert path in uses.paths_in(source)
    assert [getattr(obj, "__name__", "") for obj in uses.named(source)] == [path.split(".")[-1]]


def test_other_names_in_code_are_not_found():
    assert uses.named("import odl\nfrom odl_learned import data\nodl.solvers.pdhg()") == []
    assert uses.named("from odl_learned import data\nx = data.no_such_name") == []
