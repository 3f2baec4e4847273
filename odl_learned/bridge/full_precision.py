"""Operators keep the precision of their spaces, also where networks run in less."""

from collections.abc import Callable

import torch

from odl_learned.bridge.layouts.nested import first_tensor


def in_full_precision(function: Callable, x, *others):
    """Return ``function(x, *others)``, outside of an enclosing ``torch.autocast``.

    Autocast converts the factors of every product and convolution to half precision: values lose
    all but three digits, and sparse products and solvers fail, since torch has none in bfloat16.
    """
    device = first_tensor(x).device.type
    if not torch.is_autocast_enabled(device):
        return function(x, *others)
    with torch.autocast(device, enabled=False):
        return function(x, *others)
