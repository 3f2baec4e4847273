"""The weights of the demonstration against total variation, over three seeds."""

import json

import numpy as np

from odl_learned import demo, metrics
from odl_learned.demo import learned, methods

SIZES = {"tiny": (32, {"ct": 5, "mri": 5}, 1), "full": (256, {"ct": 400, "mri": 1500}, 3)}


def measure(size, folder):
    """Return the mean gains in dB; the slices are those of pydicom-data.

    What total variation reaches is kept in the folder, since it does not depend on the weights.
    """
    n, niter, seeds = SIZES[size]
    numbers = {}
    for image in demo.example_images():
        gains = []
        for seed in range(seeds):
            scene = demo.scene_of(image, n, np.random.default_rng(seed))
            truth = methods.as_array(scene.truth)
            variation = _total_variation(scene, niter[scene.name], truth,
                                         folder / f"demo_{scene.name}_{n}_{seed}.json")
            learned_db = metrics.psnr(methods.as_array(learned.shipped_reconstruction(scene).x),
                                      truth)
            gains.append(learned_db - variation)
            print(f"demo {scene.name}, seed {seed}: TV {variation:.2f} dB, learned "
                  f"{learned_db:.2f} dB", flush=True)
        print(f"demo {scene.name}: {np.mean(gains):+.2f} dB, from {min(gains):+.2f} to "
              f"{max(gains):+.2f} dB over {seeds} seeds", flush=True)
        numbers[f"demo_{scene.name}_gain_db"] = float(np.mean(gains))
    return numbers


def _total_variation(scene, niter, truth, file):
    if not file.exists():
        x = methods.as_array(methods.total_variation(scene, niter).x)
        file.write_text(json.dumps(metrics.psnr(x, truth)))
    return json.loads(file.read_text())
