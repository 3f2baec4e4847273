"""All valid calls, by the rooms of the package."""

from wrong_inputs.calls_bilevel import BILEVEL
from wrong_inputs.calls_comparison import COMPARISON
from wrong_inputs.calls_diffusion import DIFFUSION
from wrong_inputs.calls_generative import GENERATIVE
from wrong_inputs.calls_ground import GROUND, files
from wrong_inputs.calls_learning import LEARNING, learned_files
from wrong_inputs.calls_networks import NETWORKS
from wrong_inputs.calls_reconstruction import RECONSTRUCTION
from wrong_inputs.calls_regularizers import REGULARIZERS
from wrong_inputs.calls_sampling import SAMPLING
from wrong_inputs.calls_solvers import WEST
from wrong_inputs.calls_torch import EAST

#: Calls that need no files.
ROOMS = (GROUND, WEST, EAST, NETWORKS, REGULARIZERS, RECONSTRUCTION, LEARNING, BILEVEL, SAMPLING,
         GENERATIVE, DIFFUSION, COMPARISON)


def all_calls(folder):
    """``{"room.name": (function, arguments)}``; what reads files finds them in the folder."""
    calls = files(folder) | learned_files(folder)
    for room in ROOMS:
        calls |= room
    return calls
