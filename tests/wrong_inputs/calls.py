"""All valid calls, by the rooms of the package."""

from wrong_inputs.calls_bilevel import BILEVEL
from wrong_inputs.calls_ground import GROUND, files
from wrong_inputs.calls_learning import LEARNING, learned_files
from wrong_inputs.calls_networks import NETWORKS
from wrong_inputs.calls_reconstruction import RECONSTRUCTION
from wrong_inputs.calls_regularizers import REGULARIZERS
from wrong_inputs.calls_solvers import WEST
from wrong_inputs.calls_torch import EAST

LEARNED = {f"regularizers.{name}": call for name, call in REGULARIZERS.items()}


def all_calls(folder):
    """``{"room.name": (function, arguments)}``; what reads files finds them in the folder."""
    ground = GROUND | WEST | EAST | NETWORKS | RECONSTRUCTION | LEARNED | LEARNING | BILEVEL
    return ground | files(folder) | learned_files(folder)
