"""A decoder against a critic: the distance of Wasserstein between their images and others."""

from typing import final

import torch
from torch import nn

from odl_learned.learning.batch import Batch
from odl_learned.learning.objective import Objective
from odl_learned.networks.generative import Autoencoder, VariationalAutoencoder
from odl_learned.networks.generative.autoencoders import images_of
from odl_learned.validation import require_count, require_nonnegative, shown


@final
class Wasserstein(Objective):
    r"""What a decoder minimizes against a critic that learns along, with a penalty of its gradient.

    .. math:: - E_z D(G(z)), \qquad D \approx \mathrm{argmin}_D \; E_z D(G(z)) - E_u D(u)
              + \mu \, E_x (|\nabla D(x)| - 1)^2, \qquad x = \epsilon u + (1 - \epsilon) G(z),

    with ``z ~ N(0, I)`` and uniform epsilon, one for each sample. The critic takes `critic_steps`
    steps by its optimizer before each step of the decoder; both are in the state of the objective,
    so that training continues with them. The value falls and rises with the critic and says little;
    look at images.

    Parameters
    ----------
    critic : torch.nn.Module
        D, maps images ``(N, *shape)`` to ``(N,)`` and is differentiable twice, such as
        `networks.generative.Critic`. Changed.
    optimizer : torch.optim.Optimizer
        Made with the parameters of the critic, such as Adam with the betas ``(0, 0.9)``.
    critic_steps : int, optional
        Steps before each step of the decoder, at least 1.
    penalty : float, optional
        mu, nonnegative.

    The model of `learning.train` is an autoencoder of `networks.generative`, of which the decoder
    learns; with `Autoencoding` in a `learning.WeightedSum`, its encoder, too. The data are images.

    Raises
    ------
    TypeError
        If the critic is no module, the optimizer none, or on call the model no autoencoder.
    ValueError
        If a number is out of range, or the critic returns another shape.

    Source: Gulrajani et al., Improved training of Wasserstein GANs (2017), algorithm 1.

    Examples
    --------
    >>> import torch
    >>> from odl_learned import learning
    >>> from odl_learned.learning import objectives
    >>> from odl_learned.networks import generative
    >>> seed = torch.Generator().manual_seed(0)
    >>> model = generative.Autoencoder(
    ...     generative.FullyConnectedEncoder(1, (4, 4), (8,), 2, generator=seed),
    ...     generative.FullyConnectedDecoder(2, (8,), 1, (4, 4), generator=seed))
    >>> encoder = generative.FullyConnectedEncoder(1, (4, 4), (5,), 1, generator=seed)
    >>> critic = generative.Critic(encoder)
    >>> objective = objectives.Wasserstein(critic, torch.optim.Adam(critic.parameters()), 1, 10.0)
    >>> batch = learning.Batch(torch.rand(3, 4, 4, generator=seed), None, seed, "in step 1")
    >>> objective.prepare(model, batch)  # the critic takes a step
    >>> print(bool(torch.isfinite(objective(model, batch))))
    True
    """

    def __init__(self, critic: nn.Module, optimizer: torch.optim.Optimizer, critic_steps: int = 5,
                 penalty: float = 10.0) -> None:  # fmt: skip
        if not isinstance(critic, nn.Module):
            raise TypeError(f"critic is {shown(critic)}, expected a torch.nn.Module, such as "
                            "networks.generative.Critic.")
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise TypeError(f"optimizer is {shown(optimizer)}, expected one of torch.optim, made "
                            "with the parameters of the critic.")
        require_count("critic_steps", critic_steps)
        require_nonnegative("penalty", penalty)
        self.critic, self.optimizer = critic, optimizer
        self.critic_steps, self.penalty = int(critic_steps), float(penalty)

    def __call__(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        return -self._values(self._generated(model, batch), batch).mean()

    def prepare(self, model: nn.Module, batch: Batch) -> None:
        """Do the steps of the critic."""
        for _ in range(self.critic_steps):
            with torch.no_grad():
                v = self._generated(model, batch)
            u = batch.data
            share = batch.uniform(u.real.flatten(1)[:, 0]).reshape(-1, *[1] * (u.ndim - 1))
            x = (share * u + (1 - share) * v).requires_grad_()
            (slopes,) = torch.autograd.grad(self._values(x, batch).sum(), x, create_graph=True)
            steepness = torch.linalg.vector_norm(slopes.flatten(1), dim=1)
            value = self._values(v, batch) - self._values(u, batch)
            batch.descend((value + self.penalty * (steepness - 1).square()).mean(), self.optimizer)

    def state_dict(self) -> dict:
        return {"critic": dict(self.critic.state_dict()), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        self.critic.load_state_dict(state["critic"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _generated(self, model, batch):
        if not isinstance(model, Autoencoder | VariationalAutoencoder):
            raise TypeError(f"the model is of type {type(model).__name__}, expected an autoencoder "
                            "of networks.generative, whose decoder learns.")
        like = next(model.decoder.parameters())
        z = batch.normal(like.new_empty(len(batch.data), model.latent))
        return images_of(model.decoder(z), batch.data, model.dimension)

    def _values(self, images, batch):
        values = self.critic(images)
        if values.shape != images.shape[:1] or values.is_complex():
            raise ValueError(f"the critic returned {values.dtype} of shape {tuple(values.shape)} "
                             f"{batch.when}, expected one real number for each sample, "
                             f"({len(images)},).")
        return values
