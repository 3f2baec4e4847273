"""Certificates of networks: each claim is certified, refuted with a witness, or unknown.

Every function computes two numbers that have nothing to do with each other: a bound that follows
from how the network is built, and a value that is attained, by Lanczos' iteration on derivatives.
The claim is `Certified` if the bound says so, `Refuted` if the attained value says no, with what
attains it, and `Unknown` in between. If the attained value contradicts the bound, the bound is
wrong, and this is an error, `BrokenCertificateError`.

Claims are about the map in exact arithmetic, with weights as they are stored.
"""

from odl_learned.regularizers.certificates.convexity import certify_convexity
from odl_learned.regularizers.certificates.convexity_rules import convexity_bound, layer_kind
from odl_learned.regularizers.certificates.convolutions import certify_convolution, certify_product
from odl_learned.regularizers.certificates.homogeneity import certify_homogeneous, is_homogeneous
from odl_learned.regularizers.certificates.lipschitz import (
    certify_firmly_nonexpansive,
    certify_lipschitz,
)
from odl_learned.regularizers.certificates.lipschitz_rules import lipschitz_bound
from odl_learned.regularizers.certificates.separate import certify_separate_samples
from odl_learned.regularizers.certificates.symmetry import certify_symmetric_jacobian, is_gradient
from odl_learned.regularizers.certificates.verdicts import (
    Bound,
    BrokenCertificateError,
    Certified,
    Refuted,
    Unknown,
    Verdict,
)

__all__ = [
    "Bound",
    "BrokenCertificateError",
    "Certified",
    "Refuted",
    "Unknown",
    "Verdict",
    "certify_convexity",
    "certify_convolution",
    "certify_firmly_nonexpansive",
    "certify_homogeneous",
    "certify_lipschitz",
    "certify_product",
    "certify_separate_samples",
    "certify_symmetric_jacobian",
    "convexity_bound",
    "is_gradient",
    "is_homogeneous",
    "layer_kind",
    "lipschitz_bound",
]
