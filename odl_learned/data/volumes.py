"""Random volumes: ellipsoids, and a body of a trunk, and stacks of slices as elements.

Draws never depend on the resolution, as those of images (`phantoms.py`).
"""

import numpy as np
import odl

from odl_learned.data.dicom.series import Stack
from odl_learned.validation import require_rng, shown

#: Decades of ``rho`` below the surface where the distance is no matter.
_CENTER = 1e-6


def _require_volumes(space):
    if not (isinstance(space, odl.DiscretizedSpace) and space.ndim == 3 and space.is_uniform):
        raise TypeError(
            f"space is {shown(space)}, expected a three-dimensional uniformly discretized space; "
            "build it with odl.uniform_discr([-1] * 3, [1] * 3, (64, 64, 64), dtype='float32')."
        )
    if space.dtype.kind not in "fc":
        raise TypeError(f"space has dtype {space.dtype}, whole numbers, to which gray values would "
                        "be rounded; expected floating point, such as dtype='float32'.")


class _Canvas:
    """A volume over the cube [-1, 1]^3, which is painted where a shape can be."""

    def __init__(self, space):
        self.space, self.values = space, np.zeros(space.shape)
        middle, half = space.domain.mid_pt, space.domain.extent / 2
        vectors = zip(space.grid.coord_vectors, middle, half, strict=True)
        self.points = [(np.asarray(p, dtype=float) - m) / h for p, m, h in vectors]
        self.cells = space.cell_sides / half

    def share(self, center, axes, rotation=np.eye(3)):
        r"""Share of each cell inside an ellipsoid, and the box of cells that it may touch.

        ``rho = |R^T (x - c) / a|`` is one on the surface, and ``(1 - rho) / |grad rho|`` the
        distance from it up to terms of second order. A cell reaches as far along a normal ``n`` as
        its sides say, ``|(n_i h_i)_i|`` up to a factor that is one along the axes. An axis may be
        infinite: a tube.
        """
        reach = np.sqrt((rotation**2 * np.minimum(axes, 1e6) ** 2).sum(1)) + self.cells
        box = tuple(slice(*np.searchsorted(p, (c - r, c + r)))
                    for p, c, r in zip(self.points, center, reach, strict=True))
        inside = np.stack(np.meshgrid(*(p[part] - c for p, part, c in
                                        zip(self.points, box, center, strict=True)),
                                      indexing="ij"), axis=-1)  # fmt: skip
        scaled = inside @ rotation / axes
        rho = np.maximum(np.sqrt((scaled**2).sum(-1)), _CENTER)
        width = np.sqrt((((scaled / axes) @ rotation.T * self.cells) ** 2).sum(-1)) / rho
        return box, np.clip(0.5 + (1 - rho) / np.maximum(width, 1e-12), 0, 1)

    def element(self, values):
        return self.space.element(values.astype(self.space.dtype_identifier))


def _rotation(rng):
    """A rotation, equally probable all over the group, from a random unit quaternion."""
    a, b, c, d = _unit(rng.standard_normal(4))
    return np.array([
        [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), a * a - b * b + c * c - d * d, 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), a * a - b * b - c * c + d * d],
    ])


def _unit(vector):
    return vector / np.sqrt((vector**2).sum())


