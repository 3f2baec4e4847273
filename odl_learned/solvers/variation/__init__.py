"""Certified denoising by total variation and by its generalization, in place and block by block.

`denoising` is the loop of both, `denoising_input` and `denoising_units` what enters and in which
units, `sheets` are images in memory as the sweeps want them.
"""
