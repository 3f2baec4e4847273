"""Where entries of elements are in tensors, and their weights."""
