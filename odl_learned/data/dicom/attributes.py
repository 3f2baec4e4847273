"""Attributes of DICOM files and of their frames, converted and checked when they are asked for."""

import numpy as np

#: Where enhanced multi-frame files keep an attribute, by frame or shared by all.
MACROS = {
    "PixelSpacing": "PixelMeasuresSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "ImagePositionPatient": "PlanePositionSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "RescaleType": "PixelValueTransformationSequence",
    "RealWorldValueMappingSequence": "RealWorldValueMappingSequence",
}


def one_line(error):
    """The message of an error on one line."""
    return " ".join(str(error).split())


def plain(path, dataset, name):
    """A top-level attribute, None if it is missing or empty; raise ValueError if it is garbled."""
    try:
        value = dataset.get(name)
    except Exception as error:  # values are converted when they are asked for
        raise ValueError(
            f"{name} of {path} cannot be understood ({one_line(error)}); expected a value as in "
            "the DICOM standard. Correct it with pydicom."
        ) from error
    return None if value is None or value == "" else value


def attribute(path, dataset, name, frame):
    """An attribute of one frame: its own, else that of all frames, else that of the file."""
    frames = plain(path, dataset, "PerFrameFunctionalGroupsSequence") or []
    if frames and len(frames) != frame_count(path, dataset):
        raise ValueError(
            f"{path} describes {len(frames)} frames (PerFrameFunctionalGroupsSequence) and has "
            f"{frame_count(path, dataset)} (NumberOfFrames), expected equal numbers. Export it "
            "again."
        )
    shared = plain(path, dataset, "SharedFunctionalGroupsSequence") or []
    for group in [*frames[frame : frame + 1], *shared[:1]] if name in MACROS else []:
        macro = plain(path, group, MACROS[name])
        if macro and name == MACROS[name]:
            return macro
        if macro and (value := plain(path, macro[0], name)) is not None:
            return value
    return plain(path, dataset, name)


def numbers_of(path, name, value, count):
    """An attribute as an array of finite floats; raise ValueError if it is something else."""
    try:
        array = np.asarray(value, dtype=float).reshape(-1)
    except (TypeError, ValueError):
        array = np.empty(0)
    if len(array) != count or not np.all(np.isfinite(array)):
        raise ValueError(
            f"{name} of {path} is {value!r}, expected {count} finite "
            f"number{'s' if count > 1 else ''}. Correct it with pydicom, or export the file again."
        )
    return array


def frame_count(path, dataset):
    """Number of frames, one for ordinary files."""
    count = plain(path, dataset, "NumberOfFrames")
    return 1 if count is None else max(1, int(numbers_of(path, "NumberOfFrames", count, 1)[0]))


def is_localizer(path, dataset):
    """Whether an image is a localizer, a scout for planning: ImageType says so."""
    return "LOCALIZER" in np.atleast_1d(plain(path, dataset, "ImageType") or []).tolist()
