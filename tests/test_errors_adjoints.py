"""Adjoints and conjugates that are built by hand ask at the door what they belong to."""

import pytest
from mistakes import X, check_message

from odl_learned import functionals, operators
from odl_learned.functionals import wavelet_l1
from odl_learned.functionals.fidelities import kullback_leibler
from odl_learned.functionals.variation import h1_seminorm
from odl_learned.operators import blocks, differential, extensions, filter_bank
from odl_learned.operators.transforms import fourier, multicoil, wavelet

CLASSES = {
    blocks.BlockEmbeddingAdjoint: "BlockEmbedding",
    extensions.ReflectedExtensionAdjoint: "ReflectedExtension",
    differential.SymmetrizedGradientAdjoint: "SymmetrizedGradient",
    filter_bank.FilterBankAdjoint: "FilterBank",
    fourier.SampledFourierAdjoint: "SampledFourier",
    multicoil.MultiCoilFourierAdjoint: "MultiCoilFourier",
    wavelet.OrthogonalWaveletAdjoint: "OrthogonalWavelet",
    h1_seminorm.H1SeminormConjugate: "H1Seminorm",
    kullback_leibler.KullbackLeiblerConjugate: "KullbackLeiblerFidelity",
    wavelet_l1.WaveletBound: "WaveletL1 or WaveletDetailL1",
}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("wrong", [None, 3, X, operators.gradient(X), functionals.WaveletL1],
                         ids=["None", "number", "space", "operator", "class"])
def test_adjoints_and_conjugates_of_something_else(cls, wrong):
    expected = f"expected .*{CLASSES[cls]}.*take the property (adjoint|convex_conj) of one"
    check_message(lambda: cls(wrong), TypeError, expected)


def test_blocks_of_something_else():
    check_message(lambda: blocks.BlockEmbedding(X, 0), TypeError, "expected a product of two")
