r"""Finite groups of rotations and reflections about the center of an image, as values.

An element ``g`` is an orthogonal matrix and acts on images by ``(g u)(x) = u(g^{-1} x)``, where
axis 0 is x and axis 1 is y, pointing up, as in `operators.QuarterTurn` and `operators.Reflection`.
A signed permutation matrix maps the grid of pixels to itself, so that its action is exact.
Elements are counted ``0, ..., order - 1``, and 0 is the identity.
"""

import itertools
import math

import torch

from odl_learned.validation import require_count, shown

#: No group has more turns; 22.5 degrees, 16 of them, is as fine as grids of pixels deserve.
MOST_TURNS = 64


class Group:
    """Abstract: a finite group of orthogonal matrices.

    Parameters
    ----------
    matrices : torch.Tensor, shape (order, dimension, dimension), float64
        All elements, once each, the identity first.

    Attributes
    ----------
    order, dimension : int
        Number of elements, and of axes of an image.
    matrices : torch.Tensor
    products : torch.Tensor, shape (order, order), int64
        ``products[a, b]`` is the element ``a b``, which acts as b first and then a.
    """

    def __init__(self, matrices: torch.Tensor) -> None:
        if not (isinstance(matrices, torch.Tensor) and matrices.is_floating_point()
                and matrices.ndim == 3 and len(matrices) and matrices.shape[1] == matrices.shape[2]
                and not matrices.is_meta and matrices.isfinite().all()):  # fmt: skip
            given = shown(matrices)
            if isinstance(matrices, torch.Tensor):
                given = f"a tensor of shape {tuple(matrices.shape)} and {matrices.dtype}"
            raise TypeError(f"matrices is {given}, expected a finite real tensor (order, "
                            "dimension, dimension) of all elements.")
        self.matrices = matrices
        self.order, self.dimension = matrices.shape[:2]
        composed = torch.einsum("aij,bjk->abik", matrices, matrices)
        distances = (composed[:, :, None] - matrices).square().sum((-2, -1))
        self.products = distances.argmin(-1)

    def product(self, a: int, b: int) -> int:
        """Return the element ``a b``: b acts first."""
        return int(self.products[self.index(a), self.index(b)])

    def inverse(self, a: int) -> int:
        """Return the element that undoes ``a``."""
        return int((self.products[self.index(a)] == 0).nonzero())

    def index(self, element: int) -> int:
        """Return the element itself; ValueError unless it is one of ``0, ..., order - 1``."""
        if isinstance(element, bool) or not isinstance(element, int):
            raise TypeError(f"element is {shown(element)}, expected a whole number, the place of "
                            f"an element of {self}.")
        if not 0 <= element < self.order:
            raise ValueError(f"element is {shown(element)}, expected one of 0, ..., "
                             f"{self.order - 1}, the elements of {self}.")
        return element

    def subgroup(self, *generators: int) -> tuple[int, ...]:
        """Return the elements that are products of these, in increasing order."""
        found, new = {0}, {0}
        factors = [self.index(a) for a in generators]
        while new:
            new = {self.product(a, b) for a in factors for b in new} - found
            found |= new
        return tuple(sorted(found))

    def preserves_grid(self, element: int) -> bool:
        """Whether an element maps the grid of pixels to itself: quarter turns and flips do."""
        matrix = self.matrices[self.index(element)]
        return bool((matrix - matrix.round()).abs().max() < 1e-12)

    @property
    def is_exact(self) -> bool:
        """Whether all elements map the grid of pixels to itself."""
        return all(self.preserves_grid(a) for a in range(self.order))

    def act(self, element: int, x: torch.Tensor) -> torch.Tensor:
        """Return ``(g u)(x) = u(g^{-1} x)`` for images ``(*lead, *shape)``: pixels are permuted.

        Quarter turns of the images exchange the lengths of their axes.

        Parameters
        ----------
        element : int
            The element g, which must map the grid to itself.
        x : torch.Tensor, shape (*lead, *shape)
            With ``dimension`` axes in ``shape``, real or complex.

        Raises
        ------
        ValueError
            If the element does not map the grid to itself, or there are too few axes.
        """
        if not self.preserves_grid(element):
            raise ValueError(
                f"element {element} of {self} does not map the grid of pixels to itself, expected "
                "a quarter turn or a flip; turn smooth images by operators.Rotation instead.")
        if not isinstance(x, torch.Tensor) or x.ndim < self.dimension:
            raise ValueError(f"x is {shown(x)}, expected a tensor of at least {self.dimension} "
                             "axes, those of an image.")
        # (M x)_a = e_a x_s(a): the image u(M^{-1} x) has axis s(a) of u at a, reversed if e_a < 0
        matrix = self.matrices[element].round().long()
        lead = x.ndim - self.dimension
        source = matrix.abs().argmax(1).tolist()
        turned = x.permute(*range(lead), *(lead + axis for axis in source))
        reversed_axes = [lead + a for a, axis in enumerate(source) if matrix[a, axis] < 0]
        return turned.flip(reversed_axes).contiguous()

    def __eq__(self, other):
        return type(self) is type(other) and repr(self) == repr(other)

    def __hash__(self):
        return hash(repr(self))


