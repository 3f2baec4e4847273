"""What becomes of every file of the packages pydicom and pydicom-data.

Names are relative to ``pydicom/data/test_files`` and ``data_store/data``, and may be patterns.
"""

COLOR = "samples per pixel .*, expected one, a gray image; convert"
PALETTE = "numbers of colors in a table .PALETTE COLOR."
NO_DICOM = "is not a readable DICOM file .it begins like no DICOM file."
DIRECTORY = "is a DICOMDIR, a list of the files of a medium.*Choose one"
TWELVE_BITS = "cannot be decoded .*'JPEG Extended' for samples with 12-bit precision.*convert"


def no_pixels(kind):
    return f"holds no pixels, it is {kind}; expected an image. Choose"


#: (shape (frames, nx, ny) or (nx, ny), modality, unit): files that are read.
READ = {
    ((512, 512), "CT", "HU"): "693_*.dcm J2K_pixelrep_mismatch.dcm bad_sequence.dcm "
                              "explicit_VR-UN.dcm",
    ((128, 128), "CT", "HU"): "CT_small.dcm",
    ((16, 16), "CT", "HU"): "dicomdirtests/77654033/CT2/* dicomdirtests/98892001/CT5N/*",
    ((16, 16), "CT", ""): "dicomdirtests/98892001/CT2N/*",  # localizers
    ((2, 512, 512), "CT", "ml/100ml/s"): "eCT_Supplemental.dcm",  # blood flow
    ((64, 64), "MR", ""): "MR_small.dcm MR_small_*.dcm",
    ((484, 300), "MR", ""): "examples_overlay.dcm",
    ((484, 484), "MR", ""): "MR-SIEMENS-DICOM-WithOverlays.dcm",
    ((1024, 1024), "MR", ""): "MR2_*.dcm",
    ((16, 16), "MR", ""): "dicomdirtests/98892003/*/*",
    ((10, 64, 64), "MR", ""): "emri_small.dcm emri_small_RLE.dcm emri_small_big_endian.dcm "
                              "emri_small_jpeg_2k_lossless.dcm emri_small_jpeg_ls_lossless.dcm",
    ((256, 1024), "NM", ""): "JPEG2000.dcm JPEG-LL.dcm JPEG2000_UNC.dcm",
    ((16, 16), "CR", "OD"): "dicomdirtests/77654033/CR?/*",
    ((1841, 1955), "CR", ""): "RG1_*.dcm",
    ((1760, 1760), "CR", ""): "RG3_*.dcm",
    ((1024, 768), "US", ""): "JPGLosslessP14SV1_1s_1f_8b.dcm",
    ((512, 512), "OT", ""): "image_dfl.dcm mlut_18.dcm vlut_04.dcm",
    ((15, 10, 10), "RTDOSE", "RELATIVE"): "rtdose.dcm rtdose_expb.dcm rtdose_rle.dcm",
    ((10, 10), "RTDOSE", "RELATIVE"): "rtdose_1frame.dcm rtdose_*_1frame.dcm",
    ((3, 512, 512), "SEG", ""): "liver.dcm liver_expb.dcm",
    ((10, 45), "", ""): "JPEGLSNearLossless_08.dcm",
    ((10, 50), "", ""): "JPEGLSNearLossless_16.dcm",
}  # fmt: skip

#: Pattern of the message: files that are refused.
REFUSED = {
    COLOR: "ExplVR_BigEnd.dcm GDCMJ2K_TextGBR.dcm SC_*.dcm US1_*.dcm color*.dcm "
           "examples_jpeg2k.dcm examples_rgb_color.dcm examples_ybr_color.dcm",
    PALETTE: "examples_palette.dcm OBXXXX1A*.dcm OT-PAL-8-face.dcm gdcm-US-ALOKA-16*.dcm",
    NO_DICOM: "README.txt */README.txt */README crayons.icc no_meta.dcm *.dump *.json zipMR.gz",
    DIRECTORY: "dicomdirtests/DICOMDIR* dicomdirtests/*/DICOMDIR",
    no_pixels("CT Image Storage"): "dicomdirtests/TINY_ALPHA/*/IM*",
    no_pixels("RT Ion Plan Storage"): "ExplVR_BigEndNoMeta.dcm ExplVR_LitEndNoMeta.dcm",
    no_pixels("RT Plan Storage"): "rtplan.dcm rtplan_truncated.dcm",
    no_pixels("RT Structure Set Storage"): "rtstruct.dcm",
    no_pixels("Basic Text SR Storage"): "reportsi*.dcm",
    no_pixels("Comprehensive SR Storage"): "test-SR.dcm",
    no_pixels("12-lead ECG Waveform Storage"): "waveform_ecg.dcm",
    no_pixels("a file without a class"): "UN_sequence.dcm empty_charset_LEI.dcm priv_SQ.dcm "
                                         "no_meta_group_length.dcm emri*_too_short.dcm",
    TWELVE_BITS: "JPEG-lossy.dcm JPGExtended.dcm",
    "cannot be decoded .a compressed frame says 1024 rows and 3722445056 columns": "JPEG2000-em*",
    "cannot be decoded .The number of bytes of pixel data is less": "MR_truncated.dcm",
    "NumberOfFrames of .* is '1A', expected 1 finite number": "badVR.dcm",
    "describes 3 frames .* and has 1 .*Export it again": "liver_1frame.dcm liver_expb_1frame.dcm",
    "is None, expected MONOCHROME1 or MONOCHROME2": "meta_missing_tsyntax.dcm nested_priv_SQ.dcm",
}  # fmt: skip
