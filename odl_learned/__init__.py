"""Learned regularization of inverse problems, written in ODL and run in torch."""

import numpy as np

# ODL switches numpy to legacy printing on import; a library must not.
_print_options = np.get_printoptions()
import odl  # noqa: E402, F401

np.set_printoptions(**_print_options)

from odl_learned import odl_fixes  # noqa: E402

odl_fixes.apply()

__version__ = "0.1.0"
