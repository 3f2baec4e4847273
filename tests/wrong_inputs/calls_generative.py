"""Valid calls of generative models: their networks, their training, their regularizers."""

import torch
from instances.generative import GENERATIVE as INSTANCES
from instances.generative import SPACE, convolutional_pair, dense_pair, variational, window_head

from odl_learned import learning, operators, regularizers
from odl_learned.learning import objectives
from odl_learned.networks import generative

IMAGES = torch.rand(2, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
Z = torch.zeros(2, 3)
SOURCE = torch.Generator()
ENCODER = {"channels": 1, "shape": (4, 6), "widths": (4,), "latent": 3, "generator": SOURCE}


def evaluated(objective, model):
    """An objective for a model and images, made of what may be wrong."""
    def value(**arguments):
        batch = learning.Batch(IMAGES, None, torch.Generator().manual_seed(0), "in step 1")
        return objective(**arguments)(model, batch)

    return value


def autoencoder():
    return INSTANCES["Autoencoder"]()[0]


def adversary():
    critic = INSTANCES["Critic"]()[0]
    return {"critic": critic, "optimizer": torch.optim.SGD(critic.parameters(), 0.1),
            "critic_steps": 1, "penalty": 10.0}


def staged():
    model = variational(0)
    stages = [learning.Stage("all", [model], 1, learning.adam_with_cosine(1e-3))]
    return {"model": model, "pairs": list(IMAGES), "stages": stages, "batch_size": 1, "seed": 0,
            "loss": objectives.EvidenceLowerBound(), "clip_norm": 1.0, "validation": None,
            "validate_every": 1000, "folder": None, "progress": False}


MASK = operators.mask_operator(SPACE, (IMAGES[0] > 0.5).numpy())
NETWORK, START = variational(0), Z.double()
PRIOR = regularizers.generative.prior_of(NETWORK)
MEASURED = regularizers.generative.Measurements(MASK, IMAGES, 0.5)
FITTED = {"decoder": NETWORK.decoder, "measurements": MEASURED, "start": START,
          "latent_weight": 1.0}


def values(answer):
    return answer.value


GENERATIVE = {
    "networks.generative.FullyConnectedEncoder": (
        generative.FullyConnectedEncoder, lambda: dict(ENCODER)),
    "networks.generative.ConvolutionalEncoder": (
        generative.ConvolutionalEncoder, lambda: dict(ENCODER, groups=2)),
    "networks.generative.FullyConnectedDecoder": (
        generative.FullyConnectedDecoder, lambda: dict(ENCODER, scale=1.0)),
    "networks.generative.ConvolutionalDecoder": (
        generative.ConvolutionalDecoder, lambda: dict(ENCODER, scale=1.0, groups=2)),
    "networks.generative.RefinedDecoder": (generative.RefinedDecoder, lambda: dict(
        decoder=dense_pair(2)[1], widths=(3,), channels=1, scale=1.0)),
    "networks.generative.an encoder": (dense_pair(1)[0], lambda: dict(x=IMAGES[:, None].float())),
    "networks.generative.a decoder": (dense_pair(1)[1], lambda: dict(z=Z)),
    "networks.generative.ConstantHead": (generative.ConstantHead, lambda: dict(
        channels=1, shape=(4, 6), deviation=0.1)),
    "networks.generative.WindowHead": (generative.WindowHead, lambda: dict(
        decoder=window_head(1).decoder, radius=1, channels=1, deviation=0.1, least_deviation=0.01)),
    "networks.generative.Autoencoder": (generative.Autoencoder, lambda: dict(
        zip(("encoder", "decoder"), convolutional_pair()))),
    "networks.generative.VariationalAutoencoder": (
        generative.VariationalAutoencoder, lambda: dict(
            zip(("encoder", "decoder"), dense_pair(1)), head=window_head(0))),
    "networks.generative.Critic": (generative.Critic, lambda: dict(
        encoder=generative.FullyConnectedEncoder(1, (4, 6), (5,), 1))),
    "networks.generative.an autoencoder": (autoencoder(), lambda: dict(images=IMAGES)),
    "learning.Autoencoding": (evaluated(objectives.Autoencoding, autoencoder()), lambda: dict(
        latent_weight=0.1)),
    "learning.EvidenceLowerBound": (
        evaluated(objectives.EvidenceLowerBound, variational(0)), lambda: dict(
            divergence_weight=1.0, noise_level=0.1)),
    "learning.Wasserstein": (evaluated(objectives.Wasserstein, autoencoder()), adversary),
    "learning.train_in_stages": (learning.train_in_stages, staged),
    "learning.adam_with_cosine": (learning.adam_with_cosine, lambda: dict(learning_rate=1e-3)),
    "regularizers.generative.Measurements": (regularizers.generative.Measurements, lambda: dict(
        forward_op=MASK, data=IMAGES, noise_level=0.5)),
    "regularizers.generative.WhiteDeviations": (
        regularizers.generative.WhiteDeviations, lambda: dict(deviation=0.1)),
    "regularizers.generative.SparseDeviations": (
        regularizers.generative.SparseDeviations, lambda: dict(weight=1.0)),
    "regularizers.generative.LearnedDeviations": (
        regularizers.generative.LearnedDeviations, lambda: dict(head=NETWORK.head, weight=1.0)),
    "regularizers.generative.Joint": (regularizers.generative.Joint, lambda: dict(weight=1.0)),
    "regularizers.generative.SampledMarginal": (
        regularizers.generative.SampledMarginal, lambda: dict(
            measurements=MEASURED, probes=2, steps=3, generator=torch.Generator())),
    "regularizers.generative.GenerativePrior": (
        regularizers.generative.GenerativePrior, lambda: dict(
            decoder=NETWORK.decoder, deviations=regularizers.generative.WhiteDeviations(0.1),
            latent_weight=1.0)),
    "regularizers.generative.prior_of": (
        regularizers.generative.prior_of, lambda: dict(network=NETWORK)),
    "regularizers.generative.alternating": (regularizers.generative.alternating, lambda: dict(
        prior=PRIOR, measurements=MEASURED, start=START, accuracy=1.0, maxiter=2, latent_steps=2,
        determinant=regularizers.generative.Marginal(), image_accuracy=1e-4, callback=None)),
    "regularizers.generative.image_posterior": (
        regularizers.generative.image_posterior, lambda: dict(
            prior=PRIOR, measurements=MEASURED, z=START, rank=3, image_accuracy=1e-4)),
    "regularizers.generative.variable_projection": (
        regularizers.generative.variable_projection, lambda: dict(
            prior=PRIOR, measurements=MEASURED, start=START, accuracy=1.0, maxiter=2,
            determinant=regularizers.generative.Marginal(), image_accuracy=1e-4)),
    "regularizers.generative.range_restricted": (
        regularizers.generative.range_restricted, lambda: dict(
            FITTED, accuracy=1.0, maxiter=3)),
    "regularizers.generative.inverse_gan": (regularizers.generative.inverse_gan, lambda: dict(
        FITTED, learning_rate=1e-4, steps=2)),
    "regularizers.generative.encoder_start": (regularizers.generative.encoder_start, lambda: dict(
        network=NETWORK, measurements=MEASURED, alpha=0.1)),
    "regularizers.generative.prior_samples": (regularizers.generative.prior_samples, lambda: dict(
        latent=3, count=2, starts=2, generator=torch.Generator())),
    "regularizers.generative.best_of": (regularizers.generative.best_of, lambda: dict(
        solve=lambda z: regularizers.generative.range_restricted(
            NETWORK.decoder, MEASURED, z, maxiter=1), starts=START[None], score=values)),
    "regularizers.generative.joint_functional": (
        regularizers.generative.joint_functional, lambda: dict(
            prior=PRIOR, space=SPACE, determinant=regularizers.generative.Joint())),
    "regularizers.generative.reduced_functional": (
        regularizers.generative.reduced_functional, lambda: dict(
            prior=PRIOR, space=SPACE, guess=lambda u: NETWORK.encode(u)[0], accuracy=1e-3,
            maxiter=5, determinant=regularizers.generative.Joint())),
}
