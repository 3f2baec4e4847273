from typing import Any

from odl.functionals.functional import Functional as Functional

def __getattr__(name: str) -> Any: ...
