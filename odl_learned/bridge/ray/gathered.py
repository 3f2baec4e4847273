"""Interpolating backprojections by torch's own gathers, a view at a time, for accelerators.

The plain form of each is in `operators.tomography.interpolated`; its loops run on the CPU.
"""

import torch

from odl_learned.operators.tomography.interpolated.cone import ConeShadows
from odl_learned.operators.tomography.interpolated.shadows import PlaneShadows


def backprojected(shadows: PlaneShadows | ConeShadows, y: torch.Tensor) -> torch.Tensor:
    """``B y`` for real data, (N, V, n) of the plane, or (N, V, n, m) of cones or slices."""
    if isinstance(shadows, PlaneShadows):
        x, y_ = len(shadows.x), len(shadows.y)
        total = y.new_zeros(len(y), x * y_, *y.shape[3:])
        for view in range(y.shape[1]):
            total += _columns(shadows, view, y)
        return total.unflatten(1, (x, y_))
    plane = shadows.plane
    total = y.new_zeros(len(y), len(plane.x) * len(plane.y), len(shadows.z))
    padded = torch.nn.functional.pad(y, (1, 2))
    for view in range(y.shape[1]):
        lines, (rows, parts) = _columns(plane, view, padded), _rows(shadows, view, y)
        below, above = (lines.gather(2, (rows + k).expand(len(y), -1, -1)) for k in (0, 1))
        total += (1 - parts) * below + parts * above
    return total.unflatten(1, (len(plane.x), len(plane.y)))


def spread(shadows: PlaneShadows | ConeShadows, x: torch.Tensor) -> torch.Tensor:
    """``B^T x`` for real images, (N, nx, ny), or (N, nx, ny, m) of cones or slices."""
    flat = x.flatten(1, 2)
    if isinstance(shadows, PlaneShadows):
        return torch.stack([_spread_columns(shadows, view, flat)
                            for view in range(len(shadows.maps))], dim=1)  # fmt: skip
    views, count = [], shadows.count
    for view in range(len(shadows.rows)):
        rows, parts = _rows(shadows, view, x)
        lines = x.new_zeros(len(x), flat.shape[1], count + 3)
        for k, share in ((0, 1 - parts), (1, parts)):
            lines.scatter_add_(2, (rows + k).expand(len(x), -1, -1), share * flat)
        views.append(_spread_columns(shadows.plane, view, lines)[..., 1 : count + 1])
    return torch.stack(views, dim=1)


def _columns(shadows, view, y):
    """The data of a view between its columns, weighted, one line for each pixel."""
    padded = torch.zeros_like(y[:, 0, :1]).expand(-1, 1, *y.shape[3:])
    padded = torch.cat([padded, y[:, view], padded, padded], dim=1)
    bins, fractions, weights = _interpolation(shadows, view, y)
    return weights * ((1 - fractions) * padded[:, bins] + fractions * padded[:, bins + 1])


def _spread_columns(shadows, view, x):
    """The transpose of `_columns`."""
    bins, fractions, weights = _interpolation(shadows, view, x[:, None])
    result = x.new_zeros(len(x), shadows.bins + 3, *x.shape[2:])
    for k, share in ((0, 1 - fractions), (1, fractions)):
        result.index_add_(1, bins + k, share * weights * x)
    return result[:, 1:-2]


def _interpolation(shadows, view, like):
    """`PlaneShadows.interpolation` on the device of a tensor (N, V, n, ...)."""
    bins, *factors = (torch.from_numpy(part).to(like.device)
                      for part in shadows.interpolation(view))  # fmt: skip
    return bins, *(factor.reshape(-1, *[1] * (like.ndim - 3)) for factor in factors)


def _rows(shadows, view, like):
    """`ConeShadows.interpolation` of all voxels: shapes (nx * ny, nz)."""
    foot, slope, height = shadows.rows[view]
    depths = torch.from_numpy(shadows.plane.depths(view)).to(like.device).reshape(-1, 1)
    tall = torch.where(depths > 0, slope / torch.where(depths > 0, depths, 1), 0)
    z = torch.from_numpy(shadows.z).to(like.device)
    places = (foot + tall * (z - height)).clamp(0, shadows.count + 1)
    rows = places.long()
    return rows, (places - rows).to(torch.float32)