def _turns(n):
    """The rotations by ``2 pi k / n``, exact for quarter turns."""
    angles = [2 * math.pi * k / n for k in range(n)]
    rows = [[[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]] for a in angles]
    matrices = torch.tensor(rows, dtype=torch.float64)
    whole = matrices.round()
    return torch.where((matrices - whole).abs() < 1e-14, whole, matrices)


class Cyclic(Group):
    r"""The rotations of the plane by ``2 pi k / n``, counterclockwise; element k.

    On the grid of pixels they are exact for n = 1, 2, 4; of n = 8 and 16 the quarter turns are.

    Parameters
    ----------
    n : int
        Number of rotations, from 1 to 64.

    Raises
    ------
    ValueError
        For any other number.
    """

    def __init__(self, n: int) -> None:
        require_count("n", n, most=MOST_TURNS)
        self.n = int(n)
        super().__init__(_turns(self.n))

    def __repr__(self):
        return f"Cyclic({self.n})"


class Dihedral(Group):
    r"""Rotations by ``2 pi k / n`` and reflections of the plane.

    Element ``k + n f`` mirrors top and bottom, ``(x, y) -> (x, -y)``, if f is 1, and then turns by
    ``2 pi k / n``. A turn and the mirror m obey ``m r = r^{-1} m``. For n = 1, 2, 4 exact on the
    grid; with n = 1 only the last axis of an image is mirrored.

    Parameters
    ----------
    n : int
        Number of rotations, from 1 to 64; the group has 2 n elements.

    Raises
    ------
    ValueError
        For any other number.
    """

    def __init__(self, n: int) -> None:
        require_count("n", n, most=MOST_TURNS)
        self.n = int(n)
        turns = _turns(self.n)
        mirror = torch.diag(torch.tensor([1.0, -1.0], dtype=torch.float64))
        super().__init__(torch.cat([turns, turns @ mirror]))

    def __repr__(self):
        return f"Dihedral({self.n})"


class CubeRotations(Group):
    """The 24 rotations of the cube, which permute the voxels of a volume; exact.

    They are the signed permutation matrices of determinant one, in a fixed order.

    Examples
    --------
    >>> import torch
    >>> from odl_learned.networks import equivariant
    >>> group = equivariant.CubeRotations()
    >>> isinstance(group, equivariant.Group)
    True
    >>> x = torch.arange(27.0).reshape(1, 3, 3, 3)
    >>> print(group.order, bool((group.act(0, x) == x).all()), bool((group.act(5, x) == x).all()))
    24 True False
    """

    def __init__(self) -> None:
        matrices = []
        for source in itertools.permutations(range(3)):
            for signs in itertools.product((1.0, -1.0), repeat=3):
                matrix = torch.zeros(3, 3, dtype=torch.float64)
                matrix[range(3), source] = torch.tensor(signs, dtype=torch.float64)
                if torch.linalg.det(matrix) > 0:
                    matrices.append(matrix)
        super().__init__(torch.stack(matrices))

    def __repr__(self):
        return "CubeRotations()"


def require_group(group: Group) -> None:
    """Raise TypeError unless this is a group of this room."""
    if not isinstance(group, Group):
        raise TypeError(f"group is {shown(group)}, expected a group such as "
                        "networks.equivariant.Cyclic(4).")
