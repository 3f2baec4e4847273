"""The four models of the benchmark: one mean, and on it a constant to a 5 x 5 covariance.

``python benchmarks/generative_training.py ellipses FOLDER`` trains them in stages, in FOLDER, where
an interrupted training goes on.
"""

import sys
import time
from pathlib import Path

import generative_data
import torch

from odl_learned import learning
from odl_learned.learning.objectives import EvidenceLowerBound
from odl_learned.networks import generative

LATENT = 48
NOISE_LEVEL = 0.01
#: Radius of the window of each model; None has one precision for all pixels.
MODELS = {"identity": None, "diagonal": 0, "3x3": 1, "5x5": 2}
#: Steps of the mean, of the covariance and of all, at batches of 32: of phantoms, of which there
#: are as many as one likes, and of digits and brains.
STEPS, FEWER_STEPS = (9000, 2000, 3000), (4000, 1000, 1500)


def network(radius: int | None, size: int = generative_data.SIZE,
            deviation: float = 0.1) -> generative.VariationalAutoencoder:  # fmt: skip
    """An autoencoder whose mean is refined by convolutions, as at the start of training."""
    source, shape = torch.Generator().manual_seed(0), (size, size)
    encoder = generative.ConvolutionalEncoder(1, shape, (16, 32, 64), LATENT, generator=source)
    rough = generative.FullyConnectedDecoder(LATENT, (256, 384), 6, shape, generator=source)
    decoder = generative.RefinedDecoder(rough, (16, 16), generator=source)
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
    mean = network(None)
    adam = learning.adam_with_cosine
    _train(mean, images, [learning.Stage("mean", [mean], steps[0], adam(2e-3))], folder / "mean")
    model = network(MODELS[name], deviation=mean.head.deviation)
    model.encoder.load_state_dict(mean.encoder.state_dict())
    model.decoder.load_state_dict(mean.decoder.state_dict())
    last = learning.Stage("all", [model], steps[2], adam(5e-4))
    stages = [last] if MODELS[name] is None else [
        learning.Stage("covariance", [model.head], steps[1], adam(2e-3)), last]
    _train(model, images, stages, folder / name)
    return model.eval()


def cpu_seconds(folder: Path, names=("mean", *MODELS)) -> float:
    """CPU seconds that these trainings in a folder took, interruptions included."""
    return sum(float(line) for name in names
               for line in (folder / name / "cpu_seconds.txt").read_text().split())


def _train(model, images, stages, folder):
    folder.mkdir(parents=True, exist_ok=True)
    begin, last = time.process_time(), folder / f"{len(stages)}-{stages[-1].name}" / "curve.csv"
    complete = last.exists() and last.read_text().split()[-1].startswith(f"{stages[-1].steps},")
    learning.train_in_stages(
        model, torch.from_numpy(images.train), stages, batch_size=32, clip_norm=0.3,
        loss=EvidenceLowerBound(noise_level=NOISE_LEVEL), progress=False, folder=folder,
        validation=torch.from_numpy(images.validation))  # fmt: skip
    if not complete:
        with open(folder / "cpu_seconds.txt", "a") as record:
            print(time.process_time() - begin, file=record)


if __name__ == "__main__":
    from odl_learned.threads import limit_threads

    limit_threads(1)
    chosen = getattr(generative_data, sys.argv[1])()
    for model_name in sys.argv[3:] or MODELS:
        trained(chosen, model_name, Path(sys.argv[2]),
                STEPS if sys.argv[1] == "ellipses" else FEWER_STEPS)
