"""Every slide of both talks has its row: names that exist, and scripts with a claim."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "talks.md").read_text()
#: The slides with content, in their order; what only repeats or outlines others is left out.
SLIDES = {
    "Towards Reliable Solutions of Inverse Problems with Deep Learning": [
        "Inverse problems", "What is the problem with inverse problems?",
        "Option 1: Analytical methods", "Option 2: Variational regularization",
        "Option 2: Variational regularization, proximal gradient",
        "Option 3: Iterative regularization", "Comparison: Pros and Cons",
        "Analytic methods meet deep learning",
        "Not as stable as pre-deep learning approaches",
        "Variational regularization meets deep learning: generative model",
        "Variational regularization meets deep learning: denoiser",
        "Variational regularization meets deep learning: train directly",
        "Variational regularization meets deep learning: bilevel learning",
        "Variational regularization meets deep learning: input-convex networks",
        "Iterative regularization meets deep learning: plug and play",
        "Methods that do not fit: deep equilibrium",
        "Methods that do not fit: score-based diffusion", "How to learn?",
        "Generative regularizers", "Modelling the covariance",
        "Example: Magnetic resonance imaging", "Comparison: Covariance models",
        "Comparison: End-to-end learning", "Comparison: Other unsupervised methods",
        "Equivariance: what happens when data is rotated?", "How to get equivariant mappings?",
        "Equivariance and inverse problems", "Group acting on images",
        "Invariant functional implies equivariant prox", "How to construct equivariant networks?",
        "Equivariant linear functions", "CT results", "Bilevel learning for inverse problems",
        "How to solve bilevel learning?", "Algorithm for bilevel learning",
        "How to solve bilevel learning problems?",
        "Dynamic accuracy derivative free optimization", "Theorem: global convergence",
        "Parametric regularizer", "Robustness to initialization",
        "Dynamic accuracy against fixed unrolling",
        "Conclusions: inexact first-order algorithms next",
    ],
    "Bilevel Learning for Inverse Problems": [
        "Inverse problems", "How to solve inverse problems?", "How to choose the regularization?",
        "More complicated regularizers", "Example: Magnetic resonance imaging",
        "Motivation: parameters", "Bilevel learning for inverse problems",
        "Exact algorithms for bilevel learning", "How to solve bilevel learning problems?",
        "Dynamic accuracy derivative free optimization", "Theorem: global convergence",
        "1D denoising problem: reconstructions",
        "1D denoising problem: dynamic against fixed accuracy",
        "1D denoising problem: robustness to initialization",
        "Important works on sampling for MRI: uninformed",
        "Important works on sampling for MRI: learned", "Learning the sampling pattern",
        "Warm up: a bump", "Increasing sparsity", "Compare regularizers",
        "More insights: sampling and number of data", "High resolution imaging", "Conclusions",
    ],
}  # fmt: skip


def rows(talk):
    """The cells of the table below the heading of a talk."""
    section = PAGE.partition(f"## {talk}\n")[2].partition("\n## ")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")]
            for line in section.splitlines() if line.startswith("| ")][1:]


ROWS = [(talk, *row) for talk in SLIDES for row in rows(talk)]


@pytest.mark.parametrize("talk", SLIDES)
def test_no_slide_is_left_out(talk):
    assert [row[0] for row in rows(talk)] == SLIDES[talk]
    assert all(len(row) == 5 for row in rows(talk))


def test_every_name_exists():
    names = {name for row in ROWS for name in re.findall(r"`([\w.]+)`", row[3])}
    assert len(names) > 100
    for name in names:
        module, _, attribute = name.rpartition(".")
        room = importlib.import_module(f"odl_learned.{module}")
        assert hasattr(room, attribute), name


@pytest.mark.parametrize("talk, slide, formula, names, script, claim", ROWS,
                         ids=lambda text: text[:40])  # fmt: skip
def test_rows_have_a_script_with_a_claim(talk, slide, formula, names, script, claim):
    path = ROOT / "examples" / script.strip("`")
    assert path.is_file() and "assert " in path.read_text()
    assert names.startswith("`") and claim
    for test in re.findall(r"`(tests/\w+\.py)`", claim):
        assert (ROOT / test).is_file()
