"""Data fidelities: squares of residuals, and the Kullback-Leibler and Poisson ones of counts."""
