r"""Bands around any reconstruction that hold the truth as often as is asked, without assumptions
on the map or on the distribution: split conformal calibration.

.. math:: C_q(y) = [\, l(y) - q\, w(y),\; u(y) + q\, w(y) \,]

with ``l = u = Phi(y)`` for one map, lower and upper quantiles for two, and a guess w of the width.
The factor q is chosen on pairs that neither map nor width were learned from.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import odl
import torch

from odl_learned.odl_validation import shown
from odl_learned.reconstruction.trust.risks import (
    Risk,
    missed_pixels,
    require_coverage,
    smallest_factor,
)
from odl_learned.reconstruction.trust.tried_maps import (
    Elements,
    ReconstructionMap,
    Spaces,
    TriedMap,
    batch,
)
from odl_learned.reconstruction.trust.widths import Width
from odl_learned.validation import require_method

#: Samples that are mapped together.
TOGETHER = 16


class Band(NamedTuple):
    """A band for each sample, tensors ``(N, *X.shape)``, real, in the precision of images."""

    lower: torch.Tensor
    upper: torch.Tensor


def conformal_bands(
    map: ReconstructionMap | tuple[ReconstructionMap, ReconstructionMap],
    forward_op: odl.Operator,
    truths: Elements,
    data: Elements,
    groups: Sequence[Hashable],
    *,
    coverage: float = 0.9,
    risk: Risk = missed_pixels,
    width: Width | None = None,
) -> "ConformalBands":
    r"""Calibrate a band around a reconstruction on pairs that were held out.

    .. math:: \hat q = \min \Big\{ q : \sum_{g=1}^n L_g(q) + 1 \le \alpha (n + 1) \Big\}, \qquad
              E\, L_{n+1}(\hat q) \le \alpha = 1 - \text{coverage}

    The guarantee is of the mean over groups, the calibrating and the next one, if they are
    *exchangeable*: drawn in the same way, in any order. Slices of one patient are not, patients
    are: a group is what was drawn independently, and its loss is the mean over its images. The map,
    its regularization parameter and the width must not have seen the calibration data; if they
    have, the band is too narrow and nothing here can tell. The guarantee is neither for a given
    patient nor for a given pixel: what is difficult may be missed more often than what is easy. Nor
    is it for other scanners.

    Parameters
    ----------
    map : torch.nn.Module, odl.Operator, callable, or a pair of these
        Phi, as in `worst_perturbation`; a pair is a lower and an upper quantile, whose band may
        also become narrower than they are (conformalized quantile regression).
    forward_op : odl.Operator
        ``A: X -> Y``, whose spaces images and data have.
    truths, data : torch.Tensor (N, *X.shape) and (N, *Y.shape), or lists of elements
        The calibration pairs. For a complex X the band is one of magnitudes, ``|Phi(y)|``.
    groups : sequence of N labels
        The patient of each pair; ``range(N)`` if all pairs are independent.
    coverage : float, optional
        ``1 - alpha``, in (0, 1). It takes ``coverage / (1 - coverage)`` groups at least, 9 for 0.9.
        With few groups more is covered, up to ``coverage (n + 1) / n`` and what follows.
    risk : callable, optional
        What L counts: `missed_pixels`, or `missed_images(0.9)`, images with fewer pixels inside.
    width : callable, optional
        w, a function of data and images with positive values, such as those of `edge_width`,
        `network_width` and `sample_deviation`; images are the mean of both maps, if there are two.
        Default: one everywhere.

    Returns
    -------
    bands : ConformalBands
        An operator from Y to the two images of the band.

    Raises
    ------
    TypeError
        If maps, spaces, risk or width are something else.
    ValueError
        If there are too few groups for the coverage, sizes do not match, widths are not positive,
        or the factor is infinite.

    References
    ----------
    Angelopoulos, A. et al. Image-to-image regression with distribution-free uncertainty
    quantification. ICML (2022). Angelopoulos, A. et al. Conformal risk control. ICLR (2024), (4).
    Romano, Y., Patterson, E. and Candes, E. Conformalized quantile regression. NeurIPS (2019).
    Dunn, R., Wasserman, L. and Ramdas, A. Distribution-free prediction sets for two-layer
    hierarchical models. JASA (2023), for groups.

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import reconstruction
    >>> X, seed = odl.rn(4), torch.Generator().manual_seed(0)
    >>> truths = torch.rand(19, 4, generator=seed, dtype=torch.float64)
    >>> y = truths + 0.1 * torch.randn(truths.shape, generator=seed, dtype=torch.float64)
    >>> width = reconstruction.network_width(torch.nn.Softplus(), floor=0.01)
    >>> bands = reconstruction.conformal_bands(
    ...     torch.nn.Identity(), odl.IdentityOperator(X), truths, y, list(range(19)), coverage=0.9,
    ...     risk=reconstruction.missed_pixels, width=width)
    >>> isinstance(bands, reconstruction.ConformalBands)
    True
    >>> lower, upper = bands(X.one())
    >>> print((lower.data < 1).all(), (upper.data > 1).all())
    True True
    """
    spaces = Spaces(forward_op)
    pair = map if isinstance(map, tuple) else (map,)
    if len(pair) not in (1, 2):
        raise ValueError(f"map is a tuple of {len(pair)}, expected one map, or a lower and an "
                         "upper one.")
    maps = [TriedMap("map", one, spaces) for one in pair]
    x, y = batch("truths", truths, spaces.images), batch("data", data, spaces.data)
    if len(x) != len(y):
        raise ValueError(f"there are {len(x)} truths and {len(y)} data, expected pairs.")
    labels = _labels(groups, len(x))
    require_coverage(coverage)
    require_method("risk", risk, "reconstruction.missed_images(0.9)", 1)
    if width is not None:
        require_method("width", width, "lambda data, images: images.abs() + 0.1", 2)
    family = _Family(spaces, maps, width)
    scores = torch.cat([family.scores(x[i : i + TOGETHER], y[i : i + TOGETHER])
                        for i in range(0, len(x), TOGETHER)])
    factor = smallest_factor(scores, labels, coverage, risk)
    return ConformalBands(family, factor, coverage, len(set(labels)))


class ConformalBands(odl.Operator):
    r"""Bands for data, as an operator from Y to ``X x X``, X real: ``lower, upper = bands(y)``.

    Built by `conformal_bands`. Edges are rounded outward; where the map is not finite, they are
    infinite. The operator has no derivative.

    Attributes
    ----------
    factor : float
        q.
    coverage : float
    groups : int
        How many were calibrated on.
    """

    def __init__(self, family: "_Family", factor: float, coverage: float, groups: int) -> None:
        self.family, self.factor = family, factor
        self.coverage, self.groups = coverage, groups
        images = family.spaces.images.space
        super().__init__(family.spaces.data.space, odl.ProductSpace(images.real_space, 2))

    def _call(self, y):
        band = self.of(self.family.spaces.data.to_tensor(y)[None])
        return self.range.element([edge[0].numpy() for edge in band])

    def of(self, data: Elements) -> Band:
        """Return the bands of data, a tensor ``(N, *Y.shape)`` or a list of elements."""
        y = batch("data", data, self.family.spaces.data)
        bands = [self.family.band(y[i : i + TOGETHER], self.factor)
                 for i in range(0, len(y), TOGETHER)]
        return Band(*(torch.cat(edges) for edges in zip(*bands)))

    def covered(
        self, truths: Elements, data: Elements
    ) -> torch.Tensor:
        """Return the fractions of pixels of the truths in the bands of the data, ``(N,)``."""
        x = batch("truths", truths, self.family.spaces.images)
        lower, upper = self.of(data)
        if len(x) != len(lower):
            raise ValueError(f"there are {len(x)} truths and {len(lower)} data, expected pairs.")
        x = _magnitudes(x)
        return ((lower <= x) & (x <= upper)).double().flatten(1).mean(1)

    def __repr__(self):
        return (f"{type(self).__name__}(factor={self.factor:.3g}, coverage={self.coverage}, "
                f"groups={self.groups})")


class _Family:
    """The bands that grow with q, in double precision."""

    def __init__(self, spaces, maps, width):
        self.spaces, self.maps, self.width = spaces, maps, width

    def anchors(self, y):
        """``l``, ``u`` and ``w``."""
        with torch.no_grad():
            images = [one(y) for one in self.maps]
            if self.width is None:
                w = torch.ones(())
            else:
                w = self.width(y, sum(images) / len(images))
                _require_width(w, images[0])
        lower, upper = _magnitudes(images[0]), _magnitudes(images[-1])
        return lower, upper, w.double().expand(lower.shape)

    def scores(self, x, y):
        """The smallest q whose band holds a pixel."""
        lower, upper, w = self.anchors(y)
        x = _magnitudes(x)
        return torch.maximum(lower - x, x - upper) / w

    def band(self, y, factor):
        """The edges of the band, for one q."""
        lower, upper, w = self.anchors(y)
        far = torch.full((), torch.inf, dtype=self.spaces.images.dtype.to_real())
        # A score is a rounded difference, and quotient, of what the product gives back: they and
        # the two operations here change q w by at most four parts in 2^53, however small the
        # edge is that is left over; the last rounding is half a step of the edge.
        reach = factor * w
        reach = reach + 4 * torch.finfo(torch.float64).eps * reach.abs()
        lower = torch.nextafter((lower - reach).to(far.dtype), -far)
        upper = torch.nextafter((upper + reach).to(far.dtype), far)
        return Band(torch.where(torch.isfinite(lower), lower, -far),
                    torch.where(torch.isfinite(upper), upper, far))


def _magnitudes(images):
    """Images in double precision, magnitudes of complex ones."""
    return (images.abs() if images.is_complex() else images).double()


def _require_width(w, images):
    """Raise ValueError unless widths have the shape of images, and are positive."""
    if not isinstance(w, torch.Tensor) or w.shape != images.shape or w.is_complex():
        found = tuple(w.shape) if isinstance(w, torch.Tensor) else shown(w)
        raise ValueError(f"width returned {found} for images of shape {tuple(images.shape)}, "
                         "expected a real tensor of their shape.")
    if not (w > 0)[torch.isfinite(images)].all():
        raise ValueError(f"width returned {float(w.min()):.3g}, expected positive numbers; add a "
                         "small floor to it.")


def _labels(groups, count):
    """The labels as a list, one for each pair."""
    try:
        labels = [label.item() if hasattr(label, "item") else label for label in groups]
        set(labels)
    except (TypeError, ValueError, RuntimeError):
        labels = None
    if labels is None or isinstance(groups, str):
        raise TypeError(f"groups is {shown(groups)}, expected a sequence of labels, one for each "
                        "pair, such as the names of patients; range(N) if all are independent.")
    if len(labels) != count:
        raise ValueError(f"there are {len(labels)} groups for {count} pairs, expected one label "
                         "for each pair.")
    if any(label is None or label != label for label in labels):
        raise ValueError("a group is None or not a number, expected the patient of each pair.")
    return labels
