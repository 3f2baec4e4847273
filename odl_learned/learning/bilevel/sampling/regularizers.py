"""Regularizers of images whose sampling pattern is learned."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from odl_learned import bridge
from odl_learned.energies.potentials.potential import CubicAbsolute, HalfSquare, Potential
from odl_learned.energies.transforms.differences import ForwardDifferences
from odl_learned.energies.transforms.transform import OrthogonalTransform, Transform
from odl_learned.operators import OrthogonalWavelet
from odl_learned.validation import require_image_shape, require_positive


class Regularizer(NamedTuple):
    """``R(x) = sum_g phi_nu(|(D x)_g|)`` and the weight it has, one or zero, in the energy."""

    transform: Transform
    potential: Potential
    nu: float
    is_zero: bool = False


def no_regularizer(shape: Sequence[int]) -> Regularizer:
    """Return ``R = 0``: least squares."""
    shape = require_image_shape(shape)
    identity = OrthogonalTransform(torch.clone, torch.clone, shape)
    return Regularizer(identity, HalfSquare(), 1.0, True)


def squared_gradient(shape: Sequence[int]) -> Regularizer:
    """Return ``R(x) = 1/2 |D x|^2``, the squared H1 seminorm, forward differences, Neumann."""
    return Regularizer(ForwardDifferences(require_image_shape(shape)), HalfSquare(), 1.0)


def smoothed_variation(shape: Sequence[int], nu: float = 1e-2) -> Regularizer:
    """Return ``R(x) = sum_j rho_nu(|(D x)_j|)``, total variation with `CubicAbsolute`."""
    require_positive("nu", nu)
    return Regularizer(ForwardDifferences(require_image_shape(shape)), CubicAbsolute(), float(nu))


def wavelet_sparsity(wavelet: OrthogonalWavelet, nu: float = 1e-2) -> Regularizer:
    """Return ``R(x) = sum_j rho_nu(|(W x)_j|)`` of an `operators.OrthogonalWavelet`.

    Its space is complex for complex images and real for real ones.
    """
    require_positive("nu", nu)
    analysis, synthesis = bridge.as_module(wavelet), bridge.as_module(wavelet.adjoint)
    transform = OrthogonalTransform(analysis, synthesis, wavelet.domain.shape)
    return Regularizer(transform, CubicAbsolute(), float(nu))
