#!/usr/bin/env bash
# deepinv 0.4.2: EquivariantDenoiser(denoiser, random=False) "averages over the whole group" of
# quarter turns and flips, but does not commute with it. Its default transform is made by
# Reflect(n_trans=2, dims=[-1]), where the parameter is called dim; **kwargs take the other name
# without a word, and two of the four sets of mirrors {}, {-2}, {-1}, {-2, -1} are drawn anew in
# each evaluation. With the quarter turns they make the whole group in four draws of six; the others
# give each element of one coset twice. A convolution without symmetry shows it.
# Exits with 0 as long as deepinv behaves like this.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "torch==2.13.0" "torchvision==0.28.0" "deepinv==0.4.2"
"$folder/venv/bin/python" - <<'PYTHON'
import torch

try:
    import torchvision  # noqa: F401
except RuntimeError:  # the one of PyPI brings operators that a torch without CUDA does not know
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
import deepinv

assert deepinv.__version__ == "0.4.2"
assert tuple(deepinv.transform.Reflect(dims=[-1]).dim) == (-2, -1)  # dims is taken, and ignored
weight = torch.arange(-4.0, 5.0).reshape(1, 1, 3, 3) ** 3  # no turn, no mirror keeps it


def denoiser(x):
    return torch.nn.functional.conv2d(x, weight, padding=1).relu()


x = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
for title, transform in (
    ("as random=False makes it", None),
    ("with dim=[-1]", deepinv.transform.Rotate(n_trans=4, multiples=90, positive=True)
     * deepinv.transform.Reflect(n_trans=2, dim=[-1])),
):
    D = deepinv.models.EquivariantDenoiser(denoiser, transform, random=False)
    errors = []
    for _ in range(20):
        value = D(x)
        errors.append(float((D(x.flip(-1)) - value.flip(-1)).norm() / value.norm()))
    print(f"{title}: |D(g x) - g D(x)| / |D(x)| in 20 draws, {min(errors):.0e} to {max(errors):.0e}")
    assert max(errors) > 1e-2 if transform is None else max(errors) < 1e-6
PYTHON
