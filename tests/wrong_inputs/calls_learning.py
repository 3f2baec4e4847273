"""Valid calls of training, objectives and files of learned maps."""

from pathlib import Path

import torch
from instances.modules import ridge
from torch import nn

from odl_learned import learning, reconstruction, regularizers
from odl_learned.learning import objectives
from wrong_inputs.calls_reconstruction import OPERATOR, RIDGE
from wrong_inputs.calls_solvers import A
from wrong_inputs.calls_torch import T, image_net


def trained(**changes):
    model = image_net()
    options = {"pairs": [(T[0].numpy(), T[1].numpy())], "steps": 1, "batch_size": 1, "seed": 0,
               "clip_norm": 1.0, "validate_every": 5, "checkpoint_every": 5, "progress": False,
               "workers": None, "precision": None, "best": None, "folder": None}
    return {"model": model, "optimizer": torch.optim.SGD(model.parameters(), 0.1),
            "loss": learning.mean_squared_error, **options, **changes}


def batch():
    return learning.Batch(T, T, torch.Generator(), "in step 1")


def applied(objective):
    """An objective for a network and a batch, made of what may be wrong."""
    return lambda **arguments: objective(**arguments)(image_net(), batch())


def generator():
    return torch.Generator().manual_seed(0)


def minimizer():
    return reconstruction.RegularizedLeastSquares(
        **OPERATOR, regularizer=ridge(regularizers.LogCosh()), noise_level=0.5, norm=1.0,
        dimension=2, accuracy=1e-2, maxiter=5)


SQUARES = learning.mean_squared_error
SPLIT = objectives.PointSplit(torch.ones(5, 7, dtype=torch.bool), 0.4)
A_MAP = OPERATOR["forward"]

LEARNING = {
    "Best": (learning.Best, lambda: dict(choose=min, restored=True)),
    "MixedPrecision": (learning.MixedPrecision, lambda: dict(
        autocast=torch.autocast("cpu", torch.bfloat16), scaler=None)),
    "Supervised": (applied(learning.Supervised), lambda: dict(loss=SQUARES)),
    "WeightedSum": (applied(learning.WeightedSum), lambda: dict(terms=[(1.0, SQUARES)])),
    "Workers": (learning.Workers, lambda: dict(count=2, ahead=2, context=None)),
    "mean_squared_error": (SQUARES, lambda: dict(x=T, truth=T + 1)),
    "search_scale": (learning.search_scale, lambda: dict(
        model=minimizer(), data=T, truth=T, factors=(-1.0, 0.0))),
    "train": (learning.train, trained),
}

OBJECTIVES = {
    "Adversarial": (objectives.Adversarial, lambda: dict(penalty=10.0, slope=1.0)),
    "BalancedWeight": (objectives.BalancedWeight, lambda: dict(spread=0.5)),
    "LogUniformLevels": (objectives.LogUniformLevels, lambda: dict(least=0.1, largest=1.0)),
    "DenoisingScoreMatching": (objectives.DenoisingScoreMatching, lambda: dict(
        levels=objectives.LogUniformLevels(0.1, 1.0), weight=objectives.BalancedWeight(0.5))),
    "DataConsistency": (applied(objectives.DataConsistency), lambda: dict(
        forward=A_MAP, loss=SQUARES)),
    "Equivariance": (applied(objectives.Equivariance), lambda: dict(
        forward=A_MAP, transforms=[nn.Identity()], loss=SQUARES)),
    "Noise2Inverse": (applied(objectives.Noise2Inverse), lambda: dict(
        reconstruct=OPERATOR["adjoint"], split=SPLIT, loss=SQUARES)),
    "Noise2Noise": (applied(objectives.Noise2Noise), lambda: dict(forward=A_MAP, loss=SQUARES)),
    "PointSplit": (objectives.PointSplit, lambda: dict(
        sampled=torch.ones(5, 7, dtype=torch.bool), held_out=0.4)),
    "Recorrupted": (applied(objectives.Recorrupted), lambda: dict(
        forward=A_MAP, noise_level=0.1, spread=0.5, loss=SQUARES)),
    "SURE": (applied(objectives.SURE), lambda: dict(
        forward=A_MAP, noise_level=torch.full((5, 7), 0.1), relative_step=0.01)),
    "SelfSupervisedSplit": (applied(objectives.SelfSupervisedSplit), lambda: dict(
        forward=A_MAP, split=SPLIT, loss=objectives.normalized_losses,
        restricted=reconstruction.KeptRows().restricted)),
    "ViewSplit": (objectives.ViewSplit, lambda: dict(parts=2, axis=-2)),
    "a split of points": (SPLIT, lambda: dict(data=T, generator=generator())),
    "a split of views": (objectives.ViewSplit(2), lambda: dict(data=T, generator=generator())),
    "normalized_losses": (objectives.normalized_losses, lambda: dict(simulated=T, data=T + 1)),
}

LEARNING = {f"learning.{name}": call for name, call in (LEARNING | OBJECTIVES).items()}


def learned_files(folder):
    """Valid calls that read and write learned maps, of which there are some in a folder."""
    folder = Path(folder)
    model = reconstruction.LearnedProximalGradient(
        **OPERATOR, steps=[reconstruction.GradientStep(image_net(), 0.1)])
    learning.save_reconstruction(folder / "map.pt", model, A)
    learning.save_regularizer(folder / "ridge.pt", RIDGE)
    calls = {
        "load_reconstruction": (learning.load_reconstruction, lambda: dict(
            path=folder / "map.pt", forward_op=A)),
        "load_regularizer": (learning.load_regularizer, lambda: dict(path=folder / "ridge.pt")),
        "read_checkpoint": (learning.read_checkpoint, lambda: dict(path=folder / "map.pt")),
        "save_reconstruction": (learning.save_reconstruction, lambda: dict(
            path=folder / "again.pt", model=model, forward_op=A, dictionary=None)),
        "save_regularizer": (learning.save_regularizer, lambda: dict(
            path=folder / "again.pt", regularizer=RIDGE)),
        "train in a folder": (learning.train, lambda: trained(
            folder=folder / "run", checkpoint=None)),
    }
    return {f"learning.{name}": call for name, call in calls.items()}
