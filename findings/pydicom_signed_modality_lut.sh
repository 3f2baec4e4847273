#!/usr/bin/env bash
# pydicom 3.0.2 looks signed pixels up in the wrong entries of a modality lookup table.
#
# A table may begin at a negative stored value (DICOM PS3.3, C.11.1.1.1: the second value of LUT
# Descriptor is signed where the pixels are), and values beyond its last entry take that entry.
# `pydicom.pixels.apply_modality_lut` subtracts the first mapped value in the dtype of the pixels:
# for int16 pixels and a first value of -32768, the differences of all pixels from 0 upwards are
# beyond int16, wrap around to negative numbers, and are clipped to the first entry. There is no
# error and no warning. With a table that is the identity, stored + 32768, half of all values are 0.
#
# Seen with Python 3.11, pydicom 3.0.2, numpy 2.4.6:
#     stored  [-32768 -1 0 1 32767]
#     right   [    0 32767 32768 32769 65535]
#     pydicom [    0 32767     0     0     0]
# Exits with 0 while this is so, with 1 if pydicom gives other values.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet pydicom==3.0.2 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import warnings

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut
from pydicom.uid import ExplicitVRLittleEndian

warnings.simplefilter("error")
stored = np.array([[-32768, -1, 0, 1, 32767]], dtype="<i2")
table = Dataset()
table.add_new("LUTDescriptor", "SS", [0, -32768, 16])  # 0 entries stand for 65536
table.add_new("ModalityLUTType", "LO", "US")
table.add_new("LUTData", "OW", np.arange(65536, dtype="<u2").tobytes())
image = Dataset()
image.file_meta = FileMetaDataset()
image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
image.Rows, image.Columns = stored.shape
image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
image.BitsAllocated = image.BitsStored = 16
image.HighBit, image.PixelRepresentation = 15, 1
image.PixelData = stored.tobytes()
image.ModalityLUTSequence = [table]

right = stored.astype(int) + 32768
found = apply_modality_lut(image.pixel_array, image)
print("stored ", stored[0])
print("right  ", right[0])
print("pydicom", found[0])
sys.exit(0 if found.tolist() == [[0, 32767, 0, 0, 0]] else 1)
PYTHON
