"""DICOM files and folders, from bytes to physical units."""
