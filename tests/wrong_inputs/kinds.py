"""Ten kinds of wrong values, made from a valid one."""

import numbers

import numpy as np
import odl
import torch
from torch import nn

ELSEWHERE = odl.uniform_discr([0, 0, 0], [1, 1, 1], (2, 1, 3))


class Stranger:
    """An object that no function expects."""

    def __repr__(self):
        return "a stranger"


def wrong_values(valid):
    """Return ``{kind: value}`` of wrong values in place of a valid one."""
    wrong = {"none": None, "text": "seven", "stranger": Stranger()}
    if isinstance(valid, str):
        del wrong["text"]
        wrong |= {"unknown word": "seven", "number": 3.5}
    elif isinstance(valid, bool | np.bool_):
        pass
    elif isinstance(valid, numbers.Integral):
        wrong |= {"NaN": np.nan, "infinite": np.inf, "negative": -7, "huge": 10**400,
                  "complex": valid + 1j, "fraction": valid + 0.5, "array": np.array([valid, valid])}
    elif isinstance(valid, numbers.Real):
        wrong |= {"NaN": np.nan, "infinite": np.inf, "negative": -7.0, "huge": 10**400,
                  "complex": valid + 1j, "array": np.array([valid, valid])}
    elif isinstance(valid, np.ndarray):
        wrong |= _arrays(valid)
    elif isinstance(valid, torch.Tensor):
        wrong |= _tensors(valid)
    elif hasattr(valid, "space") and hasattr(valid, "asarray"):
        wrong |= _elements(valid)
    elif type(valid) in (tuple, list):
        wrong |= _sequences(valid)
    elif isinstance(valid, odl.core.set.LinearSpace):
        wrong |= {"shape": (4, 4), "array": np.ones((4, 4)), "elsewhere": odl.rn(3, exponent=1),
                  "element": valid.zero(), "integers": _whole_numbered(valid)}
    elif isinstance(valid, odl.Operator):
        wrong |= {"class": type(valid), "module": nn.Identity(), "array": np.ones((4, 4)),
                  "function": lambda x: x, "elsewhere": odl.IdentityOperator(ELSEWHERE)}
    elif isinstance(valid, nn.Module):
        wrong |= {"class": type(valid), "function": lambda x: x, "array": np.ones((4, 4)),
                  "operator": odl.IdentityOperator(ELSEWHERE)}
    elif isinstance(valid, np.random.Generator):
        wrong |= {"seed": 0, "legacy": np.random.RandomState(0), "torch": torch.Generator()}
    elif isinstance(valid, torch.Generator):
        wrong |= {"seed": 0, "numpy": np.random.default_rng(0)}
    elif callable(valid):
        wrong |= {"number": 3.5, "array": np.ones((4, 4)), "fails to take": lambda: None,
                  "returns none": lambda *args: None}
    else:
        wrong |= {"number": 3.5, "array": np.ones((4, 4)), "empty": (), "class": type(valid)}
    return wrong


def _whole_numbered(space):
    """The space with whole numbers, or another one of them."""
    return space.astype("int64") if hasattr(space, "partition") else odl.rn(3).astype(int)


def _arrays(valid):
    wrong = {"empty": np.zeros((0, *valid.shape[1:])), "one axis more": valid[None],
             "one row more": np.concatenate([valid, valid[:1]]), "words": np.full(valid.shape, "a"),
             "objects": np.full(valid.shape, None)}
    if np.issubdtype(valid.dtype, np.inexact):
        wrong |= {"NaN": _with(valid.copy(), np.nan), "infinite": _with(valid.copy(), np.inf)}
    if not np.iscomplexobj(valid):
        wrong["complex"] = valid + 1j
    return wrong


def _tensors(valid):
    wrong = {"empty": valid[:0], "one axis more": valid[None], "array": valid.numpy(),
             "one row more": torch.cat([valid, valid[:1]]) if valid.ndim else valid[None],
             "elsewhere": valid.to("meta")}
    if valid.is_floating_point() or valid.is_complex():
        wrong |= {"NaN": _with(valid.clone(), torch.nan),
                  "infinite": _with(valid.clone(), torch.inf),
                  "integers": torch.ones(valid.shape, dtype=torch.int64)}
    if not valid.is_complex():
        wrong["complex"] = valid + 1j
    return wrong


def _elements(valid):
    array = valid.asarray()
    return {"array": array, "elsewhere": ELSEWHERE.one(), "number": 3.5,
            "NaN": valid.space.element(_with(np.array(array), np.nan)),
            "infinite": valid.space.element(_with(np.array(array), np.inf)),
            "tensor": torch.as_tensor(np.array(array))}


def _sequences(valid):
    kind = type(valid)
    wrong = {"empty": kind(), "one more": kind([*valid, valid[0]]), "number": 3.5,
             "of none": kind([None] * len(valid)), "of words": kind(["a"] * len(valid))}
    if all(isinstance(v, numbers.Real) for v in valid):
        wrong |= {"of NaN": kind([np.nan] * len(valid)), "of negative": kind([-7] * len(valid)),
                  "of huge": kind([10**400] * len(valid)),
                  "of complex": kind([v + 1j for v in valid])}
    return wrong


def _with(array, value):
    """The array with one entry replaced, or itself where it has none."""
    if array.reshape(-1).shape[0]:
        array.reshape(-1)[0] = value
    return array
