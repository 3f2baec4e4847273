r"""Operators and functionals on batches of tensors, as solvers want them.

A solver sees ODL's protocol: ``f(x)``, ``f.gradient(x)``, ``f.proximal(tau)(x)``,
``f.convex_conj``, ``L(x)``, ``L.adjoint(y)``, ``L.domain``. The twins here have the same methods on
tensors ``(B, *shape)``, with the geometry of ODL: gradients and adjoints are Riesz representatives
in the weighted inner products, so that a batch has the iterates of its samples. They compute
without graphs.
"""

from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar, cast

import numpy as np
import odl
import torch
from torch import nn

from odl_learned.bridge.batches.batch_space import BatchSpace
from odl_learned.bridge.batches.stacking import in_double, is_per_sample, select, stack
from odl_learned.bridge.gradients import lower_gradient
from odl_learned.bridge.layouts.nested import Tensors, each
from odl_learned.bridge.lowering import lower
from odl_learned.bridge.proximals import ProximalModule, lower_proximal

#: A batch of elements, a tensor or a tuple of tensors.
Image = TypeVar("Image")
#: A step, or one for each sample; lists hold those of the summands of a separable sum.
Steps = float | np.ndarray | Sequence[float | np.ndarray]

#: Samples with as many entries are converted to double precision one by one, for their memory.
LARGE = 2**14


class Twin:
    """What the twins of operators and functionals have in common.

    Modules are lowered, and stacked, when they are first asked for.
    """

    def __init__(self, objects: Sequence[odl.Operator], size: int | None) -> None:
        self.objects, self.size = objects, size
        self.domain = BatchSpace(objects[0].domain, size)
        self._modules: dict[tuple[str, torch.device], nn.Module] = {}
        self._twins: dict[str, BatchOperator | BatchFunctional] = {}
        self._constants: dict[str, float | np.ndarray] = {}

    def module(self, name: str, device: torch.device) -> nn.Module:
        """The module of this name on a device, without checks."""
        if (name, device) not in self._modules:
            self._modules[name, device] = self._build(name, device).to(device)
        return self._modules[name, device]

    def twin(self, name: str) -> "BatchOperator | BatchFunctional":
        """The twin of what the objects call by this name, such as their adjoints."""
        if name not in self._twins:
            objects = [getattr(self.objects[0], name)]
            if self._differ():
                objects += [getattr(other, name) for other in self.objects[1:]]
            else:
                objects *= len(self.objects)
            kind = BatchOperator if isinstance(self, BatchOperator) else BatchFunctional
            self._twins[name] = kind(objects, self.size)
        return self._twins[name]

    def constant(self, name: str) -> float | np.ndarray:
        """A number that the objects call by this name: a float, or one per sample."""
        if name not in self._constants:
            values = [float(getattr(obj, name)) for obj in self.objects]
            self._constants[name] = values[0] if len(set(values)) == 1 else np.array(values)
        return self._constants[name]

    def take(self, index: Sequence[int] | np.ndarray) -> Self:
        """Return the twin of some of the samples."""
        if self.size is None:
            return self
        result = type(self)([self.objects[i] for i in index], len(index))
        index = torch.as_tensor(np.asarray(index))
        result._modules = {key: select(module, index) for key, module in self._modules.items()}
        result._twins = {key: twin.take(index.tolist()) for key, twin in self._twins.items()}
        result._constants = {key: value if isinstance(value, float) else value[index.numpy()]
                             for key, value in self._constants.items()}
        return result

    def _build(self, name, device):
        raise NotImplementedError

    def _differ(self):
        return any(other is not self.objects[0] for other in self.objects)

    def _lowered(self, rule):
        if not self._differ():
            return rule(self.objects[0])
        return stack([rule(obj) for obj in self.objects])

    def _require(self, x):
        if x not in self.domain:
            self._refuse(x)
        return _first(x).device

    def _refuse(self, x):
        whole, first = BatchSpace(self.domain.space), _first(x)
        if x in whole:
            raise ValueError(
                f"the batch has {len(first)} samples, expected {self.size}: data of as many are in "
                "the twin. Use twin.take(index) for some of them."
            )
        given = type(x).__name__
        if isinstance(first, torch.Tensor):
            given = f"of shape {tuple(first.shape)} and dtype {first.dtype}"
        raise TypeError(
            f"the batch is {given}, expected {whole!r}: tensors with one sample per entry of the "
            "first axis. An element is for the operator itself; convert others by .to and reshape."
        )


