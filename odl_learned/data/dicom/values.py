"""From the stored numbers of a DICOM file to values in physical units.

DICOM PS3.3, C.11.1 (modality transformation), C.8.8.3 (dose), C.7.6.16.2.11 (real world values).
"""

import warnings

import numpy as np

from odl_learned.data.dicom.attributes import attribute, is_localizer, numbers_of, plain


def physical_values(path, dataset, stored, frame):
    """Values of one frame in physical units as float64, and the unit, empty if unknown.

    A table, where the file has one, else ``slope * stored + intercept``; for doses ``scaling *
    stored``. Windows, which say how to display values, change nothing.
    """
    if plain(path, dataset, "ModalityLUTSequence"):
        values, unit = _looked_up(path, dataset, stored)
    elif plain(path, dataset, "Modality") == "RTDOSE" or "DoseGridScaling" in dataset:
        values, unit = _dose(path, dataset, stored)
    else:
        values, unit = _rescaled(path, dataset, stored, frame)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        warnings.warn(
            f"{path} is MONOCHROME1: low values are meant to be shown bright. The values are kept; "
            "for a picture in the usual sense invert them, array.max() - array.",
            stacklevel=3,
        )
    return values, unit


def _looked_up(path, dataset, stored):
    """Values of the modality lookup table, which is constant beyond its ends."""
    table = dataset.ModalityLUTSequence[0]
    count, first, _ = numbers_of(path, "LUTDescriptor", plain(path, table, "LUTDescriptor"), 3)
    count, first = int(count) % 2**16 or 2**16, int(first) % 2**16
    if plain(path, dataset, "PixelRepresentation") == 1 and first >= 2**15:
        first -= 2**16
    data = plain(path, table, "LUTData")
    if isinstance(data, bytes):
        order = "<" if dataset.original_encoding[1] else ">"
        data = np.frombuffer(data, dtype=f"{order}u2" if len(data) >= 2 * count else np.uint8)
    data = numbers_of(path, "LUTData", np.atleast_1d(data)[:count], count)
    unit = plain(path, table, "ModalityLUTType") or ""
    return data[np.clip(stored.astype(np.int64) - first, 0, count - 1)], _known(unit)


def _dose(path, dataset, stored):
    scaling = plain(path, dataset, "DoseGridScaling")
    (scaling,) = numbers_of(path, "DoseGridScaling", scaling, 1)
    unit = plain(path, dataset, "DoseUnits") or ""
    return scaling * stored, {"GY": "Gy"}.get(unit, unit)


def _rescaled(path, dataset, stored, frame):
    slope, intercept, unit = (attribute(path, dataset, name, frame)
                              for name in ("RescaleSlope", "RescaleIntercept", "RescaleType"))
    transformed = slope is not None or intercept is not None
    (slope,) = numbers_of(path, "RescaleSlope", 1.0 if slope is None else slope, 1)
    (intercept,) = numbers_of(path, "RescaleIntercept", 0.0 if intercept is None else intercept, 1)
    if slope == 0:
        raise ValueError(
            f"RescaleSlope of {path} is 0, which makes every pixel {intercept:g}; expected another "
            "slope. Correct it with pydicom."
        )
    hounsfield = plain(path, dataset, "Modality") == "CT" and not is_localizer(path, dataset)
    if unit is None and transformed and hounsfield:  # C.8.2.1: said only where it is another one
        unit = "HU"
    mapped = _real_world_unit(path, dataset, frame, slope, intercept)
    units = (_known(unit or ""), mapped, plain(path, dataset, "Units") or "")
    return slope * stored + intercept, next(filter(None, units), "")


def _known(unit):
    """The unit, empty for "US", which stands for an unspecified one."""
    return "" if unit == "US" else str(unit)


def _real_world_unit(path, dataset, frame, slope, intercept):
    """The unit of the real world value mapping that is the rescaling; a warning if another is."""
    mappings = attribute(path, dataset, "RealWorldValueMappingSequence", frame) or []
    lines = [tuple(plain(path, item, f"RealWorldValue{name}") for name in ("Slope", "Intercept"))
             for item in mappings]  # fmt: skip
    if (slope, intercept) in lines:
        codes = plain(path, mappings[lines.index((slope, intercept))],
                      "MeasurementUnitsCodeSequence")  # fmt: skip
        code = str(plain(path, codes[0], "CodeValue") or "") if codes else ""
        return {"[hnsf'U]": "HU", "1": ""}.get(code, code)  # UCUM
    if lines:
        warnings.warn(
            f"{path} also maps stored numbers to real world values, by (slope, intercept) in "
            f"{lines}, None for a table; the values that are read are {slope:g} * stored + "
            f"{intercept:g} instead.",
            stacklevel=5,
        )
    return ""
