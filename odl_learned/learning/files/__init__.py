"""Learned maps and states of training as files.

`checkpoint` writes states whole or not at all, `sole_writer` keeps others away, `identity` compares
a state with the training that goes on from it; `saved` and `saved_regularizers` store learned maps
by recipes, which hold no code, and `run_folder` all of one training.
"""
