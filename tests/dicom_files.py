"""Small DICOM files to test readers with."""

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SERIES = generate_uid()


def write(path, pixels, row=None, column=None, place=(0, 0, 0),
          transfer_syntax=ExplicitVRLittleEndian, **attributes):  # fmt: skip
    """Write a picture (rows, columns), optionally with directions along rows and columns.

    Attributes that are None are left out; pixels of other transfer syntaxes are given as they are.
    """
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.SOPClassUID, dataset.Modality, dataset.SeriesInstanceUID = CTImageStorage, "CT", SERIES
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    pixels = np.asarray(pixels, dtype=np.int16)
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 1
    dataset.PixelData = pixels.tobytes()
    if row is not None:
        dataset.ImageOrientationPatient = [float(v) for v in (*row, *column)]
        dataset.ImagePositionPatient = [float(v) for v in place]
    for name, value in attributes.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)
