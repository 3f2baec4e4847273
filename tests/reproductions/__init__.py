"""What raises or is silently wrong in ODL without a repair, by the name of the repair."""

from reproductions.adjoints import weighted_adjoints
from reproductions.copies import (
    copied_wavelets,
    pickled_backends,
    pickled_classes,
    pickled_rays,
)
from reproductions.differences import single_points
from reproductions.functionals import (
    complex_values,
    grad_lipschitz,
    huber_proximal,
    lp_norm,
    quadratic_conjugate,
    real_constants,
    separable_sum_linear,
)
from reproductions.projections import (
    divergence_proximals,
    divergences,
    exact_indicators,
    group_balls,
    l1_projections,
    lp_balls,
    nuclear_ball,
    nuclear_norm,
    simplex_value,
    sum_constraint,
)
from reproductions.spaces import (
    aliasing,
    array_lookup,
    divergence_out,
    foreign_arrays,
    indexed_weights,
    inner_once,
    lincomb_one_term,
    norm_cache,
    numpy_scalars,
    ray_pixels,
    real_part_adjoint,
    weightings_compared,
    weights_shown,
)
from reproductions.tomography import detector_place, sliced_translation

REPRODUCTIONS = {
    f.__name__: f
    for f in (
        numpy_scalars, divergence_out, array_lookup, aliasing, separable_sum_linear, inner_once,
        complex_values, real_constants, lp_norm, grad_lipschitz, l1_projections, sum_constraint,
        huber_proximal, quadratic_conjugate,
        norm_cache, lincomb_one_term, real_part_adjoint, weighted_adjoints, indexed_weights,
        weights_shown, weightings_compared, ray_pixels, foreign_arrays,
        simplex_value, lp_balls, group_balls, nuclear_norm, nuclear_ball, exact_indicators,
        divergences, divergence_proximals, detector_place, sliced_translation, single_points,
        pickled_classes, pickled_backends, pickled_rays, copied_wavelets,
    )
}
