"""Two real images that come with the package pydicom-data; nothing is downloaded."""

from importlib import resources
from pathlib import Path

from odl_learned.data.dicom.images import Image, read_dicom


def _example(name):
    try:
        file = resources.files("data_store") / "data" / name
    except ModuleNotFoundError as error:
        raise ImportError(
            "the example images come with the package pydicom-data; install it with "
            'pip install "odl_learned[demo]".'
        ) from error
    return read_dicom(Path(str(file)))


def example_ct() -> Image:
    """An abdominal slice of computed tomography, 512 x 512, in Hounsfield units.

    File explicit_VR-UN.dcm of the package pydicom-data; spine at the bottom, liver on the left.

    Returns
    -------
    image : Image

    Raises
    ------
    ImportError
        If pydicom or pydicom-data is not installed.
    """
    return _example("explicit_VR-UN.dcm")


def example_mr() -> Image:
    """A magnetic resonance image of a shoulder, 1024 x 1024, in arbitrary units.

    File MR2_UNCR.dcm of the package pydicom-data. The lowest and the highest 98 pixels are zero
    padding, apart from small marks near the edges: crop ``array[:, 103:-103]``.

    Returns
    -------
    image : Image

    Raises
    ------
    ImportError
        If pydicom or pydicom-data is not installed.
    """
    return _example("MR2_UNCR.dcm")
