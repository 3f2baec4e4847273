"""How much a file may expand to: its size is known, the size that it claims is only a claim."""

import dataclasses
import math
import numbers
from typing import final

from odl_learned.validation import shown


@final
@dataclasses.dataclass(frozen=True)
class Limits:
    """Bounds on what is read of a file, checked before memory is asked for.

    An array of ``b`` bytes that ``s`` bytes of the file stand for is read if ``b <= max_bytes`` and
    ``b <= max(max_ratio s, small_bytes)``. Deflation makes zeros at most 1032 times smaller, and
    images about two to ten times; a constant image is legitimate as long as it is small.

    Parameters
    ----------
    max_bytes : float
        Largest size in bytes; ``math.inf`` lifts the limit, here and below.
    max_ratio : float
        Largest expansion of compressed data.
    small_bytes : float
        Size in bytes up to which the ratio does not matter.

    Raises
    ------
    ValueError
        If a limit is not a positive number.

    Examples
    --------
    >>> from odl_learned import data
    >>> print(data.Limits(max_bytes=1e6))
    Limits(max_bytes=1000000.0, max_ratio=200.0, small_bytes=67108864)
    """

    max_bytes: float = 2**32
    max_ratio: float = 200.0
    small_bytes: float = 2**26

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not (isinstance(value, numbers.Real) and value > 0):
                raise ValueError(
                    f"{field.name} is {value!r}; expected a positive number, math.inf for no limit."
                )

    def require(self, name: str, claimed: float, stored: float) -> None:
        """Raise ValueError if ``claimed`` bytes are too many for ``stored`` bytes of a file."""
        if claimed <= min(self.max_bytes, max(self.max_ratio * stored, self.small_bytes)):
            return
        ratio = claimed / stored if stored else math.inf
        raise ValueError(
            f"{name} would take {claimed} bytes or more, {ratio:.3g} times the {stored:.0f} that "
            f"the file holds of it; expected at most {self.max_bytes:.15g} bytes and, above "
            f"{self.small_bytes:.15g} bytes, a ratio of at most {self.max_ratio:g}. If you trust "
            "the file, pass limits=data.Limits(max_bytes=..., max_ratio=...)."
        )


def require_limits(limits):
    """Raise TypeError unless these are limits."""
    if not isinstance(limits, Limits):
        raise TypeError(f"limits is {shown(limits)}, expected data.Limits(max_bytes=..., "
                        "max_ratio=...); leave it out for those of the package.")
