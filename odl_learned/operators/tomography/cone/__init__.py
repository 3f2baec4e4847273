"""Cone beams in space: the rays of a scanner with a flat detector."""
