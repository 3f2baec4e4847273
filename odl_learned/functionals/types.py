"""The type of ``f.proximal``, as ODL has it."""

from typing import Protocol

import odl


class ProximalFactory(Protocol):
    """``sigma -> prox_{sigma f}``, an operator on the domain of ``f`` for every step."""

    def __call__(self, sigma: float = 1.0) -> odl.Operator:
        """The proximal of ``sigma f``."""
