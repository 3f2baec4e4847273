"""The protocols of random ellipses for learned maps: images, data, and steps without waiting."""

import runpy
from pathlib import Path

import numpy as np
import odl
import pytest
import torch
from scipy.ndimage import zoom
from torch.utils._python_dispatch import TorchDispatchMode

SCRIPT = Path(__file__).resolve().parent.parent / "examples/figures/anchors/learned_ellipses.py"
MODULE = runpy.run_path(str(SCRIPT))
SMOKE = MODULE["SIZES"]["smoke"]


@pytest.mark.parametrize("protocol", MODULE["PROTOCOLS"])
def test_ellipses_are_those_of_odl(protocol):
    parameters = MODULE["ellipses"](protocol, 3, np.random.default_rng(0)).astype("float64")
    images = MODULE["drawn"](torch.from_numpy(parameters), 20, protocol == "dival").numpy()
    space = odl.uniform_discr([-1, -1], [1, 1], (20, 20))
    for own, image in zip(parameters, images):
        drawn = odl.phantom.ellipsoid_phantom(space, own[own[:, 0] != 0].tolist())
        expected = np.array(drawn.asarray())
        if protocol == "dival":
            expected[expected != 0] -= expected.min()
            expected /= expected.max()
        np.testing.assert_allclose(image, expected, atol=1e-12)


def test_data_are_those_of_the_classical_anchor():
    scanner = MODULE["Scanner"]("dival", 16, 8, torch.device("cpu"))
    # At the edge torch repeats pixels and SciPy reflects them: nothing is there.
    x = torch.zeros(1, 16, 16)
    x[:, 2:-2, 2:-2] = torch.rand(12, 12, generator=torch.Generator().manual_seed(0))
    y = scanner.measured(x, torch.Generator().manual_seed(5))
    up = zoom(x[0].numpy(), 25 / 8, order=1, mode="mirror", grid_mode=True)
    exact = scanner.scale * scanner.simulate(torch.from_numpy(up)[None])
    noise = torch.randn(exact.shape, generator=torch.Generator().manual_seed(5))
    assert torch.allclose(y, exact + 0.025 * exact.mean() * noise, rtol=1e-5, atol=1e-5)


class HostReads(TorchDispatchMode):
    """Count what makes the host wait for numbers of a device."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += any(name in str(function) for name in ("_local_scalar_dense", "nonzero"))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", MODULE["MAPS"])
def test_forward_and_backward_read_no_number_on_the_host(name):
    scanner = MODULE["Scanner"]("shepp_logan", 16, 6, torch.device("cpu"))
    model, pairs = MODULE["model_of"](name, scanner, SMOKE), scanner.pairs(2, 0, 2)
    y, truth = torch.from_numpy(pairs.data), torch.from_numpy(pairs.truth)
    with HostReads() as found:
        (model(y) - truth).square().mean().backward()
    assert found.count == 0
    with found:
        float(y.sum())
    assert found.count == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", MODULE["MAPS"])
def test_a_step_at_paper_size_on_cuda(name):
    device, settings = torch.device("cuda:0"), MODULE["SIZES"]["paper"]
    scanner = MODULE["Scanner"]("dival", settings["n"], settings["views"], device)
    model = MODULE["model_of"](name, scanner, settings)
    pairs = scanner.pairs(10, 0, 10)
    y, truth = (torch.from_numpy(x[:5]).to(device) for x in (pairs.data, pairs.truth))
    model(y).sum().backward()
    torch.cuda.set_sync_debug_mode("error")
    try:
        (model(y) - truth).square().mean().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert MODULE["seconds_of_a_step"](model, pairs) < 0.2


@pytest.mark.parametrize("spoil", [
    lambda r: r["same"].append(False),
    lambda r: r["gain"].update({("dival", "U-Net"): 1.0}),
    lambda r: r["psnr"].update({("dival", "U-Net"): 29.1}),
])  # fmt: skip
def test_the_claim_can_fail(spoil):
    key = "dival", "U-Net"
    results = {"size": "paper", "same": [], "gain": {key: 2.0}, "psnr": {key: 29.3},
               "steps": {key: 9}}
    MODULE["claim"](results)
    spoil(results)
    with pytest.raises(AssertionError):
        MODULE["claim"](results)
