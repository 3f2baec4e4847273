"""Train, save, and load in another process: the same reconstruction, by a file without code.

    python examples/save_and_load.py [smoke | paper] [--out results]
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import odl
import torch

from odl_learned import bridge, data, learning, metrics, networks, operators, plotting
from odl_learned.reconstruction import Postprocessing

SIZES = {"smoke": {"n": 32, "steps": 200}, "paper": {"n": 96, "steps": 600}}
LOADING = """import sys, numpy as np
from odl_learned import learning
saved = learning.load_reconstruction(sys.argv[1])
y = saved.forward_op.range.element(np.load(sys.argv[2]))
np.save(sys.argv[3], saved.operator(y).data)"""


def main(n, steps, out):
    rng = np.random.default_rng(0)
    X = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="float32")
    A = operators.parallel_ray_transform(X, n // 3)
    net = networks.UNet(1, 1, (8, 16), dimension=2, generator=torch.Generator().manual_seed(0))
    model = Postprocessing(
        bridge.as_module(operators.fbp(A)), networks.OnImages(networks.Residual(net), dimension=2))
    images = [data.random_ellipses(X, rng) for _ in range(33)]
    scans = [data.add_white_noise(A(u), 0.02, rng) for u in images]
    learning.train(model, data.FixedPairs(scans[1:], images[1:]), steps=steps, progress=False,
                   optimizer=torch.optim.Adam(model.parameters(), 3e-3))
    truth, y = images[0], scans[0]
    x, fbp = bridge.as_operator(model.eval(), A.range, X)(y), operators.fbp(A)(y)

    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder) / name) for name in ("map.pt", "y.npy", "x.npy")]
        learning.save_reconstruction(files[0], model, A)
        np.save(files[1], y.data)
        subprocess.run([sys.executable, "-c", LOADING, *files], check=True)
        again = np.load(files[2])
    path = out / "save_and_load.png"
    plotting.comparison({"backprojection": fbp, "trained": x, "loaded": again}, truth, path)
    gain, difference = metrics.psnr(x, truth) - metrics.psnr(fbp, truth), abs(again - x.data).max()
    print(f"largest difference {difference:.1e}, gain {gain:.1f} dB -> {path}")
    assert difference <= 1e-6 and gain >= 0.4


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[arguments.size], out=arguments.out)
