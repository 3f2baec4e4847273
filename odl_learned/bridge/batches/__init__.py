"""Problems of ODL on batches of tensors: `bridge.as_batch`, the twins it makes, their space."""
