"""Learning sampling patterns of magnetic resonance imaging, and what to compare them with."""

from odl_learned.learning.bilevel.sampling.baselines import (
    Draws,
    Greedy,
    adapted_random,
    greedy,
    largest_coefficients,
)
from odl_learned.learning.bilevel.sampling.exchange import exchange
from odl_learned.learning.bilevel.sampling.graduated import graduated_sampling, simulated_scans
from odl_learned.learning.bilevel.sampling.learned_pattern import LearnedPattern, learned_pattern
from odl_learned.learning.bilevel.sampling.patterns import (
    Pattern,
    lines,
    points,
    spokes,
)
from odl_learned.learning.bilevel.sampling.problems import (
    alpha_problem,
    sampling_and_alpha_problem,
    sampling_problem,
    uncentered,
)
from odl_learned.learning.bilevel.sampling.regularizers import (
    Regularizer,
    no_regularizer,
    smoothed_variation,
    squared_gradient,
    wavelet_sparsity,
)

__all__ = [
    "Draws",
    "Greedy",
    "LearnedPattern",
    "Pattern",
    "Regularizer",
    "adapted_random",
    "alpha_problem",
    "exchange",
    "graduated_sampling",
    "greedy",
    "largest_coefficients",
    "learned_pattern",
    "lines",
    "no_regularizer",
    "points",
    "sampling_and_alpha_problem",
    "sampling_problem",
    "simulated_scans",
    "smoothed_variation",
    "spokes",
    "squared_gradient",
    "uncentered",
    "wavelet_sparsity",
]
