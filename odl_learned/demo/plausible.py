"""Whether a slice can be what it is said to be: refuse what cannot, say what is assumed.

The measurement is simulated from the slice, so that a photograph taken for Hounsfield units, or
pixels of 50 mm, give a table of numbers that looks like any other.
"""

import numpy as np

AIR, LEAST_AIR = -1000.0, -200.0  # of air, and above it there is none, in Hounsfield units
DENSEST = 4095.0  # what 12 bits hold; above it are implants
LARGEST_FIELD_MM, USUAL_FIELD_MM = 1000.0, (100.0, 700.0)
LEAST_BODY, MOST_METAL = 1e-3, 1e-2
FEW_PHOTONS = 10.0


def require_hounsfield(image):
    """Refuse values that are no Hounsfield units, and pixels that no scanner has.

    Where the file says that they are in Hounsfield units, there may be no air.

    Raises
    ------
    ValueError
        If the unit is another one, or values, body and field of view are not those of a scan.
    """
    array, unit = image.array, image.unit
    if unit not in ("HU", ""):
        raise ValueError(
            f"the values of the image are in {unit}, expected Hounsfield units; choose another "
            "slice, or say --modality ct if they are."
        )
    if image.pixel_mm is None or not min(image.pixel_mm) > 0:
        raise ValueError(
            f"the side of a pixel is {image.pixel_mm}, expected millimeters; say it with "
            "--pixel-mm."
        )
    low, high = float(array.min()), float(array.max())
    without_air, dense = unit == "" and low > LEAST_AIR, float((array > DENSEST).mean())
    if high - low < 100 or high < -900 or without_air or dense > MOST_METAL:
        raise ValueError(
            f"the values of the image are between {low:g} and {high:g}, expected Hounsfield units, "
            "-1000 for air and 0 for water; say --rescale SLOPE INTERCEPT, such as 1 -1024 for the "
            "numbers that scanners store, or 1 0 if they are Hounsfield units without any air; a "
            "photograph has none, take it for a magnitude by --modality mr."
        )
    body = float((array > AIR / 2).mean())
    if body < LEAST_BODY:
        raise ValueError(
            f"{body:.2%} of the pixels are above {AIR / 2:g} Hounsfield units, the rest is air, "
            f"expected a body in at least {LEAST_BODY:.1%} of them; choose another slice."
        )
    field = field_mm(image)
    if field > LARGEST_FIELD_MM:
        raise ValueError(
            f"pixels of {image.pixel_mm[0]:g} mm make a field of view of {field:g} mm, expected at "
            f"most {LARGEST_FIELD_MM:g}, which few photons would leave; say the side of a pixel "
            "with --pixel-mm."
        )


def require_magnitude(image):
    """Refuse values that are no magnitude.

    Raises
    ------
    ValueError
        If they are zero almost everywhere, or clearly negative.
    """
    bright, low = float(np.quantile(image.array, 0.999)), float(image.array.min())
    if bright <= 0 or low < -0.05 * bright:
        raise ValueError(
            f"the smallest value of the image is {low:g} and its 99.9 % quantile {bright:g}, "
            "expected a magnitude, without negative values; choose another slice, or store its "
            "absolute values."
        )


def field_mm(image):
    """The side of the field of view in millimeters."""
    return float(image.pixel_mm[0]) * max(image.array.shape)


def assumed(image):
    """What is taken for granted of a slice, as sentences that say how to put it right."""
    said = []
    if image.modality == "CT":
        low, high = float(image.array.min()), float(image.array.max())
        if image.unit == "":
            said.append(f"values of {low:g} to {high:g} are taken for Hounsfield units; if they "
                        "are not, say --rescale SLOPE INTERCEPT")
        if high > DENSEST:
            said.append(f"values up to {high:g} are taken for metal")
        field, (small, large) = field_mm(image), USUAL_FIELD_MM
        usual = small <= field <= large
        if image.unit == "" or not usual:
            wonder = "" if usual else f", unusual for a body ({small:g} to {large:g} mm)"
            said.append(f"pixels of {image.pixel_mm[0]:g} mm make a field of view of {field:g} mm"
                        f"{wonder}; say --pixel-mm if they have another side")
    else:
        negative = float((image.array < 0).mean())
        if negative > 0:
            said.append(f"{negative:.2%} of the values are negative, down to "
                        f"{float(image.array.min()):g}; a magnitude has none, they are set to zero")
    return said


def starved(counts, photons):
    """What is said where rays keep too few photons, as a list of one sentence or none.

    Parameters
    ----------
    counts : array
        Expected numbers of photons.
    photons : float
        Numbers without an object.
    """
    share = float((counts < FEW_PHOTONS).mean())
    if share < 1e-3:
        return []
    return [f"photon starvation: {share:.1%} of the rays keep fewer than {FEW_PHOTONS:g} of "
            f"{photons:g} photons; the body is too large or too dense, look at --pixel-mm"]


def beaten(entries):
    """Sentences for the learned methods that are worse than what they start from.

    Parameters
    ----------
    entries : list of dict
        Rows of the table: in each problem the analytical method comes first.
    """
    said, starts = [], {}
    for row in entries:
        start = starts.setdefault(row["problem"], row)
        if row["method"].startswith("learned") and row["PSNR"] < start["PSNR"]:
            below = start["PSNR"] - row["PSNR"]
            said.append(f"{row['problem']}: the {row['method']} is {below:.2f} dB below "
                        f"{start['method']}, from which it starts; it was learned from other "
                        "images, do not use it for this one")
    return said
