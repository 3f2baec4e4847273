"""Parallel beams in space on tensors: the projector of the plane on the slices of volumes."""

import torch


class StackedPair:
    """``x -> M x`` and ``y -> M^T y`` on volumes ``(*batch, nx, ny, nz)``, slice by slice.

    Parameters
    ----------
    pair : SparsePair, TurnedPair or LinkedPair
        Of the plane.
    slices : int
        Their number ``nz``.
    """

    def __init__(self, pair, slices):
        self.pair, self.slices = pair, slices

    @property
    def geometry(self):
        """That of the plane."""
        return self.pair.geometry

    def project(self, x):
        """``M x`` for volumes ``(*batch, *source, nz)``, real or complex, without derivatives."""
        return _slice_by_slice(self.pair.project, x)

    def backproject(self, y):
        """``M^T y`` for data ``(*batch, *target, nz)``, real or complex, without derivatives."""
        return _slice_by_slice(self.pair.backproject, y)

    def to(self, device, dtype):
        """The same elsewhere, if the pair goes there."""
        return StackedPair(self.pair.to(device, dtype), self.slices)

    def __deepcopy__(self, memo):
        return self


def _slice_by_slice(apply, x):
    # One volume at a time: the columns that a matrix takes are its slices as they lie in memory,
    # (nx * ny, nz), and the order of sums does not depend on the batch.
    lead = x.shape[:-3]
    if len(lead) == 0 or lead.numel() == 0:
        return apply(x.movedim(-1, -3)).movedim(-3, -1)
    results = [apply(volume.movedim(-1, 0)).movedim(0, -1)
               for volume in x.reshape(-1, *x.shape[-3:])]  # fmt: skip
    joined = results[0][None] if len(results) == 1 else torch.stack(results)
    return joined.reshape(*lead, *joined.shape[1:])
