"""Other packages, where they are installed."""

import functools
import importlib.util
import subprocess
import sys

import torch


@functools.cache
def deepinv():
    """Return the module deepinv, or None where it is not installed.

    torchvision, which it imports, may come with operators for CUDA that a CPU-only torch does not
    know; declared without an implementation, they let it be imported, and nothing here calls them.
    Declared beside a torchvision that brings them, they would abort the interpreter. Which of the
    two it is, a process apart finds out.
    """
    if importlib.util.find_spec("deepinv") is None:
        return None
    if not _imports("torchvision"):
        for schema in ("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
                       "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"):
            library = torch.library.Library("torchvision", "FRAGMENT")
            library.define(schema)
            _declared.append(library)
    return importlib.import_module("deepinv")


def _imports(name):
    """Whether a module can be imported, tried in a process apart."""
    command = [sys.executable, "-c", f"import {name}"]
    return subprocess.run(command, capture_output=True).returncode == 0


_declared = []
