"""What each view, and each ray of it, counts for: views at any angles, short scans, half beams."""

import math

import numpy as np
from odl.applications import tomo

#: The largest gap between views that is no gap: four times the usual one, or this many radians.
SMALL_GAP = 0.2
#: The largest usual gap in radians. Views ``d`` apart resolve frequencies up to ``pi / (r d)`` in a
#: disk of the radius r; one period over its diameter has the frequency ``pi / r``.
USUAL_GAP = 1.0

_OTHERWISE = "Reconstruct by variational.tv_problem or solvers.lsqr, which need no full set."


def angular_weights(geometry):
    r"""Return the part of half a circle (a circle for sources) that each view stands for.

    Half of the gap on either side of it, modulo the period.

    Parameters
    ----------
    geometry : Parallel2dGeometry, FanBeamGeometry or ConeBeamGeometry

    Returns
    -------
    weights : float64 array, shape (V,)
        In radians.
    start, extent : float
        The first angle and the length of the arc that the views cover; the period where they go
        all around.

    Raises
    ------
    ValueError
        If views are missing in more than one place, or on half a circle in one, or usually more
        than a radian apart.
    """
    parallel = isinstance(geometry, tomo.Parallel2dGeometry)
    period = math.pi if parallel else 2 * math.pi
    angles = np.asarray(geometry.angles, dtype=float) % period
    order = np.argsort(angles)
    gaps = np.diff(angles[order], append=angles[order[0]] + period)
    usual = float(np.median(gaps))
    if usual > USUAL_GAP:
        raise ValueError(
            f"forward_op has {len(angles)} views, {math.degrees(usual):.3g} degrees apart on "
            f"{'half a circle' if parallel else 'a circle'}, expected at least "
            f"{math.ceil(period / USUAL_GAP)}: fewer do not resolve one period over the image. "
            + _OTHERWISE)
    small = max(4 * usual, SMALL_GAP)
    wide = np.flatnonzero(gaps > small)
    if len(wide) > (not parallel):
        circle = "half a circle" if parallel else "a circle, or around one arc of it"
        raise ValueError(
            f"forward_op has a gap of {math.degrees(gaps.max()):.3g} degrees between its angles, "
            f"expected views all around {circle}: filtered backprojection is wrong without them. "
            + _OTHERWISE)
    extent, before = period, np.roll(gaps, 1)
    if len(wide):  # views at the ends of an arc stand for as much outside of it as inside
        last = int(wide[0])
        first = (last + 1) % len(order)
        extent = period - gaps[last] + (gaps[first] + before[last]) / 2
        start = angles[order[first]] - gaps[first] / 2
        before[first], gaps[last] = gaps[first], before[last]
    else:
        start = angles[order[0]]
    weights = np.empty(len(order))
    weights[order] = (gaps + before) / 2
    return weights, float(start), float(extent)


def short_scan_weights(turns, fans, extent):
    r"""Return weights of the rays of a short scan, which add up to one for every line.

    With the rotation ``b`` since the start, the fan angle ``c``, positive where it adds to the
    rotation, and ``d = (extent - pi) / 2``,

    .. math:: w(b, c) = \begin{cases}
              \sin^2 \frac{\pi b}{4 (d - c)} & b < 2 d - 2 c, \\
              \sin^2 \frac{\pi (\pi + 2 d - b)}{4 (d + c)} & b > \pi - 2 c, \\
              1 & \text{otherwise,} \end{cases}

    since the line of ``(b, c)`` is measured again at ``(b + pi + 2 c, -c)``.

    Parameters
    ----------
    turns, fans : float arrays that broadcast to one shape
        Angles ``b`` and ``c`` in radians.
    extent : float
        The arc of all views, pi and twice the largest fan angle or more, less than 2 pi.

    Returns
    -------
    weights : float64 array

    References
    ----------
    Parker, D. L. Optimal short scan convolution reconstruction for fanbeam CT. Med. Phys. 9 (1982),
    equation 12; with more than the smallest arc, Silver, M. D. A method for including redundant
    data in computed tomography. Med. Phys. 27 (2000): d for the half fan.
    """
    half = (extent - math.pi) / 2
    begin, end = half - fans, half + fans
    rise = np.where((begin > 0) & (turns < 2 * begin), turns / np.where(begin > 0, begin, 1), 2)
    left = math.pi + 2 * half - turns
    fall = np.where((end > 0) & (left < 2 * end), left / np.where(end > 0, end, 1), 2)
    return np.sin(math.pi / 4 * np.clip(np.minimum(rise, fall), 0, 2)) ** 2


def offset_detector_weights(fans, overlap):
    r"""Return weights of the rays on a full circle where the detector sees one side of the axis.

    With the fan angle ``c``, positive on the side that is seen,

    .. math:: w(c) = \frac12 \Bigl( 1 + \sin \frac{\pi \, \min(\max(c, -d), d)}{2 d} \Bigr),

    one for a line that is measured once and zero at the end of the detector; the line of the angle
    ``c`` is measured again at ``-c``, and ``w(c) + w(-c) = 1``.

    Parameters
    ----------
    fans : float array
        Angles ``c`` in radians.
    overlap : float array that broadcasts with them
        The angle ``d`` between the axis and the near end of the detector, positive.

    Returns
    -------
    weights : float64 array

    References
    ----------
    Wang, G. X-ray micro-CT with a displaced detector array. Med. Phys. 29 (2002), equation 12.
    """
    return 0.5 * (1 + np.sin(0.5 * math.pi * np.clip(fans / overlap, -1, 1)))


def require_arc(extent, largest_fan):
    """Raise ValueError if an arc is too short for every line through the disk to be measured."""
    needed = math.pi + 2 * largest_fan
    if extent < needed:
        raise ValueError(
            f"forward_op has views on an arc of {math.degrees(extent):.4g} degrees, expected at "
            f"least {math.degrees(needed):.4g}, half a circle and the fan of the largest disk in "
            "the domain, or a circle: filtered backprojection is wrong without them. " + _OTHERWISE)