def random_ellipsoids(
    space: odl.DiscretizedSpace, rng: np.random.Generator
) -> odl.DiscretizedSpaceElement:
    r"""Draw a sum of random ellipsoids, as `random_ellipses` does in the plane.

    Poisson(50) of them on the cube [-1, 1]^3: value ``(U - 1/2) Exp(0.4)``, semi-axes
    ``0.2 Exp(1)``, center ``U[-1, 1]^3``, and any rotation. Cells at a surface carry the share that
    is inside.

    Parameters
    ----------
    space : odl.DiscretizedSpace, three-dimensional
        Real or complex; the cube fills its domain. In complex spaces the values are real.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    phantom : element of ``space``
        Negative values are not clipped.

    Raises
    ------
    TypeError
        If the space is not a uniform space of volumes or ``rng`` is not a generator.

    Notes
    -----
    Adler and Oktem (2018), "Learned primal-dual reconstruction", IEEE Trans. Med. Imaging 37,
    section IV-A, the distribution in the plane.

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> from odl_learned import data
    >>> X = odl.uniform_discr([-1] * 3, [1] * 3, (8, 8, 8))
    >>> u = data.random_ellipsoids(X, np.random.default_rng(0))
    >>> print(u.shape, bool(u.data.std() > 0))
    (8, 8, 8) True
    """
    require_rng(rng)
    _require_volumes(space)
    canvas = _Canvas(space)
    for _ in range(rng.poisson(50)):
        value = (rng.random() - 0.5) * rng.exponential(0.4)
        axes, center = 0.2 * rng.exponential(1.0, 3), rng.uniform(-1, 1, 3)
        box, share = canvas.share(center, axes, _rotation(rng))
        canvas.values[box] += value * share
    return canvas.element(canvas.values)


def random_trunk(
    space: odl.DiscretizedSpace, rng: np.random.Generator
) -> odl.DiscretizedSpaceElement:
    """Draw a phantom that looks like a part of a trunk in computed tomography.

    Opaque layers: skin and fat, muscle, a cavity with organs of random soft contrasts and gas, ribs
    that slope, vertebrae with disks between them, and vessels. The third axis is that of the body,
    which goes on beyond both ends; the spine is at the bottom of the second one. Cells at an edge
    carry the share that they cover.

    Parameters
    ----------
    space : odl.DiscretizedSpace, three-dimensional
        Real or complex; the body fills the first two axes. In complex spaces the values are real.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    phantom : element of ``space``
        Values in [0, 1], zero outside of the body.

    Raises
    ------
    TypeError
        If the space is not a uniform space of volumes or ``rng`` is not a generator.

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> from odl_learned import data
    >>> X = odl.uniform_discr([-1] * 3, [1] * 3, (16, 16, 8))
    >>> u = data.random_trunk(X, np.random.default_rng(0))
    >>> print(u.data.min() >= 0, u.data.max() <= 1, u.data[0, 0, 0])  # a corner is outside
    True True 0.0
    """
    require_rng(rng)
    _require_volumes(space)
    canvas, image = _Canvas(space), np.zeros(space.shape)

    def paint(value, center, axes, rotation=np.eye(3), within=None):
        box, share = canvas.share(np.asarray(center), np.asarray(axes), rotation)
        share = share if within is None else share * within[box]
        image[box] += share * (value - image[box])

    def everywhere(axes):
        whole, (box, share) = np.zeros(space.shape), canvas.share(center, np.asarray(axes))
        whole[box] = share
        return whole

    half = np.array([rng.uniform(0.78, 0.92), rng.uniform(0.6, 0.8)])
    center = np.array([*rng.uniform(-0.04, 0.04, 2), 0.0])
    long = rng.uniform(2.5, 5.0)  # the trunk tapers toward both ends
    flesh, inner = rng.uniform(0.38, 0.5), rng.uniform(0.84, 0.92)
    muscle, cavity = everywhere([*(inner * half), long]), everywhere([*(0.76 * half), long])
    paint(rng.uniform(0.15, 0.26), center, [*half, long])
    paint(flesh, center, [*(inner * half), long])
    paint(flesh - rng.uniform(0.08, 0.16), center, [*(0.76 * half), long])

    def place(reach):
        radius, phi = reach * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
        across = center[:2] + radius * half * (np.cos(phi), np.sin(phi))
        return np.array([*across, rng.uniform(-1, 1)])

    for _ in range(rng.integers(8, 14)):
        contrast = rng.choice([-1, 1]) * rng.uniform(0.04, 0.2)
        paint(flesh + contrast, place(0.6), rng.uniform(0.1, 0.35, 3), _rotation(rng), cavity)
    for _ in range(rng.integers(0, 4)):
        paint(rng.uniform(0.02, 0.1), place(0.5), rng.uniform(0.05, 0.14, 3), _rotation(rng),
              cavity)  # fmt: skip
    slope, gap = rng.uniform(0.15, 0.35), rng.uniform(0.32, 0.42)
    for z in np.arange(-1.5, 1.5, gap) + gap * rng.random():
        for phi in np.linspace(-0.3 * np.pi, 1.3 * np.pi, 33):  # beads along an arc, open in front
            spot = center[:2] + 0.8 * half * (np.cos(phi), -np.sin(phi))
            paint(0.85, [*spot, z + slope * np.sin(phi)], [0.07, 0.04, 0.05], within=muscle)
    spine, width = center[:2] + half * (0, -0.58), rng.uniform(0.1, 0.14)
    paint(rng.uniform(0.5, 0.58), [*spine, 0], [width, 0.8 * width, np.inf])
    for z in np.arange(-1.5, 1.5, 0.7 * gap) + gap * rng.random():
        paint(rng.uniform(0.75, 0.9), [*spine, z], [width, 0.8 * width, 0.3 * gap])
    paint(flesh, [*(spine - (0, 1.1 * width)), 0], [0.35 * width, 0.3 * width, np.inf])
    for _ in range(rng.integers(6, 12)):
        axes = rng.uniform(0.012, 0.04) * np.array([1.0, rng.uniform(1, 1.5), 20.0])
        paint(rng.uniform(0.62, 0.8), place(0.65), axes, _rotation(rng), cavity)
    return canvas.element(np.clip(image, 0, 1))


