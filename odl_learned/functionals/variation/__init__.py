"""Penalties of derivatives: total variation, smoothed and generalized, and the H1 seminorm."""
