"""What the neighbors do that one would not guess, and what we do about it (`docs/neighbors.md`)."""

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import odl
import pytest
import scipy.sparse.linalg
import torch
from bilevel_problems import START, denoising

from odl_learned import data, networks, operators
from odl_learned.bridge import as_module, as_operator
from odl_learned.bridge.layouts.arrays import tensor_of
from odl_learned.learning.bilevel import derivative_free
from odl_learned.learning.bilevel.lower import Newton

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "neighbors.md"
RAY_SPACE = odl.uniform_discr([-4, -4], [4, 4], (8, 8), dtype="float32")


def rows():
    """The cells of every row of the table of the page."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def functions_of(path):
    return {node.name for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.FunctionDef)}


def test_every_row_names_a_test_that_exists_and_a_version_that_is_tested():
    assert len(rows()) >= 18
    for neighbor, _, _, ours, test in rows():
        match = re.fullmatch(r"\[`(test_\w+)`\]\(\.\./(tests/test_\w+\.py)\)", test)
        assert match, f"{neighbor}: {test!r} is no link to a test"
        assert match[1] in functions_of(ROOT / match[2]), f"{match[1]} is not in {match[2]}"
        name, version = neighbor.rsplit(" ", 1)
        if name not in NOT_INSTALLED:
            installed = importlib.metadata.version(name)
            assert installed.split("+")[0].startswith(version), f"{name} is {installed}"
        assert ours


NOT_INSTALLED = {"pyproximal", "Py-BOBYQA"}  # the latter is an extra


def test_a_row_without_a_test_is_found(monkeypatch, tmp_path):
    page = tmp_path / "page.md"
    monkeypatch.setitem(globals(), "PAGE", page)
    for link in ("", "[`test_no_such`](../tests/test_neighbors.py)"):
        page.write_text("| a |\n" + f"| numpy 2 | x | y | z | {link} |\n" * 20)
        with pytest.raises(AssertionError, match="is no link|is not in"):
            test_every_row_names_a_test_that_exists_and_a_version_that_is_tested()


def test_grid_sample_has_no_forward_mode_and_our_turns_do(rng):
    grid = torch.zeros(1, 2, 2, 2, dtype=torch.float64)
    image = torch.ones(1, 1, 3, 3, dtype=torch.float64)

    def sampled(u):
        return torch.nn.functional.grid_sample(u, grid, align_corners=False)

    assert torch.autograd.gradgradcheck(sampled, (image.clone().requires_grad_(),))
    with pytest.raises(NotImplementedError, match="forward AD"):
        torch.func.jvp(sampled, (image,), (image,))
    space = odl.uniform_discr([-1, -1], [1, 1], (4, 4))
    turn = operators.Rotation(space, 0.3)
    u = torch.from_numpy(rng.standard_normal((4, 4)))
    value, slope = torch.func.jvp(as_module(turn), (u,), (u,))
    assert torch.allclose(value, slope) and np.allclose(value, turn(space.element(u.numpy())).data)


def test_matrices_in_csr_form_have_no_function_transforms_and_ours_do(rng):
    matrix = scipy.sparse.random(4, 3, 0.7, format="coo", rng=np.random.default_rng(0))
    A = torch.from_numpy(matrix.toarray()).to_sparse_csr()
    x, y = torch.from_numpy(rng.standard_normal(3)), torch.from_numpy(rng.standard_normal(4))
    for transform in (torch.func.grad(lambda x: (A @ x).sum()), torch.func.hessian(lambda x: A @ x),
                      lambda x: torch.func.jvp(lambda x: A @ x, (x,), (x,))):
        with pytest.raises(RuntimeError, match="do not have strides"):
            transform(x)
    with pytest.raises(NotImplementedError, match="as_strided"):
        A.T @ y
    assert torch.allclose(A.t() @ y, A.to_dense().T @ y)
    M = as_module(odl.MatrixOperator(scipy.sparse.coo_matrix(matrix)))
    gradient = torch.func.grad(lambda x: (M(x) * y).sum())(x)
    assert torch.allclose(gradient, A.t() @ y)
    assert torch.allclose(torch.func.jvp(M, (x,), (x,))[1], A @ x)


def test_group_normalization_refuses_one_image_of_single_pixels_and_we_say_why():
    with pytest.raises(ValueError, match="more than 1 value per channel when training"):
        torch.nn.GroupNorm(2, 2).eval()(torch.ones(1, 2, 1, 1))
    net = networks.UNet(1, 1, (4, 4), dimension=2)
    for count in (1, 2):  # two images pass in torch, and all is normalized to zero
        with pytest.raises(ValueError, match="one channel of one pixel.*take fewer scales or few"):
            net(torch.ones(count, 1, 2, 2))
    assert net(torch.ones(1, 1, 3, 3)).shape == (1, 1, 3, 3)


def test_dlpack_makes_read_only_arrays_writable_and_aborts_on_flipped_ones_and_we_copy():
    array = np.arange(3.0)
    array.flags.writeable = False
    torch.from_dlpack(array).add_(1)
    assert array[0] == 1.0  # written to
    ours = tensor_of(array)
    ours.add_(1)
    assert array[0] == 1.0 and ours[0] == 2.0
    code = "import numpy as np, torch; torch.from_dlpack(np.arange(3.0)[::-1])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode < 0 and "overflowed" in done.stderr  # a signal, not an exception
    assert tensor_of(np.arange(3.0)[::-1]).tolist() == [2.0, 1.0, 0.0]


def test_elements_share_memory_with_arrays_and_ours_do_not(rng):
    array, space = np.arange(3.0), odl.rn(3)
    x = space.element(array)
    x += 1
    assert array[0] == 1.0
    images = np.zeros((2, 3))
    y = data.add_white_noise(space.element(images[0]), 0.1, rng)
    assert y.norm() > 0 and not images.any()
    for module in (torch.nn.Identity(), torch.nn.Hardtanh(-2, 0.5, inplace=True)):
        z = as_operator(module, space, space)(x)
        z += 1
        assert array.tolist() == [1.0, 2.0, 3.0]


def test_tensors_of_elements_are_single_and_ours_keep_the_precision():
    x = odl.rn(2).element([1 / 3, 1])
    assert torch.as_tensor(x).dtype == torch.float32
    assert tensor_of(x.data).dtype == torch.float64
    assert as_module(odl.IdentityOperator(x.space))(tensor_of(x.data)).dtype == torch.float64


def test_scipy_depends_on_the_order_of_imports_and_we_do_not():
    code = ("import torch\n{first}\nimport scipy.special\n{then}\nimport numpy as np, odl\n"
            "print(type(scipy.special.logsumexp(torch.ones(3))).__name__)\n"
            "f = odl.functionals.KullbackLeiblerCrossEntropy(odl.rn(3))\n"
            "print(f.proximal(0.5)([0.5, 2, 3]).asarray().tolist())")
    said = []
    for first in ("import odl_learned", ""):
        then = "" if first else "import odl_learned"
        done = subprocess.run(
            [sys.executable, "-c", code.format(first=first, then=then)], capture_output=True,
            text=True, env={**os.environ, "PYTHONPATH": str(ROOT), "SCIPY_ARRAY_API": ""})
        assert done.returncode == 0, done.stderr
        said.append(done.stdout.splitlines())
    assert [kind for kind, _ in said] == ["Tensor", "float32"]
    assert said[0][1] == said[1][1]


def test_a_bin_of_astra_is_a_mean_and_backprojection_inverts_all_the_same():
    astra = pytest.importorskip("astra")
    image, means = astra.create_vol_geom(8, 8), []
    for width in (1.0, 2.0):
        projector = astra.create_projector(
            "strip", astra.create_proj_geom("parallel", width, 16, [0.0]), image)
        _, sinogram = astra.create_sino(np.ones((8, 8), np.float32), projector)
        means.append(sinogram.max())
    assert means[0] == means[1] == 8.0  # not 8 and 16
    space = odl.uniform_discr([-1, -1], [1, 1], (32, 32), dtype="float32")
    disc = space.element(lambda x: x[0] ** 2 + x[1] ** 2 < 0.49)
    for bins in (46, 92):
        geometry = odl.applications.tomo.Parallel2dGeometry(
            odl.uniform_partition(0, np.pi, 60), odl.uniform_partition(-1.5, 1.5, bins))
        A = odl.applications.tomo.RayTransform(space, geometry, impl="astra_cpu")
        assert abs(float(operators.fbp(A)(A(disc)).data[10:22, 10:22].mean()) - 1) < 0.01


def test_astra_refuses_to_invert_fan_beams_and_we_do(capfd):
    astra = pytest.importorskip("astra")
    image = astra.create_vol_geom(8, 8)
    geometry = astra.create_proj_geom("fanflat", 1.0, 16, np.linspace(0, 6, 8), 20, 20)
    projector = astra.create_projector("strip_fanflat", geometry, image)
    number, _ = astra.create_sino(np.ones((8, 8), np.float32), projector)
    configuration = astra.astra_dict("FBP") | {
        "ProjectorId": projector, "ProjectionDataId": number,
        "ReconstructionDataId": astra.data2d.create("-vol", image)}  # fmt: skip
    with pytest.raises(astra.log.AstraError, match="only supports parallel"):
        astra.algorithm.create(configuration)
    A = operators.fan_beam_ray_transform(RAY_SPACE, 60, 40.0, 40.0)
    disc = RAY_SPACE.element(lambda x: x[0] ** 2 + x[1] ** 2 < 9)
    assert abs(float(operators.fbp(A)(A(disc)).data[3:5, 3:5].mean()) - 1) < 0.05


def test_direct_projection_wants_contiguous_single_precision_and_we_give_it(rng):
    astra = pytest.importorskip("astra")
    projector = astra.create_projector("linear", astra.create_proj_geom(
        "parallel", 1.0, 12, np.linspace(0, 3, 6)), astra.create_vol_geom(8, 8))
    image, sinogram = np.ones((8, 8), np.float32), np.zeros((6, 12), np.float32)
    project = astra.projector.direct_FP
    with pytest.raises(TypeError, match="keyword-only argument: 'out'"):
        project(projector, image)
    for wrong, message in ((image.astype(float), "float32"), (np.ones((8, 16), np.float32)[:, ::2],
                                                              "contiguous")):
        with pytest.raises(ValueError, match=message):
            project(projector, wrong, out=sinogram)
    A = operators.parallel_ray_transform(RAY_SPACE, 6)
    u = torch.from_numpy(rng.standard_normal((8, 16)))[:, ::2]  # double, not contiguous
    expected = A(RAY_SPACE.element(u.numpy().astype("float32"))).data
    assert np.allclose(as_module(A)(u.float()), expected, atol=1e-5)


def test_lsmr_fails_with_astra_s_operator_and_runs_with_ours():
    astra = pytest.importorskip("astra")
    A = astra.OpTomo(astra.create_projector("linear", astra.create_proj_geom(
        "parallel", 1.0, 12, np.linspace(0, 3, 6)), astra.create_vol_geom(8, 8)))
    b = A * np.ones(64)
    scipy.sparse.linalg.lsqr(A, b, iter_lim=2)
    with pytest.raises(ValueError, match="Could not convert"):
        scipy.sparse.linalg.lsmr(A, b, maxiter=2)
    ray = operators.parallel_ray_transform(RAY_SPACE, 6)
    ours = scipy.sparse.linalg.LinearOperator(
        (ray.range.size, 64), dtype="float32",
        matvec=lambda x: ray(RAY_SPACE.element(x.reshape(8, 8))).data.ravel(),
        rmatvec=lambda y: ray.adjoint(ray.range.element(y.reshape(ray.range.shape))).data.ravel())
    y = ours @ np.ones(64, np.float32)
    x = scipy.sparse.linalg.lsmr(ours, y, maxiter=20)[0]
    assert np.linalg.norm(ours @ x - y) < 0.1 * np.linalg.norm(y)


def test_bobyqa_fails_on_values_of_shape_one_and_gets_numbers_from_us(monkeypatch):
    pybobyqa = pytest.importorskip("pybobyqa")
    solve, seen = pybobyqa.solve, []
    with pytest.raises(TypeError, match="0-dimensional"):
        solve(lambda x: np.array([x @ x]), np.ones(2), maxfun=10)

    def watched(values, z, **options):
        def value(x):
            seen.append(values(x))
            return seen[-1]

        return solve(value, z, **options)

    monkeypatch.setattr(pybobyqa, "solve", watched)
    derivative_free.bobyqa(denoising(pairs=2, size=8), START, 5, Newton())
    assert seen and all(type(value) is float for value in seen)


def test_radon_of_scikit_image_turns_about_a_pixel_and_ours_about_the_middle():
    transform = pytest.importorskip("skimage.transform")

    def middle(row):
        return float((row * np.arange(len(row))).sum() / row.sum())

    for n, drift in ((8, 1.0), (9, 0.0)):
        image = np.zeros((n, n))
        image[(n - 1) // 2 : n // 2 + 1, (n - 1) // 2 : n // 2 + 1] = 1  # symmetric
        sides = transform.radon(image, theta=[0.0, 180.0])
        assert abs(middle(sides[:, 0]) + middle(sides[:, 1]) - (n - 1) - drift) < 1e-9
        space = odl.uniform_discr([-n / 2] * 2, [n / 2] * 2, (n, n), dtype="float32")
        sinogram = operators.parallel_ray_transform(space, 4)(space.element(image)).data
        for row in sinogram:
            assert abs(middle(row) - (len(row) - 1) / 2) < 1e-4
