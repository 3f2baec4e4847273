"""What an energy claims, held against random points: `check_energy`."""

from odl_learned.energies.checks.energy_checks import check_energy

__all__ = [
    "check_energy",
]
