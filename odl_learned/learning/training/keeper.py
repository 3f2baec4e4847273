"""The checkpoint of a training: its file, and what is the same in every state of it."""

from pathlib import Path

from odl_learned.learning.files.checkpoint import read_checkpoint, write_checkpoint
from odl_learned.learning.files.identity import identity_of, probes_of
from odl_learned.learning.training.state import restore, training_state
from odl_learned.learning.training.step_checks import require_finite_parameters


class Keeper:
    """Reads a training from its file, if there is one, and writes it there.

    Parameters
    ----------
    path : str or path-like
        The file, of which this is the sole writer.
    setting : dict
        Numbers that have to be the same when training continues.
    training : identity.Training
    learner : training_state.Learner
    steps : int
        Number of steps that are asked for in all.

    Raises
    ------
    ValueError
        If the file is of another training; nothing is changed then.
    """

    def __init__(self, path, setting, training, learner, steps):
        self.path, self.setting, self.learner = path, setting, learner
        self.saved = None
        state = read_checkpoint(path) if Path(path).exists() else None
        probes = probes_of(training.pairs)
        self.data = probes[0][0].to(training.device)
        if state is None:
            self.identity = identity_of(training, probes, learner.model)
        else:
            restore(path, state, setting, steps, learner, training, probes)
            self.identity, self.saved = state["identity"], learner.record.steps

    def save(self, random):
        """Write the present state with these random states, unless it is the one in the file."""
        steps = self.learner.record.steps
        if self.saved != steps:
            require_finite_parameters(self.learner.model, steps)
            state = training_state(self.setting, self.identity, self.learner, self.data, random)
            write_checkpoint(self.path, state)
            self.saved = steps