class BatchOperator(Twin):
    """A linear ODL operator on batches: ``L(x)``, and ``L.adjoint(y)`` with ODL's adjoint."""

    is_linear = True

    def __init__(self, objects: Sequence[odl.Operator], size: int | None) -> None:
        super().__init__(objects, size)
        self.range = BatchSpace(objects[0].range, size)

    def __call__(self, x: Tensors) -> Any:
        with torch.no_grad():
            return self.module("value", self._require(x))(x)

    @property
    def adjoint(self) -> "BatchOperator":
        """ODL's adjoint on batches."""
        return cast(BatchOperator, self.twin("adjoint"))

    @property
    def is_shared(self) -> bool:
        """Whether the operator is the same for all samples."""
        return not is_per_sample(self.module("value", torch.device("cpu")))

    def _build(self, name, device):
        return self._lowered(lower)


class BatchFunctional(Twin):
    """An ODL functional on batches: ``f(x)`` of shape ``(B,)``, gradient, proximal, conjugate."""

    is_linear = False

    def __call__(self, x: Tensors) -> torch.Tensor:
        with torch.no_grad():
            return self.module("value", self._require(x))(x)

    def precise(self, x: Tensors) -> np.ndarray:
        """Values with constants and sums in double precision, a numpy array of shape (B,)."""
        device = self._require(x)
        value = self.module("value", device)
        # Learned numbers may change between two calls.
        learned = next(value.parameters(), None) is not None
        module = in_double(value) if learned else self.module("precise", device)
        parts = [x]
        if self.size is None and len(_first(x)) > 1 and _first(x)[0].numel() >= LARGE:
            parts = [each(lambda part: part[k : k + 1], x) for k in range(len(_first(x)))]
        with torch.no_grad():
            values = [module(each(_double, part)).cpu().numpy() for part in parts]
        return np.concatenate(values).astype(np.float64)

    def gradient(self, x: Image) -> Image:
        """ODL's gradient, the Riesz representative, of the shape of ``x``."""
        module = self.module("gradient", self._require(x))
        with torch.no_grad():
            return module(x)

    def proximal(self, sigma: Steps) -> Callable[[Image], Image]:
        """The proximal for a step, as a map of batches.

        Parameters
        ----------
        sigma : float, array of shape (B,), or list of these, one for every summand
        """
        def apply(x):
            module = self.module("proximal", self._require(x))
            with torch.no_grad():
                return module(x, _tensors(sigma))

        return apply

    @property
    def convex_conj(self) -> "BatchFunctional":
        """The convex conjugate on batches."""
        return cast(BatchFunctional, self.twin("convex_conj"))

    @property
    def grad_lipschitz(self) -> float | np.ndarray:
        """Lipschitz constant of the gradient, a float or one per sample."""
        return self.constant("grad_lipschitz")

    @property
    def strong_convexity(self) -> float | np.ndarray:
        """Constant of strong convexity, where ODL's functional declares one."""
        return self.constant("strong_convexity")

    def _build(self, name, device):
        if name == "proximal":
            return ProximalModule(self._lowered(lower_proximal), self.domain.layout)
        if name == "precise":
            return in_double(self.module("value", device))
        if name == "gradient":
            _require_gradient(self.objects[0])
            return self._lowered(lower_gradient)
        return self._lowered(lower)


def _require_gradient(functional):
    try:
        functional.gradient
    except NotImplementedError as error:
        raise NotImplementedError(
            f"ODL has no gradient of {type(functional).__name__} ({functional!r}); expected a "
            "smooth functional. If it has a proximal, use a solver that takes proximals."
        ) from error


def _tensors(sigma):
    """Steps per sample as tensors, lists of steps as tuples."""
    if isinstance(sigma, (list, tuple)):
        return tuple(_tensors(step) for step in sigma)
    return torch.from_numpy(sigma) if isinstance(sigma, np.ndarray) and sigma.ndim else sigma


def _double(x):
    return x.to(torch.complex128 if x.is_complex() else torch.float64)


def _first(x):
    return _first(x[0]) if isinstance(x, (tuple, list)) else x
