"""The loop of samplers: chains in batches, with progress and files to go on from."""

import contextlib
import os
import tempfile
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from odl_learned.bridge.learned.separation import (
    evaluation_mode,
    require_samples_of_space_apart,
)
from odl_learned.networks.noise_levels import AtLevel
from odl_learned.reconstruction.diffusion.likelihood import GaussianLikelihood
from odl_learned.reconstruction.diffusion.sampler import Noise, Sampler
from odl_learned.reconstruction.diffusion.samples import PosteriorSamples
from odl_learned.validation import require_count, require_method, shown


def draw_samples(
    sampler: Sampler,
    denoiser: nn.Module,
    likelihood: GaussianLikelihood,
    count: int,
    generator: torch.Generator,
    batch_size: int = 64,
    checkpoint: str | os.PathLike | None = None,
    progress: bool = False,
) -> PosteriorSamples:
    """Run chains of a sampler, several for each of the data.

    Sample k of datum i depends on one number that the generator draws, and on k and i: it is the
    same whatever `count` and `batch_size` are, up to what algorithms for other sizes of batches
    round differently in the denoiser. With a `checkpoint`, finished chains are written there after
    each batch; if the file exists they are read from it, and drawing goes on as if it had not
    stopped.

    Parameters
    ----------
    sampler : AnnealedLangevin, DiffPIR or PnPFlow
    denoiser : torch.nn.Module
        D, maps images ``(B, *X.shape)`` and a noise level, a float, to images; such as
        `networks.NoiseLevelOnImages`, or a `GaussianPrior`. Evaluated in evaluation mode and left
        as it was.
    likelihood : GaussianLikelihood
        Of N data.
    count : int
        K, samples for each of the data.
    generator : torch.Generator
        On the CPU; draws one number, with which all chains are seeded.
    batch_size : int, optional
        Chains at a time.
    checkpoint : str or path-like, optional
        A file in an existing folder.
    progress : bool, optional
        Whether to show a progress bar; without it, nothing is printed.

    Returns
    -------
    samples : PosteriorSamples
        ``(K, N, *X.shape)``, on the device of the data.

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If numbers are out of bounds, the denoiser maps images to something else or takes the batch
        for an axis of the image, or the checkpoint is of other data, another seed, sampler or
        denoiser.
    FloatingPointError
        If a chain diverges; finished batches are kept.
    """
    _require(sampler, denoiser, likelihood, generator, checkpoint)
    require_count("count", count, 1, 10**7)
    require_count("batch_size", batch_size, 1, 10**7)
    seed = int(torch.randint(2**62, (), generator=generator))
    chains = [(i, k) for k in range(count) for i in range(len(likelihood))]
    with evaluation_mode(denoiser), torch.no_grad():
        require_samples_of_space_apart(AtLevel(denoiser, 1.0), likelihood.layout)
        record = _Record(checkpoint, _identity(sampler, denoiser, likelihood, seed))
        done = record.finished(chains)
        bar = tqdm(total=len(chains) * len(sampler), initial=len(done) * len(sampler),
                   unit="step", disable=not progress)  # fmt: skip
        left = [chain for chain in chains if chain not in done]
        with bar:
            for first in range(0, len(left), batch_size):
                part = left[first : first + batch_size]
                x = _run(sampler, denoiser, likelihood, seed, part, bar)
                done.update(zip(part, x))
                record.write(done)
    images = torch.stack([done[chain].to(likelihood.data.device) for chain in chains])
    return PosteriorSamples(images.reshape(count, len(likelihood), *images.shape[1:]))


def _run(sampler, denoiser, likelihood, seed, chains, bar):
    """The last images of some chains."""
    noise = Noise([(seed, *chain) for chain in chains], likelihood.data.device)
    own = likelihood.take([i for i, _ in chains])

    def denoise(x, level):
        images = denoiser(x, float(level))
        if not isinstance(images, torch.Tensor) or images.shape != x.shape or (
                images.dtype != x.dtype):  # fmt: skip
            raise ValueError(f"the denoiser maps {x.dtype} of shape {tuple(x.shape)} to "
                             f"{shown(images)}, expected the same shape and dtype.")
        _require_finite(images, f"the denoiser's images at the noise level {level:.3g}")
        return images

    state = sampler.start(own, noise)
    for k in range(len(sampler)):
        state = sampler.step(k, state, denoise, own, noise)
        _require_finite(state[0], f"images after step {k + 1} of {len(sampler)}")
        bar.update(len(chains))
    return state[0]


