"""The arithmetic that solvers share, for elements and for batches whose samples stop alone."""
