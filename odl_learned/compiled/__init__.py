"""Loops compiled by numba, where it is installed: formulas of other rooms, fused.

`compiler` compiles and says whether it can, `pool` runs loops on several threads. Every other file
holds loops, imports numba and is imported where a loop runs, never before. The plain form of each
loop is in the room that uses it: it is what tests compare with, bit by bit, and what runs where
numba is not installed, on accelerators, and for images of other dimensions.

A file of loops is complete in itself: what numba keeps on disk is as old as that one file.
"""

from odl_learned.compiled.compiler import compiled, is_available
from odl_learned.compiled.pool import run_all, shares, useful_threads

__all__ = ["compiled", "is_available", "run_all", "shares", "useful_threads"]
