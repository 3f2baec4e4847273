"""Loops compiled by numba, where it is installed: formulas of other rooms, fused.

`compiler` compiles and says whether it can, `pool` runs loops on several threads. Every other file,
in `variation/` over neighboring pixels, in `rays/` along rays, holds loops, imports numba and is
imported where a loop runs, never before. The plain form of each loop is in the room that uses it:
it is what tests compare with, and what runs where numba is not installed, on accelerators, and for
images of other dimensions. Against the plain form

- `rof`, `rof_volumes`, `tgv` and `tgv_gap` have the same bits: it is numpy, whose roots and
  quotients are rounded as IEEE 754 demands, and sums are added up in one order;
- so have `plane_backprojection` and `cone_backprojection`, which are numpy, too, view by view;
- `projections` has the bits of the formula in numpy. Its plain form is torch, whose square roots
  may be off by a unit in the last place: in every sixth number of single precision where this was
  measured. So `bridge.proximals` agrees up to a few roundings;
- `cone` computes the same weights as its plain form, a sparse matrix in double precision, and adds
  up in another order, in the precision of the image;
- `differences`, `gradients`, `smoothed_variation` and `curved`, whose plain forms are torch, too,
  agree up to the roundings of their sums, and `distances`, which adds up one by one;
- `vectors` and `sparse` have the bits of numpy and SciPy, and `projections.largest_squares`, too.

However many threads there are, and whichever samples come together, each has its own bits.

A file of loops is complete in itself: what numba keeps on disk is as old as that one file.
"""

from odl_learned.compiled.compiler import compiled, is_available
from odl_learned.compiled.pool import run_all, shares, useful_threads

__all__ = ["compiled", "is_available", "run_all", "shares", "useful_threads"]
