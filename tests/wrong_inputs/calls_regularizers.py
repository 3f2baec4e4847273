"""Valid calls of learned regularizers and of plug and play."""

import torch
from torch import nn

from odl_learned import functionals, networks, regularizers
from odl_learned.reconstruction import plug_and_play
from odl_learned.regularizers.generative import precision
from wrong_inputs.calls_solvers import BOX, FIDELITY, A, X
from wrong_inputs.calls_torch import image_net


def plug(**more):
    """What all plug-and-play methods take."""
    return {"f": functionals.LeastSquares(A, A.range.one()), "g": BOX, "x0": A.domain.zero(),
            "accuracy": 1e-3, "maxiter": 5, "until": plug_and_play.Below(FIDELITY @ A, 1.0),
            "callback": None, **more}


def step_denoiser():
    return regularizers.GradientStepDenoiser(image_net(), dimension=2)


def a_precision():
    return precision.Precision(torch.zeros(1, 4, 5), torch.zeros(1, 4, 4, 5), 1)


PRECISION = {
    "correlations": (precision.correlations, lambda: dict(precision=a_precision(), pixel=(1, 2))),
    "covariances": (precision.covariances, lambda: dict(precision=a_precision(), pixel=(1, 2))),
    "marginal_variances": (precision.marginal_variances, lambda: dict(precision=a_precision())),
    "Jacobi": (precision.Jacobi, lambda: dict(precision=a_precision(), scale=0.1, share=0.5)),
    "Shifted": (precision.Shifted, lambda: dict(precision=a_precision(), scale=0.1, share=0.5)),
    "Split": (precision.Split, lambda: dict(
        precision=a_precision(), scale=0.1, share=0.05, normal=torch.relu)),
    "proximal": (precision.proximal, lambda: dict(
        precision=a_precision(), x=torch.ones(2, 4, 5), step=0.1, mean=torch.ones(2, 4, 5),
        accuracy=1e-3, maxiter=9)),
    "posterior_mean": (precision.posterior_mean, lambda: dict(
        precision=a_precision(), normal=lambda u: u, back=torch.ones(2, 4, 5), noise=0.1,
        mean=torch.ones(2, 4, 5), accuracy=1e-3, maxiter=9)),
    "GaussianPosterior": (precision.GaussianPosterior, lambda: dict(
        precision=a_precision(), normal=lambda u: u, mean=torch.ones(1, 4, 5), rank=3,
        generator=torch.Generator())),
    "most_likely_precision": (precision.most_likely_precision, lambda: dict(
        residuals=torch.randn(9, 4, 5, generator=torch.Generator().manual_seed(0)), radius=1,
        noise=0.1, shrinkage=0.1, mask=torch.ones(4, 5, dtype=torch.bool).numpy())),
    "white_precision": (precision.white_precision, lambda: dict(
        residuals=torch.ones(3, 4, 5), noise=0.1)),
    "NoiseFloor": (precision.NoiseFloor, lambda: dict(deviation=0.01)),
    "Precision": (precision.Precision, lambda: dict(
        log_diagonal=torch.zeros(2, 4, 5), neighbors=torch.zeros(2, 4, 4, 5), radius=1,
        mask=torch.ones(4, 5, dtype=torch.bool))),
}

REGULARIZERS = PRECISION | {
    "GradientStepDenoiser": (regularizers.GradientStepDenoiser, lambda: dict(
        net=image_net(), dimension=2)),
    "InputConvex": (regularizers.InputConvex, lambda: dict(
        width=2, depth=2, size=3, boundary=networks.Zero(), dimension=2, sharpness=5.0,
        strength=1.0, convexity=0.01, generator=torch.Generator())),
    "network_functional": (regularizers.network_functional, lambda: dict(
        net=regularizers.InputConvex(2, 2, 3, networks.Zero(), dimension=2), space=X,
        noise_level=0.5)),
    "TotalDeepVariation": (regularizers.TotalDeepVariation, lambda: dict(
        width=2, scales=2, blocks=1, boundary=networks.Zero(), dimension=2, strength=1.0,
        generator=torch.Generator())),
    "Sum": (regularizers.Sum, lambda: dict(terms=[
        regularizers.InputConvex(2, 2, 3, networks.Zero(), dimension=2)])),
    "gradient_step_functional": (regularizers.gradient_step_functional, lambda: dict(
        denoiser=step_denoiser(), space=X)),
    "red_operator": (regularizers.red_operator, lambda: dict(net=image_net(), space=X)),
    "red_functional": (regularizers.red_functional, lambda: dict(
        net=nn.LeakyReLU(), space=X, generator=torch.Generator(), tolerance=1e-6)),
    "CertifiedDenoiser": (plug_and_play.CertifiedDenoiser, lambda: dict(
        denoiser=networks.Averaged(nn.ReLU()), domain=X, generator=torch.Generator())),
    "Below": (plug_and_play.Below, lambda: dict(energy=FIDELITY, delta=1.0)),
    "is_convex": (plug_and_play.is_convex, lambda: dict(f=FIDELITY)),
    "plug_and_play.proximal_gradient": (plug_and_play.proximal_gradient, lambda: plug(tau=0.1)),
    "half_quadratic": (plug_and_play.half_quadratic, lambda: plug(tau=0.1)),
    "douglas_rachford": (plug_and_play.douglas_rachford, lambda: plug(tau=0.1)),
    "admm": (plug_and_play.admm, lambda: plug(tau=0.1)),
    "descent": (plug_and_play.descent, lambda: plug(
        g=functionals.SmoothedTV(A.domain, 0.1, 0.1, 0.1), tau=0.1)),
}

REGULARIZERS = {f"regularizers.{name}": call for name, call in REGULARIZERS.items()}
