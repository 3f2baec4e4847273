"""The data room: phantoms, noise, sampling masks, readers, splits by patients, training pairs."""

from odl_learned.data.augmented import AugmentedPairs
from odl_learned.data.dicom.images import Image, read_dicom
from odl_learned.data.dicom.series import Stack, read_dicom_folder
from odl_learned.data.ellipses import dival_ellipses, random_ellipses
from odl_learned.data.examples import example_ct, example_mr
from odl_learned.data.files.archives import read_measurement
from odl_learned.data.files.limits import Limits
from odl_learned.data.files.nifti import read_nifti
from odl_learned.data.files.patients import find_patients, split_patients
from odl_learned.data.files.pictures import read_luminance
from odl_learned.data.files.readers import read_image, read_kspace, read_npz_stack
from odl_learned.data.files.slices import read_slices
from odl_learned.data.mri.espirit import estimate_sensitivities
from odl_learned.data.mri.scans import MriScan, read_mri_scan
from odl_learned.data.noise import (
    add_white_noise,
    log_linearize,
    noise_level_for,
    poisson_counts,
    transmission_counts,
)
from odl_learned.data.orientation import from_rows, to_rows
from odl_learned.data.pairs import CoarsePairs, FixedPairs, SimulatedPairs
from odl_learned.data.phantoms import random_body, smooth_phase
from odl_learned.data.preparation import downsample, hounsfield_to_attenuation
from odl_learned.data.sampling import cartesian_mask, radial_mask, variable_density_mask
from odl_learned.data.sensitivities import simulated_sensitivities
from odl_learned.data.volumes import random_ellipsoids, random_trunk, stack_element

__all__ = [
    "CoarsePairs",
    "AugmentedPairs",
    "FixedPairs",
    "Image",
    "Limits",
    "MriScan",
    "SimulatedPairs",
    "Stack",
    "add_white_noise",
    "cartesian_mask",
    "dival_ellipses",
    "downsample",
    "estimate_sensitivities",
    "example_ct",
    "example_mr",
    "find_patients",
    "from_rows",
    "hounsfield_to_attenuation",
    "log_linearize",
    "noise_level_for",
    "poisson_counts",
    "radial_mask",
    "random_body",
    "random_ellipses",
    "random_ellipsoids",
    "random_trunk",
    "read_dicom",
    "read_dicom_folder",
    "read_image",
    "read_kspace",
    "read_luminance",
    "read_measurement",
    "read_mri_scan",
    "read_nifti",
    "read_npz_stack",
    "read_slices",
    "simulated_sensitivities",
    "smooth_phase",
    "split_patients",
    "stack_element",
    "to_rows",
    "transmission_counts",
    "variable_density_mask",
]
