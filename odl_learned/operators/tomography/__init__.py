"""Ray transforms and what belongs to them: backprojection, emission, symmetrized rays."""
