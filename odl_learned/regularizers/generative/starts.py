"""Where descent in latent vectors starts: an encoder's guess, the best in the range, several."""

from collections.abc import Callable
from typing import TypeVar

import torch

from odl_learned import solvers
from odl_learned.networks.generative import Autoencoder, VariationalAutoencoder
from odl_learned.networks.layers import require_generator
from odl_learned.regularizers.generative.measurements import Measurements
from odl_learned.validation import require_count, require_method, require_positive, shown

#: What a solver returns, a named tuple of tensors and arrays whose first axis is that of samples.
A = TypeVar("A", bound=tuple)


def encoder_start(network: Autoencoder | VariationalAutoencoder, measurements: Measurements,
                  alpha: float = 1e-2) -> torch.Tensor:  # fmt: skip
    r"""Return what the encoder says of a rough reconstruction.

    .. math:: z_0 = m(u_0), \qquad
              u_0 = \mathrm{argmin}_u |A u - y|^2 + \alpha \, h \, |u|^2

    with the mean h of the diagonal of ``A^H A``, so that alpha has no unit.

    Parameters
    ----------
    network : networks.generative.Autoencoder or VariationalAutoencoder
    measurements : Measurements
    alpha : float, optional
        Positive.

    Returns
    -------
    z : torch.Tensor, shape (N, latent), in double precision

    Raises
    ------
    TypeError
        If the network is none.
    ValueError
        If alpha is not positive.
    """
    if not isinstance(network, Autoencoder | VariationalAutoencoder):
        raise TypeError(f"network is {shown(network)}, expected an autoencoder of "
                        "networks.generative; start others from prior_samples.")
    require_positive("alpha", alpha)
    if not isinstance(measurements, Measurements):
        raise TypeError(f"measurements is {shown(measurements)}, expected Measurements.")
    shift = alpha * float(measurements.information.mean())
    b = measurements.pulled_back()
    size = torch.linalg.vector_norm(b.flatten(1), dim=1).double().clamp_min(1e-30)
    with torch.no_grad():
        u = solvers.conjugate_gradient(lambda v: measurements.normal(v) + shift * v, b,
                                       torch.zeros_like(b), (1e-2 * size).cpu().numpy(), 50).x
        return network.encode(u)[0].double()


def prior_samples(latent: int, count: int, starts: int,
                  generator: torch.Generator) -> torch.Tensor:  # fmt: skip
    """Return standard normal latent vectors, ``(starts, count, latent)``; the first are the same.

    More starts from a generator in the same state begin with those of fewer.

    Parameters
    ----------
    latent : int
        Entries of a vector.
    count : int
        Number of samples of a batch.
    starts : int
        Number of starts for each sample.
    generator : torch.Generator

    Raises
    ------
    TypeError
        If the generator is none.
    ValueError
        If a number is not positive and whole.
    """
    require_generator(generator)
    for name, value in (("latent", latent), ("count", count), ("starts", starts)):
        require_count(name, value)
    return torch.stack([torch.randn(count, latent, generator=generator, dtype=torch.float64)
                        for _ in range(starts)])


def best_of(
    solve: Callable[[torch.Tensor], A], starts: torch.Tensor, score: Callable[[A], torch.Tensor]
) -> A:
    """Solve from several starts, and return for each sample the answer with the lowest score.

    With more starts the lowest score never rises.

    Parameters
    ----------
    solve : callable
        ``z (N, latent) -> answer``, a named tuple of tensors and arrays whose first axis is that
        of the samples, such as `alternating` and `range_restricted` return.
    starts : torch.Tensor, shape (K, N, latent)
        Such as `prior_samples`.
    score : callable
        ``answer -> torch.Tensor, shape (N,)``, such as the value of the data term.

    Returns
    -------
    answer : like those of `solve`

    Raises
    ------
    TypeError
        If solver and score are no functions, or the starts no tensor.
    ValueError
        If there is no start.
    """
    require_method("solve", solve, "lambda z: alternating(prior, measurements, z)", 1)
    require_method("score", score, "lambda answer: answer.value", 1)
    if not isinstance(starts, torch.Tensor) or starts.ndim != 3 or not len(starts):
        given = tuple(starts.shape) if isinstance(starts, torch.Tensor) else shown(starts)
        raise ValueError(f"starts are {given}, expected a tensor (K, N, latent) with K at least 1, "
                         "such as prior_samples.")
    best = solve(starts[0])
    lowest = score(best)
    for start in starts[1:]:
        answer = solve(start)
        found = score(answer)
        better = found < lowest
        lowest = torch.where(better, found, lowest)
        best = type(answer)(*(_chosen(better, new, old) for new, old in zip(answer, best)))
    return best


def _chosen(better, new, old):
    if isinstance(new, torch.Tensor):
        return torch.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, old)
    chosen = old.copy()
    chosen[better.cpu().numpy()] = new[better.cpu().numpy()]
    return chosen
