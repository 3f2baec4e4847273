"""ASTRA itself on the memory of torch tensors, one image at a time, without copies.

``LinkedPair`` serves geometries in the plane whose matrix would be too large, on the CPU;
``LinkedVolumePair`` serves everything that ASTRA computes on CUDA, in the plane and in space.
"""

import threading
import weakref

import astra
import torch


class _Pair:
    """An ASTRA projector with a lock, on real and on complex batches.

    Copies of a module share its pair; a pickle holds the geometry. A pair defines ``_project`` and
    ``_backproject`` for contiguous real samples ``(B, *source)`` and ``(B, *target)``.
    """

    def __init__(self, geometry, delete):
        self.geometry, self.lock = geometry, threading.Lock()
        self.projector = geometry.create_projector()
        weakref.finalize(self, delete, self.projector)

    def project(self, x):
        """``M x`` for images ``(*batch, *source)``, real or complex, without derivatives."""
        return _one_by_one(x, self.geometry.source, self.geometry.target, self._project)

    def backproject(self, y):
        """``M^T y`` for data ``(*batch, *target)``, real or complex, without derivatives."""
        return _one_by_one(y, self.geometry.target, self.geometry.source, self._backproject)

    def __deepcopy__(self, memo):
        return self


class LinkedPair(_Pair):
    """``x -> M x`` and ``y -> M^T y`` by ASTRA's own projector on the CPU."""

    def __init__(self, geometry):
        super().__init__(geometry, astra.projector.delete)

    def to(self, device, dtype):
        """The pair itself: ASTRA's projectors for the CPU compute there, in single precision."""
        if torch.device(device).type != "cpu" or dtype != torch.float32:
            raise TypeError(
                f"the ray transform was asked to compute in {dtype} on {device}, but runs through "
                "ASTRA, in torch.float32 on the CPU, since its matrix is too large for "
                "odl_learned.operators.tomography.projectors.matrices.SPARSE_LIMIT. Leave the "
                "module there, raise that limit, or build the ray transform with "
                "impl='astra_cuda'."
            )
        return self

    def _project(self, x):
        y = x.new_empty((len(x), *self.geometry.target))
        for image, data in zip(x, y):
            with self.lock:
                astra.projector.direct_FP(self.projector, image, out=data)
        return y

    def _backproject(self, y):
        x = y.new_empty((len(y), *self.geometry.source))
        for data, image in zip(y, x):
            with self.lock:
                astra.projector.direct_BP(self.projector, data, out=image)
        return x

    def __reduce__(self):
        return LinkedPair, (self.geometry,)


class LinkedVolumePair(_Pair):
    """``x -> M x`` and ``y -> M^T y`` by ASTRA on CUDA, with the scaling of ODL.

    On CUDA ASTRA's back projection is the transpose of its projection only approximately; ODL
    scales it to the adjoint, and so does this pair. Tensors on a CUDA device are linked without
    copies; tensors on the CPU are copied to the device and back by ASTRA.

    Parameters
    ----------
    geometry : RayGeometry
        For ASTRA's projector ``cuda3d``; one axis of angles.
    scale, transposed_scale : float
        Factors of ASTRA's projection and back projection.
    """

    def __init__(self, geometry, scale, transposed_scale):
        super().__init__(geometry, astra.projector3d.delete)
        self.scale, self.transposed_scale = scale, transposed_scale

    def to(self, device, dtype):
        """The pair itself: it follows its input from device to device, in single precision."""
        if dtype != torch.float32:
            raise TypeError(
                f"the ray transform was asked to compute in {dtype}, expected torch.float32 (or "
                "torch.complex64), the only precision of ASTRA on CUDA; keep this module in it."
            )
        return self

    def _project(self, x):
        volumes = x.reshape(len(x), *astra.geom_size(self.geometry.volume))
        rays = x.new_empty((len(x), *astra.geom_size(self.geometry.rays)))
        for volume, data in zip(volumes, rays):
            self._run(astra.projector3d.direct_FP, volume, data)
        return self._from_astra(rays).mul_(self.scale)

    def _backproject(self, y):
        rays = self._to_astra(y)
        volumes = y.new_empty((len(y), *astra.geom_size(self.geometry.volume)))
        for data, volume in zip(rays, volumes):
            self._run(astra.projector3d.direct_BP, data, volume)
        return volumes.reshape(len(y), *self.geometry.source).mul_(self.transposed_scale)

    def _run(self, function, given, out):
        """One call of ASTRA, after what torch has queued for its input is done."""
        with self.lock:
            if given.is_cuda:
                astra.set_gpu_index(given.device.index)
                torch.cuda.current_stream(given.device).synchronize()
            function(self.projector, given, out=out)

    def _from_astra(self, rays):
        """ASTRA's axes (u, angle, v) as ODL's (angle, u, v); in the plane u has length one."""
        if len(self.geometry.source) == 2:
            return rays.reshape(len(rays), *self.geometry.target)
        return rays.transpose(1, 2)

    def _to_astra(self, y):
        if len(self.geometry.source) == 2:
            return y.unsqueeze(1)
        return y.transpose(1, 2).contiguous()

    def __reduce__(self):
        return LinkedVolumePair, (self.geometry, self.scale, self.transposed_scale)


def _one_by_one(x, source, target, apply):
    """``apply`` on contiguous real samples ``(B, *source)``, for any batch, real or complex."""
    if x.real.dtype != torch.float32:
        raise TypeError(
            f"the ray transform got {x.dtype}, expected torch.float32 or torch.complex64, the "
            "precision in which ASTRA computes; use x.to(torch.float32)."
        )
    lead = x.shape[: x.ndim - len(source)]
    x = x.detach().resolve_conj().reshape(-1, *source)
    if not x.is_complex():
        return apply(x.contiguous()).reshape(*lead, *target)
    parts = torch.view_as_real(x).movedim(-1, 0).reshape(-1, *source)
    real, imag = apply(parts.contiguous()).reshape(2, *lead, *target)
    return torch.complex(real, imag)
