"""Ridges: sums of potentials of filter responses, convex or weakly convex, with proofs of it."""

# Importing registers what certificates and energies are told of ridges.
from odl_learned.regularizers.ridges import certificates, energies  # noqa: F401
