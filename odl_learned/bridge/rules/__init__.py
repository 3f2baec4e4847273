"""Native rules of the bridge: importing a module here registers what it lowers."""

from odl_learned.bridge.rules import (  # noqa: F401
    blocks,
    differences,
    expressions,
    filter_bank,
    gradients,
    group,
    local_gradients,
    matrices,
    orthogonal_wavelet,
    pointwise,
    round_trip,
    sampling,
    wavelet,
    weighted_adjoints,
)
from odl_learned.bridge.rules.frequencies import (  # noqa: F401
    axis_filters,
    convolution,
    fourier,
    multicoil,
    normal_operators,
    odl_fourier,
)
from odl_learned.bridge.rules.functionals import (  # noqa: F401
    counts,
    entropies,
    envelopes,
    h1_seminorm,
    indicators,
    least_squares,
    total_variation,
    variation,
)
from odl_learned.bridge.rules.functionals import norms as functionals  # noqa: F401
from odl_learned.bridge.triangular import rules as triangular  # noqa: F401
