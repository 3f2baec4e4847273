"""The weights of the demonstration against total variation, over three seeds."""

import numpy as np

from odl_learned import demo, metrics
from odl_learned.demo import learned, methods

SIZES = {"tiny": (32, {"ct": 5, "mri": 5}, 1), "full": (256, {"ct": 400, "mri": 1500}, 3)}


def measure(size):
    """Return the mean gains in dB; the slices are those of pydicom-data."""
    n, niter, seeds = SIZES[size]
    numbers = {}
    for image in demo.example_images():
        gains = []
        for seed in range(seeds):
            scene = demo.scene_of(image, n, np.random.default_rng(seed))
            truth = methods.as_array(scene.truth)
            quality = [metrics.psnr(methods.as_array(result.x), truth) for result in (
                methods.total_variation(scene, niter[scene.name]),
                learned.shipped_reconstruction(scene))]
            gains.append(quality[1] - quality[0])
            print(f"demo {scene.name}, seed {seed}: TV {quality[0]:.2f} dB, learned "
                  f"{quality[1]:.2f} dB", flush=True)
        numbers[f"demo_{scene.name}_gain_db"] = float(np.mean(gains))
    return numbers
