"""Two maps trained on the same few images, and compared where these are equally well restored.

A map with fewer weights needs more steps to the same training error, and a longer training on few
images is a worse one for any map. So neither equal steps nor the ends of two trainings are fair.
Here the level is the training error at which the ordinary map is best on upright images for
validation, which is where one would have stopped it; the other one is taken at the same level.
"""

import numpy as np
import torch

from odl_learned import data, learning, metrics

#: What curves are made of, by column.
SETS = ("training", "validation", "upright", "turned")
#: More steps for the equivariant map.
PATIENCE = 1.5


def turned(images):
    """Return the images ``(N, n, n)`` turned by 90 degrees, one after the other left and right."""
    return np.stack([np.rot90(x, 1 + 2 * (k % 2)) for k, x in enumerate(images)])


def quality(model, y, x):
    """Return the mean PSNR of ``model(y)``, images ``(N, n, n)``."""
    with torch.no_grad():
        found = model(torch.as_tensor(y)).numpy()
    return float(np.mean([metrics.psnr(*pair) for pair in zip(found, x)]))


def curve(model, sets, stages, every, seed, batch_size=2, rate=1e-3, pairs=None):
    """Train in stages; return ``(stages + 1, 4)``, the PSNR of `SETS`, pairs (data, truth).

    Trained on other pairs than those of the training set, if there are any, such as ones with new
    noise in each step.
    """
    pairs = data.FixedPairs(*sets["training"]) if pairs is None else pairs
    optimizer = torch.optim.Adam(model.parameters(), rate)
    rows = [[quality(model, *sets[name]) for name in SETS]]
    for stage in range(stages):
        learning.train(model, pairs, steps=every, optimizer=optimizer, batch_size=batch_size,
                       seed=100 * seed + stage, clip_norm=1.0, progress=False)  # fmt: skip
        model.eval()
        rows.append([quality(model, *sets[name]) for name in SETS])
    return np.array(rows)


def curves(models, sets, stages, every, seed, batch_size=2, rate=1e-3, pairs=None):
    """Return the curve of each model, that of the equivariant one longer by `PATIENCE`."""
    lengths = {name: round(stages * (PATIENCE if name == "equivariant" else 1)) for name in models}
    return {name: curve(model, sets, lengths[name], every, seed, batch_size, rate, pairs)
            for name, model in models.items()}  # fmt: skip


def at(rows, training):
    """Return the row at which the training images are restored as well as this."""
    reached = np.maximum.accumulate(rows[:, 0])
    return np.array([np.interp(training, reached, column) for column in rows.T])


def matched(found):
    """Return the row of each curve at the training error at which the ordinary map is best."""
    level = found["ordinary"][found["ordinary"][:, 1].argmax(), 0]
    level = min(level, *(rows[:, 0].max() for rows in found.values()))
    return {name: at(rows, level) for name, rows in found.items()}


def best(found):
    """Return the row of each curve at which it is best on the images for validation."""
    return {name: rows[rows[:, 1].argmax()] for name, rows in found.items()}


def kept_or_new(file, new):
    """Return the arrays of a file, which is written first where there is none; None keeps none."""
    if file is None:
        return new()
    if not file.exists():
        unfinished = file.with_suffix(".unfinished.npz")
        np.savez(unfinished, **new())
        unfinished.replace(file)
    with np.load(file) as arrays:
        return dict(arrays)


def differences(results):
    """Return by seed the gaps between upright and turned, and the gains of the equivariant map.

    Parameters
    ----------
    results : dict of array, shape (counts, seeds, 4)
        Rows of curves, of the ordinary and the equivariant map. The gain on upright images is that
        from the fewest training images, the others are means.
    """
    ordinary, equivariant = results["ordinary"], results["equivariant"]
    gains = equivariant - ordinary
    return {
        "rotation_gap_ordinary": (ordinary[..., 2] - ordinary[..., 3]).mean(0),
        "rotation_gap_equivariant": (equivariant[..., 2] - equivariant[..., 3]).mean(0),
        "rotated_gain_db": gains[..., 3].mean(0),
        "small_data_gain_db": gains[0, :, 2],
    }


def summary(results):
    """Return the means of `differences` over the seeds."""
    return {key: float(values.mean()) for key, values in differences(results).items()}
