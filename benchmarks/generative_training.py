"""The four models of the benchmark: one mean, and on it a constant to a 5 x 5 covariance.

``python benchmarks/generative_training.py ellipses FOLDER`` trains them in stages, in FOLDER, where
an interrupted training goes on.
"""

import sys
from pathlib import Path

import generative_data
import torch

from odl_learned import learning
from odl_learned.learning.objectives import EvidenceLowerBound
from odl_learned.networks import generative

LATENT = 16
NOISE_LEVEL = 0.01
#: Radius of the window of each model; None has one precision for all pixels.
MODELS = {"identity": None, "diagonal": 0, "3x3": 1, "5x5": 2}
#: Steps of the mean, of the covariance and of all, at batches of 64.
STEPS = (6000, 2000, 1500)


def network(radius: int | None, size: int = generative_data.SIZE,
            deviation: float = 0.1) -> generative.VariationalAutoencoder:  # fmt: skip
    """An autoencoder of fully connected layers, as at the start of training."""
    source, shape = torch.Generator().manual_seed(0), (size, size)
    encoder = generative.FullyConnectedEncoder(1, shape, (384, 256), LATENT, generator=source)
    decoder = generative.FullyConnectedDecoder(LATENT, (256, 384), 1, shape, generator=source)
    if radius is None:
        head = generative.ConstantHead(1, shape, deviation=deviation)
    else:
        entries = 1 + generative.heads.later_neighbors(radius)
        head = generative.WindowHead(
            generative.FullyConnectedDecoder(LATENT, (192,), entries, shape, scale=0.1,
                                             generator=source),
            radius, deviation=deviation, least_deviation=0.9 * NOISE_LEVEL)  # fmt: skip
    return generative.VariationalAutoencoder(encoder, decoder, head)


def trained(images: generative_data.Images, name: str, folder: Path,
            steps: tuple[int, int, int] = STEPS) -> generative.VariationalAutoencoder:  # fmt: skip
    """The model of this name, trained in stages, or read where its training is complete."""
    pairs = torch.from_numpy(images.train)
    validation = torch.from_numpy(images.validation)
    options = dict(loss=EvidenceLowerBound(noise_level=NOISE_LEVEL), batch_size=64, clip_norm=0.3,
                   validation=validation, progress=False)  # fmt: skip
    mean = network(None)
    (folder / "mean").mkdir(parents=True, exist_ok=True)
    learning.train_in_stages(
        mean, pairs, [learning.Stage("mean", [mean], steps[0], learning.adam_with_cosine(2e-3))],
        folder=folder / "mean", **options)
    model = network(MODELS[name], deviation=mean.head.deviation)
    model.encoder.load_state_dict(mean.encoder.state_dict())
    model.decoder.load_state_dict(mean.decoder.state_dict())
    (folder / name).mkdir(exist_ok=True)
    last = learning.Stage("all", [model], steps[2], learning.adam_with_cosine(5e-4))
    stages = [last] if MODELS[name] is None else [
        learning.Stage("covariance", [model.head], steps[1], learning.adam_with_cosine(2e-3)), last]
    learning.train_in_stages(model, pairs, stages, folder=folder / name, **options)
    return model.eval()


if __name__ == "__main__":
    from odl_learned.threads import limit_threads

    limit_threads(1)
    chosen = getattr(generative_data, sys.argv[1])()
    for model_name in sys.argv[3:] or MODELS:
        trained(chosen, model_name, Path(sys.argv[2]))
