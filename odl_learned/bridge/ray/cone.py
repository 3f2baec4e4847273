"""Joseph's projector of cone beams on the memory of torch tensors, on the CPU."""

import torch

from odl_learned.bridge.layouts.arrays import array_of
from odl_learned.operators.tomography.cone.pair import backproject, project


class ConePair:
    """``x -> M x`` and ``y -> M^T y``, each in the precision of its input, from compiled loops.

    Both directions compute the same weights, so that they are transposes of each other up to the
    roundings of sums. A sample has the same bits alone and among others.

    Parameters
    ----------
    geometry : ConeGeometry
    """

    def __init__(self, geometry):
        self.geometry = geometry

    def project(self, x):
        """``M x`` for volumes ``(*batch, *source)``, real or complex, without derivatives."""
        return self._run(project, x)

    def backproject(self, y):
        """``M^T y`` for data ``(*batch, *target)``, real or complex, without derivatives."""
        return self._run(backproject, y)

    def to(self, device, dtype):
        """The pair itself: it follows its input in precision, on the CPU.

        Raises
        ------
        TypeError
            On other devices, and for dtypes other than ``torch.float32`` and ``torch.float64``.
        """
        if torch.device(device).type != "cpu" or dtype not in (torch.float32, torch.float64):
            raise TypeError(
                f"the ray transform was asked to compute in {dtype} on {device}, but its loops run "
                "in torch.float32 or torch.float64 on the CPU. Leave the module there, or build "
                "the ray transform with impl='astra_cuda'."
            )
        return self

    def _run(self, loop, x):
        if x.device.type != "cpu" or x.real.dtype not in (torch.float32, torch.float64):
            raise TypeError(
                f"the ray transform got {x.dtype} on {x.device}, expected float32 or float64, or "
                "a complex dtype of that precision, on the CPU; use x.to('cpu', torch.float32)."
            )
        return torch.from_numpy(loop(self.geometry, array_of(x)))

    def __deepcopy__(self, memo):
        return self
