"""Newton's method for smoothed variation ``alpha sum_g phi_nu(|(D x)_g|)`` in one pass over rows.

With ``p = D x`` and the weight and curvature ``w, k`` of the potential, the Hessian is ``D^T (s + b
(z p^T + p z^T)) D``, ``s = alpha w``, along a dual variable ``z`` with ``b = alpha k / (2 w)``; and
``D^T (s + b p p^T) D`` without one, ``b = alpha k``. After a step from ``x'`` that is ``z = w' p +
(k' / w') z' <p', p - p'>``, divided by lengths above ``most``.

Images are ``(N, R, W)``, fields ``(N, 2, R, W)``, with differences as in
`compiled.variation.differences`. Images are cut into blocks of rows, numbered through all
images. A block computes the row before itself once more.
"""

import math

import numpy as np

from odl_learned.compiled.compiler import compiled


@compiled
def together(x, before, last, rests, kind, numbers, height, begin, end, p, z, scaled, bent, slope,
             sums):  # fmt: skip
    """Differences at a pixel are one group; blocks from ``begin`` to ``end``.

    Parameters
    ----------
    before, last : arrays of the shapes of ``x`` and ``p``, or with no samples
        ``x'`` and ``z'``; without them ``z = w p``.
    rests : bool array ``(N,)``
        Samples where ``z = z'``; looked at only with ``x'``.
    kind : {0, 1}
        The potential: `Charbonnier`, `CubicAbsolute`.
    numbers : array ``(5,)``
        ``nu, alpha, most``, the root of the least normal number, and one over the real numbers in
        an entry of ``x``.
    height : int
        Rows of a block.
    p, z, scaled, bent : arrays
        For ``p``, ``z``, ``s`` and ``b``; ``z`` without samples if there is to be none.
    slope : array ``(N, R, W)``
        For ``D^T s p``.
    sums : float64 array ``(blocks of all images, 2, W)``
        Over rows, of the diagonal of the matrices between the differences; of complex ones, half
        of the real and the imaginary part.
    """
    count, rows, columns = x.shape
    blocks, alpha, most = -(-rows // height), numbers[1], numbers[2]
    half, share = numbers.dtype.type(0.5) * alpha, numbers[4]
    weight, ratio = np.empty(columns, numbers.dtype), np.empty(columns, numbers.dtype)
    down, right = np.empty(columns, x.dtype), np.empty(columns, x.dtype)
    above, behind, beside = np.empty_like(down), np.empty_like(down), np.empty_like(down)
    for block in range(begin, end):
        n, top = block // blocks, (block % blocks) * height
        above[:] = 0
        sums[block] = 0
        for r in range(max(top - 1, 0), min(top + height, rows)):
            is_ours = r >= top
            _slopes(x[n], r, down, right)
            if is_ours and len(before):
                z0, z1 = z[n, 0, r], z[n, 1, r]
                z0[:] = last[n, 0, r]
                z1[:] = last[n, 1, r]
                if not rests[n]:
                    _slopes(before[n], r, behind, beside)
                    _weigh(behind, beside, kind, numbers, weight, ratio)
                    _follow(down, right, behind, beside, weight, ratio, most, z0, z1)
            _weigh(down, right, kind, numbers, weight, ratio)
            if is_ours:
                p0, p1, s, b = p[n, 0, r], p[n, 1, r], scaled[n, r], bent[n, r]
                p0[:] = down
                p1[:] = right
                if len(z) and len(before) == 0:
                    for j in range(columns):
                        z[n, 0, r, j] = weight[j] * p0[j]
                        z[n, 1, r, j] = weight[j] * p1[j]
                for j in range(columns):
                    s[j] = alpha * weight[j]
                    b[j] = half * ratio[j]
                if len(z):
                    _add(p0, z[n, 0, r], p1, z[n, 1, r], s, b, share + share, sums[block])
                else:
                    for j in range(columns):
                        b[j] *= weight[j] + weight[j]
                    _add(p0, p0, p1, p1, s, b, share, sums[block])
            for j in range(columns):
                down[j] *= alpha * weight[j]
                right[j] *= alpha * weight[j]
            if is_ours:
                _gather(above, down, right, slope[n, r])
            above, down = down, above


@compiled
def apart(x, before, last, rests, kind, numbers, height, begin, end, z, weights, slope, sums):
    """As `together`, real, with all differences groups of their own.

    Parameters
    ----------
    weights : array ``(N, 2, R, W)``
        For ``s + 2 b z p``, or ``s + b p^2``.
    """
    count, rows, columns = x.shape
    blocks, alpha, most = -(-rows // height), numbers[1], numbers[2]
    weight, ratio = np.empty(columns, x.dtype), np.empty(columns, x.dtype)
    down, right = np.empty(columns, x.dtype), np.empty(columns, x.dtype)
    above, behind, beside = np.empty_like(down), np.empty_like(down), np.empty_like(down)
    nothing = np.zeros(columns, x.dtype)
    for block in range(begin, end):
        n, top = block // blocks, (block % blocks) * height
        above[:] = 0
        sums[block] = 0
        for r in range(max(top - 1, 0), min(top + height, rows)):
            is_ours = r >= top
            _slopes(x[n], r, down, right)
            if is_ours and len(before) and not rests[n]:
                _slopes(before[n], r, behind, beside)
            for i in range(2):
                ahead, back = (down, behind) if i == 0 else (right, beside)
                if is_ours and len(before):
                    dual = z[n, i, r]
                    dual[:] = last[n, i, r]
                    if not rests[n]:
                        _weigh(back, nothing, kind, numbers, weight, ratio)
                        _follow_one(ahead, back, weight, ratio, most, dual)
                _weigh(ahead, nothing, kind, numbers, weight, ratio)
                if is_ours:
                    if len(z) and len(before) == 0:
                        for j in range(columns):
                            z[n, i, r, j] = weight[j] * ahead[j]
                    if len(z):
                        _bend(ahead, z[n, i, r], weight, ratio, alpha, weights[n, i, r])
                    else:
                        for j in range(columns):
                            ratio[j] *= weight[j]
                        _bend(ahead, ahead, weight, ratio, alpha, weights[n, i, r])
                    for j in range(columns):
                        sums[block, i, j] += weights[n, i, r, j]
                for j in range(columns):
                    ahead[j] *= alpha * weight[j]
            if is_ours:
                _gather(above, down, right, slope[n, r])
            above, down = down, above


@compiled
def _slopes(x, r, down, right):
    """``D x`` in a row."""
    rows, columns = x.shape
    here, ahead = x[r], x[min(r + 1, rows - 1)]
    for j in range(columns):
        down[j] = ahead[j] - here[j]
    for j in range(columns - 1):
        right[j] = here[j + 1] - here[j]
    right[columns - 1] = 0


@compiled
def _weigh(a, b, kind, numbers, weight, ratio):
    """``w`` and ``k / w`` for ``|p|^2 = |a|^2 + |b|^2``; as in `energies.potentials`."""
    nu, tiny, one = numbers[0], numbers[3], numbers.dtype.type(1)
    if kind == 0:
        square = nu * nu
        for j in range(len(weight)):
            w = one / math.sqrt((_dot(a[j], a[j]) + _dot(b[j], b[j])) + square)
            weight[j] = w
            ratio[j] = -(w * w)
    else:
        two = one + one
        for j in range(len(weight)):
            t = math.sqrt(_dot(a[j], a[j]) + _dot(b[j], b[j]))
            most = max(t, nu)
            w = (two - min(t / nu, one)) / most
            bend = -one / ((most * most) * (max(t, tiny) * w))
            weight[j] = w
            ratio[j] = bend if t > tiny else t * 0


@compiled
def _follow(p0, p1, a, b, weight, ratio, most, z0, z1):
    one = weight.dtype.type(1)
    for j in range(len(a)):
        along = (_dot(a[j], p0[j] - a[j]) + _dot(b[j], p1[j] - b[j])) * ratio[j]
        u = weight[j] * p0[j] + along * z0[j]
        v = weight[j] * p1[j] + along * z1[j]
        shrink = one / max(math.sqrt(_dot(u, u) + _dot(v, v)) / most, one)
        z0[j] = shrink * u
        z1[j] = shrink * v


@compiled
def _follow_one(p, a, weight, ratio, most, z):
    for j in range(len(a)):
        moved = weight[j] * p[j] + (a[j] * (p[j] - a[j]) * ratio[j]) * z[j]
        z[j] = min(max(moved, -most), most)


@compiled
def _add(p0, z0, p1, z1, scaled, bent, factor, total):
    for j in range(len(scaled)):
        total[0, j] += scaled[j] + (factor * bent[j]) * _dot(p0[j], z0[j])
        total[1, j] += scaled[j] + (factor * bent[j]) * _dot(p1[j], z1[j])


@compiled
def _bend(p, z, weight, ratio, alpha, out):
    """``alpha (w + (k / w) p z)``."""
    for j in range(len(out)):
        out[j] = alpha * (weight[j] + ratio[j] * (p[j] * z[j]))


@compiled
def _gather(above, down, right, out):
    """``D^T`` in a row; differences beyond the last row and column are zero."""
    end = len(out) - 1
    for j in range(end + 1):
        out[j] = above[j] - down[j]
    for j in range(1, end + 1):
        out[j] += right[j - 1]
    for j in range(end):
        out[j] -= right[j]


@compiled
def _dot(a, b):
    """``Re conj(a) b``."""
    return a.real * b.real + a.imag * b.imag
