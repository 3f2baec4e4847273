"""Projectors in the plane as sparse matrices, one pair for elements of ODL and for tensors."""
