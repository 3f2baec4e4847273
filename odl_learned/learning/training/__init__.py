"""The loop of training and what it keeps: `learning.train` is its door.

`loop` takes steps of the optimizer on `batches` that `loading` draws, `keeper` writes the `state`
to checkpoints, `agreement` compares the processes that share a batch.
"""
