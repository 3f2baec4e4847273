"""The command line: a file for each command, with its arguments and what it does with them.

A command has ``add(commands)``, which adds its parser, and ``run(arguments)``, which returns the
exit status: 0 if all is well, 1 if something that was claimed does not hold. What cannot be done
at all is an exception, which ``odl_learned.__main__`` turns into one line and the status 2. Nothing
heavy is imported before a command runs.
"""

from odl_learned.commands import check, doctor, figures, learn, reconstruct

#: All commands beside ``demo``, in the order of the help.
COMMANDS = (figures, reconstruct, learn, check, doctor)
