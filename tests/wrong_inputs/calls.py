"""All valid calls, by the rooms of the package."""

from wrong_inputs.calls_bilevel import BILEVEL
from wrong_inputs.calls_ground import GROUND, files
from wrong_inputs.calls_reconstruction import RECONSTRUCTION
from wrong_inputs.calls_solvers import WEST
from wrong_inputs.calls_torch import EAST


def all_calls(folder):
    """``{"room.name": (function, arguments)}``; what reads files finds them in the folder."""
    return GROUND | WEST | EAST | RECONSTRUCTION | BILEVEL | files(folder)
