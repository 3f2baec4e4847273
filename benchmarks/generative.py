"""Generative regularizers that model covariances; the last line printed is one JSON object.

    python benchmarks/generative.py                      everything
    python benchmarks/generative.py --part speed         one of the parts, see PARTS
    python benchmarks/generative.py --size tiny          does it run?

``speed``: CPU milliseconds of one thread of a sparse factor on an image, against convolution and
einsum, forward and backward, and of a sample; ``systems``: iterations of proximals and of
reconstruction in MRI, with each of the preconditioners; ``likelihood``: how close training comes to
the closed form, and the order of the models on images that were held out; ``reconstruction``: what
their covariances gain in closed form, with principal components in the place of a network;
``autoencoders``: variational autoencoders with each of the covariances, on ellipses, digits and
brains, against the range of the decoder and total variation, and the CPU minutes that they take;
``off_cell``: against an unrolled network, trained at one sampling and noise, at others. With
``--folder`` what these two train is kept there, goes on where it was interrupted, and is not
trained again. Numbers that were not measured are null.
"""

import argparse
import json

import timing  # isort: skip  # noqa: F401  (one thread)
import generative_closed_form as closed_form
import generative_precision as precision
import generative_reconstruction as trained
import generative_training
import generative_unrolled

KEYS = ("ltu_ms", "ltu_vs_onehot", "sample_ms", "prox_iterations", "closed_form_gap_nats",
        "closed_3x3_vs_identity_db", "closed_wins", "vae_identity_db", "vae_diagonal_db",
        "vae_3x3_db", "vae_5x5_db", "tv_db", "hard_db", "wins_off_cell", "at_cell_db",
        "seconds_per_image", "gradient_vs_onehot", "gradient_vs_onehot_batch", "variances_ms",
        "mri_iterations", "nats_identity", "nats_diagonal", "nats_3x3", "nats_5x5",
        "closed_3x3_vs_diagonal_db", "closed_5x5_db", "ellipses_3x3_cpu_minutes",
        "ellipses_all_cpu_minutes")  # fmt: skip
PARTS = {
    "speed": precision.speed,
    "systems": precision.systems,
    "likelihood": closed_form.likelihood,
    "reconstruction": closed_form.reconstruction,
    "autoencoders": trained.autoencoders,
    "off_cell": trained.off_cell,
}
KEPT = {"autoencoders", "off_cell"}
SIZES = {
    "tiny": {
        "speed": {"n": 16, "rounds": 1},
        "systems": {"n": 16, "images": 40},
        "likelihood": {"n": 16, "train": 100, "test": 10, "steps": 20},
        "reconstruction": {"n": 16, "train": 100, "test": 4},
        "autoencoders": {"data_sets": {"ellipses": ((200, 8, 4), (30, 10, 10))},
                         "cells": [("mri", 0.25, 0.02)]},
        "off_cell": {"counts": (200, 8, 4), "steps": (30, 10, 10), "net_steps": 3,
                     "samplings": (0.5,), "noises": (0.1,)},
    },
    "full": {
        "speed": {"n": 128, "rounds": 30},
        "systems": {"n": 128, "images": 300},
        "likelihood": {"n": 32, "train": 2000, "test": 500, "steps": 2000},
        "reconstruction": {"n": 32, "train": 2000, "test": 40},
        "autoencoders": {"data_sets": {"ellipses": ((), generative_training.STEPS),
                                       "digits": ((), generative_training.FEWER_STEPS),
                                       "brains": ((), generative_training.FEWER_STEPS)},
                         "cells": trained.CELLS},
        "off_cell": {"counts": (), "steps": generative_training.STEPS,
                     "net_steps": generative_unrolled.STEPS,
                     "samplings": (0.15, 0.25, 0.35, 0.5), "noises": (0.01, 0.025, 0.05, 0.1)},
    },
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--part", choices=PARTS, help="default: all of them")
    parser.add_argument("--folder", help="where trained models are kept; default: nowhere")
    arguments = parser.parse_args()
    numbers = dict.fromkeys(KEYS)
    for name, function in PARTS.items():
        if arguments.part in (None, name):
            print(f"\n{name}", flush=True)
            kept = {"folder": arguments.folder} if name in KEPT else {}
            numbers |= function(**SIZES[arguments.size][name], **kept)
    print(json.dumps({key: value if value is None else float(f"{value:.4g}")
                      for key, value in numbers.items()}))


if __name__ == "__main__":
    main()
