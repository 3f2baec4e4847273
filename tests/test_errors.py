"""Bad input over the public interface: the error names the value, the expectation, the next step.

The tables of mistakes are in the files ``test_errors_*.py``, one for each room; see ``mistakes``.
"""

from test_errors_bridge import BATCHES, BRIDGE
from test_errors_data import DATA
from test_errors_files import FILES
from test_errors_learning import LEARNING
from test_errors_operators import OPERATORS
from test_errors_solvers import SOLVERS
from test_errors_variational import FUNCTIONALS, MODELS


def test_names_of_the_tables_are_unique():
    table = (BRIDGE + OPERATORS + MODELS + SOLVERS + BATCHES + FUNCTIONALS + DATA + FILES
             + LEARNING)  # fmt: skip
    assert len({row[0] for row in table}) == len(table)
