"""Backprojections that interpolate on the detector, of parallel, fan and cone beams."""