def stack_element(stack: Stack, dtype: str = "float32") -> odl.DiscretizedSpaceElement:
    """Return the slices of a DICOM folder or a NIfTI file as an element of a space of volumes.

    Parameters
    ----------
    stack : Stack
        From `read_dicom_folder` or `read_nifti`, with sides of pixels and distance of slices.
    dtype : str, optional
        Of the space, ``"float32"`` or ``"float64"``.

    Returns
    -------
    volume : element of ``odl.uniform_discr``, shape (nx, ny, slices)
        ``volume[x, y, k] = stack.array[k, x, y]``, on a box in millimeters around the origin.

    Raises
    ------
    TypeError
        If this is no stack, or the dtype another one.
    ValueError
        If a side of the voxels is not known.

    Examples
    --------
    >>> import numpy as np
    >>> from odl_learned import data
    >>> stack = data.Stack(np.zeros((3, 8, 6)), (0.5, 0.5), 2.0, "CT", "HU")
    >>> u = data.stack_element(stack)
    >>> print(u.shape, u.space.cell_sides)
    (8, 6, 3) [0.5 0.5 2. ]
    """
    if not isinstance(stack, Stack):
        raise TypeError(f"stack is {shown(stack)}, expected a Stack; read one with "
                        "data.read_dicom_folder or data.read_nifti.")
    if str(dtype) not in ("float32", "float64"):
        raise TypeError(f"dtype is {shown(dtype)}, expected 'float32' or 'float64'.")
    if stack.pixel_mm is None or stack.slice_mm is None:
        raise ValueError(f"the stack has pixel_mm {stack.pixel_mm} and slice_mm {stack.slice_mm}, "
                         "expected the sides of its voxels; set them, "
                         "stack._replace(pixel_mm=(1.0, 1.0), slice_mm=1.0).")
    values = np.ascontiguousarray(np.moveaxis(stack.array, 0, -1))
    half = np.array(values.shape) * (*stack.pixel_mm, stack.slice_mm) / 2
    return odl.uniform_discr(-half, half, values.shape, dtype=dtype).element(values.astype(dtype))
