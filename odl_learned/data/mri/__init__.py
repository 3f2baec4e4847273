"""Magnetic resonance: samples as scanners and fastMRI write them, and coil sensitivities."""
