"""Other packages, where they are installed."""

import functools
import importlib.util

import torch


@functools.cache
def deepinv():
    """Return the module deepinv, or None where it is not installed.

    torchvision, which it imports, may come with operators for CUDA that a CPU-only torch does not
    know; declared without an implementation, they let it be imported, and nothing here calls them.
    """
    if importlib.util.find_spec("deepinv") is None:
        return None
    schemas = {"nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
               "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"}
    for name, schema in schemas.items():
        if not hasattr(torch.ops.torchvision, name):
            library = torch.library.Library("torchvision", "FRAGMENT")
            library.define(schema)
            _declared.append(library)
    return importlib.import_module("deepinv")


_declared = []
