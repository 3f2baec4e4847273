"""How far to trust a reconstruction map: perturbations, structures, steepness, bands."""
