"""Slices of several subjects in one archive, chosen evenly from the subjects of a split."""

from collections.abc import Sequence
from os import PathLike

import numpy as np

from odl_learned.data.files.archives import read_measurement
from odl_learned.data.files.limits import Limits
from odl_learned.data.orientation import from_rows
from odl_learned.data.preparation import downsample
from odl_learned.validation import require_count, require_finite, require_real


def read_slices(
    path: str | PathLike,
    split: str,
    count: int,
    factor: int = 1,
    subjects: Sequence[str] | None = None,
    limits: Limits = Limits(),
) -> np.ndarray:
    """Read slices from all subjects of a split, as many of each as of the others, evenly spread.

    Parameters
    ----------
    path : str or Path
        File written by numpy.savez with the arrays ``images`` (N, rows, columns), ``split`` (N,)
        and ``subject`` (N,), names, and ``p999`` (N,), the intensity that becomes one.
    split : str
        Name in ``split``, "train" for example.
    count : int
        Number of slices; the first subjects give one more where it does not divide evenly.
    factor : int, optional
        Blocks of ``factor x factor`` pixels are averaged.
    subjects : sequence of str, optional
        The subjects to take slices of, in this order. Default: all of the split, sorted.
    limits : Limits, optional
        How much each array may expand to.

    Returns
    -------
    images : numpy.ndarray of float64, shape (count, nx, ny)
        In the orientation of ODL.

    Raises
    ------
    FileNotFoundError, KeyError
        If there is no such file, or an array is missing.
    ValueError
        If there is no such split or subject in it, not enough slices of a subject, a subject is
        named twice, or the arrays do not fit together.
    """
    require_count("count", count)
    images, splits, subject, scale = read_measurement(
        path, "Slices by subject come with the names of their splits.", "images", "split",
        "subject", "p999", limits=limits)  # fmt: skip
    _require_archive(path, images, splits, subject, scale)
    known = np.unique(subject[splits == split]).tolist()
    if not known:
        raise ValueError(f"split is {split!r}, expected one of {np.unique(splits).tolist()}.")
    subjects = known if subjects is None else list(subjects)
    if not subjects or not set(subjects) <= set(known) or len(set(subjects)) < len(subjects):
        raise ValueError(
            f"subjects is {subjects}, expected some of {known}, those of {split!r}, each once."
        )
    chosen = []
    for i, each in enumerate(subjects):
        mine = np.flatnonzero((subject == each) & (splits == split))
        share = len(range(i, count, len(subjects)))
        if share > len(mine):
            raise ValueError(
                f"count is {count}, {share} slices of subject {each}, which has {len(mine)}; ask "
                f"for {len(subjects) * len(mine)} at most."
            )
        middles = (np.arange(share) + 0.5) / max(share, 1)
        chosen.extend(mine[(middles * len(mine)).astype(int)])
    images = images[chosen] / scale[chosen][:, None, None].astype(float)
    return downsample(from_rows(images), factor)


def _require_archive(path, images, splits, subject, scale):
    """Raise ValueError or TypeError unless the arrays describe gray slices, one by one."""
    shapes = [array.shape for array in (splits, subject, scale)]
    if images.ndim != 3 or any(shape != images.shape[:1] for shape in shapes):
        raise ValueError(
            f"images, split, subject and p999 in {path} have the shapes {images.shape}, "
            f"{', '.join(map(str, shapes))}, expected (N, rows, columns) and three times (N,). "
            "Pack them again with numpy.savez."
        )
    for name, array in (("images", images), ("p999", scale)):
        require_real(f"{name} in {path}", array)
        require_finite(f"{name} in {path}", array)
    if scale.size and scale.min() <= 0:
        raise ValueError(
            f"p999 in {path} has the minimum {scale.min():g}, expected the positive intensity of "
            "each slice that becomes one; leave dark slices out."
        )
