"""Projectors as sparse matrices of planes, one pair for elements of ODL and for tensors."""
