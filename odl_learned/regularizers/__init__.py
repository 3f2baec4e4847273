"""Learned regularizers as ODL functionals, and certificates of what they are made of.

`certificates` says whether a network is what it is claimed to be: certified with a bound, refuted
with a witness, or unknown.
"""

from odl_learned.regularizers import certificates

__all__ = ["certificates"]
