"""Which patient a scan is of, and splits in which no patient is on two sides.

Slices of one patient are alike: where some are trained on and others tested, tests only show how
well a map remembers.
"""

import hashlib
import math
from collections.abc import Mapping
from fractions import Fraction
from os import PathLike
from pathlib import Path

from odl_learned.data.dicom.attributes import plain
from odl_learned.data.dicom.files import SUFFIXES, as_path, is_dicom, open_dicom
from odl_learned.data.files import hdf5_files
from odl_learned.data.files.limits import Limits, require_limits
from odl_learned.validation import is_finite_number, require_count, shown

HDF5 = (".h5", ".hdf5")


def find_patients(folder: str | PathLike, limits: Limits = Limits()) -> dict[str, list[Path]]:
    """Return the scans below a folder by patient.

    A scan is an HDF5 file in the layout of fastMRI, for `read_kspace`, or a folder of DICOM images,
    as those of LIDC-IDRI, for `read_dicom_folder`. The patient is the attribute ``patient_id`` of
    the file or of its array ``kspace``, or the PatientID of the DICOM images; all headers are read.

    Parameters
    ----------
    folder : str or Path
        It is searched with all its subfolders.
    limits : Limits, optional
        How much each header may expand to.

    Returns
    -------
    patients : dict, str -> list of Path
        In the order of names; each a file or a folder.

    Raises
    ------
    NotADirectoryError
        If there is no such folder.
    ValueError
        If there are no scans, one does not say of whom it is, or a folder has images of two
        patients.
    ImportError
        If pydicom or h5py is needed and not installed.

    Notes
    -----
    Zbontar et al. (2018), "fastMRI", arXiv:1811.08839; Armato et al. (2011), "LIDC/IDRI".
    """
    folder = as_path(folder)
    require_limits(limits)
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder; pass the one with all patients.")
    scans = {}
    for file in sorted(folder.rglob("*")):
        if not file.is_file():
            continue
        if file.suffix.lower() in HDF5:
            scans[file] = _patient_of_kspace(file)
        elif (patient := _patient_of_dicom(file, limits)) is not None:
            other = scans.setdefault(file.parent, patient)
            if other != patient:
                raise ValueError(
                    f"{file.parent} has images of the patients {other!r} and {patient!r}, expected "
                    "those of one; give every series a folder of its own.")
    if not scans:
        raise ValueError(f"{folder} has neither DICOM images nor HDF5 files below it; check the "
                         "path.")
    patients: dict[str, list[Path]] = {}
    for scan, patient in scans.items():
        patients.setdefault(patient, []).append(scan)
    return dict(sorted(patients.items()))


def split_patients(
    patients: Mapping[str, list[Path]], shares: Mapping[str, float], seed: int = 0
) -> dict[str, dict[str, list[Path]]]:
    r"""Deal patients out to splits, each patient to one.

    Patients are ordered by a hash of seed and name, and cut where the shares of their number end,
    rounded: the same on every machine, whatever the order of files.

    Parameters
    ----------
    patients : mapping, str -> list
        Of `find_patients`.
    shares : mapping, str -> float
        Positive shares by the name of the split, such as ``{"train": 0.8, "val": 0.1, "test":
        0.1}``; they add up to one.
    seed : int, optional
        Nonnegative.

    Returns
    -------
    splits : dict, str -> dict, str -> list
        By split, patients as they were passed, in the order of names.

    Raises
    ------
    TypeError
        If patients or shares are no mappings.
    ValueError
        If shares are out of bounds or do not add up to one, or a split has no patient.

    Examples
    --------
    >>> from odl_learned import data
    >>> patients = {f"patient {k}": [f"{k}a.dcm", f"{k}b.dcm"] for k in range(4)}
    >>> splits = data.split_patients(patients, {"train": 0.75, "test": 0.25}, seed=0)
    >>> print({name: len(files) for name, files in splits.items()})
    {'train': 3, 'test': 1}
    """
    for name, value in (("patients", patients), ("shares", shares)):
        if not isinstance(value, Mapping) or not value:
            raise TypeError(f"{name} is {shown(value)}, expected a dict of names, not empty.")
    for name, share in shares.items():
        if not is_finite_number(share) or share <= 0:
            raise ValueError(f"shares[{name!r}] is {share!r}, expected a positive number.")
    total = math.fsum(shares.values())
    if abs(total - 1) > 1e-9:
        raise ValueError(f"shares add up to {total}, expected one; divide them by their sum.")
    require_count("seed", seed, 0)
    order = sorted(patients, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    splits, begin, past = {}, 0, Fraction(0)
    for name, share in shares.items():
        past += Fraction(share)
        end = round(past / Fraction(total) * len(order))
        if end == begin:
            raise ValueError(f"{name!r} has no patient, expected at least one of {len(order)}; "
                             "take fewer splits, other shares, or more patients.")
        splits[name] = {patient: patients[patient] for patient in sorted(order[begin:end])}
        begin = end
    return splits


def _patient_of_kspace(file):
    with hdf5_files.open_hdf5(file) as stored:
        places = [stored, hdf5_files.array(f"kspace in {file}", stored, "kspace")]
        for place in places:
            name = None if place is None else hdf5_files.text(str(file), place, "patient_id")
            if name is not None:
                return name
    raise ValueError(f"{file} has no attribute patient_id, expected one of the file or of its "
                     "array kspace; add it with h5py, or it could be on two sides of a split.")


def _patient_of_dicom(file, limits):
    """The patient of a DICOM image; None for other files that do not claim to be one."""
    if not is_dicom(file):
        return None
    try:
        header = open_dicom(file, limits, stop_before_pixels=True)
    except ValueError:
        if file.suffix.lower() in SUFFIXES:
            raise
        return None
    if "Rows" not in header:
        return None
    patient = plain(file, header, "PatientID")
    if patient is None:
        raise ValueError(f"{file} has no PatientID, expected one; add it with pydicom, or the "
                         "image could be on two sides of a split.")
    return str(patient)
