"""Images of a folder, to learn from: read by their kinds, and resampled to one grid."""

import sys
from pathlib import Path

#: Suffixes of files that lie beside images, and are none.
OTHERS = (".json", ".txt", ".toml", ".csv", ".md", ".py", ".xml", ".log")


def read_folder(folder, count, key, index):
    """Return `data.Image` by names, evenly chosen from the sorted files of a folder.

    Pictures in color are read by their brightness. Raises ValueError if there is no image, and what
    the readers raise.
    """
    import numpy as np

    from odl_learned.validation import require_count

    require_count("--count", count)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder; expected one with images to learn from.")
    paths = sorted(path for path in folder.iterdir() if path.is_file()
                   and not path.name.startswith(".") and path.suffix.lower() not in OTHERS)
    if not paths:
        raise ValueError(f"{folder} holds no images; expected files in DICOM, .npy, .npz, .h5, "
                         ".nii, .png, .jpg or .tif.")
    chosen = np.unique(np.linspace(0, len(paths) - 1, min(count, len(paths))).round().astype(int))
    return {paths[i].name: read(paths[i], key, index) for i in chosen}


def read(path, key, index):
    """One `data.Image`."""
    from odl_learned import data
    from odl_learned.data.dicom.files import is_dicom
    from odl_learned.data.files.pictures import is_picture

    if is_dicom(path):
        return data.read_dicom(path, index)
    if is_picture(path) and index is None:
        return data.Image(data.read_luminance(path), None, None)
    return data.Image(data.read_image(path, key, index), None, None)


def in_unit(images, scale):
    """Return the arrays in the unit of pictures: Hounsfield units as attenuation per millimeter."""
    from odl_learned import data
    from odl_learned.validation import require_positive

    if scale is not None:
        require_positive("--scale", scale)
        return {name: scale * image.array for name, image in images.items()}
    if any(image.unit == "HU" for image in images.values()):
        print("note: Hounsfield units become attenuation per millimeter; 0.02 is water.",
              file=sys.stderr)
    return {name: data.hounsfield_to_attenuation(image.array) / 10 if image.unit == "HU" else
            image.array for name, image in images.items()}  # fmt: skip


def over_largest(arrays):
    """Return nonnegative arrays with the largest value one."""
    import numpy as np

    for name, array in arrays.items():
        if not np.max(array) > 0 or np.min(array) < 0:
            raise ValueError(f"{name} has values from {np.min(array):g} to {np.max(array):g}; "
                             "expected magnitudes, at least zero and not all zero.")
    return {name: array / np.max(array) for name, array in arrays.items()}


def on_grid(arrays, shape):
    """Return the arrays cropped in the middle to the sides of a grid, and averaged to its pixels.

    Raises
    ------
    ValueError
        If an image has fewer pixels than the grid: more would be invented.
    """
    import numpy as np
    import torch

    found = {}
    for name, array in arrays.items():
        factor = min(n / m for n, m in zip(array.shape, shape, strict=True))
        if factor < 1:
            raise ValueError(f"{name} has {' x '.join(map(str, array.shape))} pixels; expected at "
                             f"least {' x '.join(map(str, shape))}; choose larger images, or "
                             "fewer pixels of the picture.")
        sides = [round(factor * m) for m in shape]
        start = [(n - m) // 2 for n, m in zip(array.shape, sides)]
        middle = array[start[0]:start[0] + sides[0], start[1]:start[1] + sides[1]]
        tensor = torch.from_numpy(np.array(middle, dtype=np.float64))[None, None]
        if tuple(sides) != tuple(shape):
            tensor = torch.nn.functional.interpolate(tensor, size=tuple(shape), mode="bilinear",
                                                     antialias=True, align_corners=False)
        found[name] = tensor[0, 0].numpy()
    return found


def as_they_are(arrays):
    """Return the arrays if all have the shape of the first.

    Raises
    ------
    ValueError
        That names the first one with another shape.
    """
    first, *others = arrays
    for name in others:
        if arrays[name].shape != arrays[first].shape:
            raise ValueError(
                f"{name} has {' x '.join(map(str, arrays[name].shape))} pixels and {first} "
                f"{' x '.join(map(str, arrays[first].shape))}; expected images of one size; crop "
                "them, or leave those out.")
    return arrays


def split(names):
    """Return the names to learn from, and the one for the test: the last, or an only one itself."""
    names = list(names)
    return (names[:-1], names[-1]) if len(names) > 1 else (names, names[-1])


def told_of(test, train):
    """Whether the image of the test is one of those that were learned from."""
    return f"{'' if test in train else 'not '}learned from"


def require_free(checkpoints, resume):
    """Raise ValueError if there are checkpoints and they are not to be resumed."""
    for path in map(Path, checkpoints):
        if path.exists() and not resume:
            raise ValueError(f"{path} is there from a run that did not get to its end; go on with "
                             "--resume, or remove the file to start anew.")