def _require_finite(images, what):
    """Raise FloatingPointError where chains have diverged."""
    if not torch.isfinite(images).all():
        raise FloatingPointError(
            f"{what} are no longer finite; take smaller steps of the data, more levels, or a "
            "denoiser that was trained for these levels.")


class _Record:
    """Finished chains in a file, or nowhere."""

    def __init__(self, path, identity):
        self.path, self.identity = path, identity

    def finished(self, chains):
        """The images of finished chains by their numbers."""
        if self.path is None or not Path(self.path).exists():
            return {}
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            found, saved = state["chains"], state["identity"]
        except Exception as error:
            raise ValueError(f"checkpoint {self.path} cannot be read as samples: {error}. Move it "
                             "away to start anew.") from error
        for name, value in self.identity.items():
            old = saved.get(name)
            same = torch.equal(old, value) if isinstance(value, torch.Tensor) and (
                isinstance(old, torch.Tensor) and old.shape == value.shape) else old is value or (
                not isinstance(value, torch.Tensor) and old == value)  # fmt: skip
            if not same:
                raise ValueError(
                    f"checkpoint {self.path} is of another {name}: {shown(old)}, expected "
                    f"{shown(value)}. Go on with what it was written with, or move it away.")
        return {chain: found[chain] for chain in chains if chain in found}

    def write(self, done):
        """Replace the file in one step."""
        if self.path is None:
            return
        target = Path(os.path.realpath(self.path))
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                torch.save({"identity": self.identity,
                            "chains": {key: x.cpu().clone() for key, x in done.items()}}, file)
            os.replace(name, target)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            raise


def _identity(sampler, denoiser, likelihood, seed):
    """What chains depend on: numbers, the data, and values of the operator and the denoiser."""
    source = torch.Generator().manual_seed(0)
    back = likelihood.back[:1]
    probe = torch.randn(back.shape, generator=source, dtype=back.real.dtype).to(back)
    with torch.no_grad():
        return {"seed": seed, "sampler": repr(sampler), "data": likelihood.data.cpu(),
                "noise_level": likelihood.noise_level, "accuracy": likelihood.accuracy,
                "operator": likelihood.forward(probe).cpu(),
                "denoiser": denoiser(probe, 1.0).cpu()}  # fmt: skip


def _require(sampler, denoiser, likelihood, generator, checkpoint):
    for name, value, kind, example in (
        ("sampler", sampler, Sampler, "diffusion.AnnealedLangevin(levels)"),
        ("denoiser", denoiser, nn.Module, "networks.NoiseLevelOnImages(net, dimension=2)"),
        ("likelihood", likelihood, GaussianLikelihood,
         "diffusion.GaussianLikelihood(forward_op, data, noise_level)"),
        ("generator", generator, torch.Generator, "torch.Generator().manual_seed(0)"),
        ("checkpoint", checkpoint, str | os.PathLike | None, "'samples.pt'"),
    ):  # fmt: skip
        if not isinstance(value, kind):
            raise TypeError(f"{name} is {shown(value)}, expected for example {example}.")
    require_method("forward of denoiser", denoiser.forward, "that of "
                   "networks.NoiseLevelOnImages, of images and a noise level", 2)
    if generator.device.type != "cpu":
        raise ValueError(f"generator is on {generator.device}, expected one on the CPU, so that "
                         "samples are the same on every device.")
    if checkpoint is not None and not Path(os.path.realpath(checkpoint)).parent.is_dir():
        raise FileNotFoundError(f"checkpoint {checkpoint} is in a folder that does not exist; "
                                "create it.")
