"""Operators and functionals without a rule, one sample at a time."""
