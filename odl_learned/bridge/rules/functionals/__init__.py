"""Native rules for functionals."""
