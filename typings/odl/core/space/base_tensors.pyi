from typing import Any

import numpy as np
from odl.core.set.space import LinearSpace, LinearSpaceElement

class Tensor(LinearSpaceElement):
    def asarray(self, *args: Any, **kwargs: Any) -> np.ndarray: ...

class TensorSpace(LinearSpace):
    array_backend: Any
    array_namespace: Any
    device: Any
    itemsize: int
    @property
    def is_uniformly_weighted(self) -> bool: ...

def __getattr__(name: str) -> Any: ...
