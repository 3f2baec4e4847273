"""Transforms that are unitary, or made of such: Fourier, wavelets, translations and rotations."""
