from typing import Any

import numpy as np
from odl.core.set.space import LinearSpace, LinearSpaceElement

class Tensor(LinearSpaceElement):
    def asarray(self, *args: Any, **kwargs: Any) -> np.ndarray: ...

class TensorSpace(LinearSpace):
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def ndim(self) -> int: ...
    @property
    def size(self) -> int: ...

def __getattr__(name: str) -> Any: ...
