"""Native rules for Fourier transforms and what is diagonal in frequencies."""
