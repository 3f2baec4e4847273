"""The demonstration on slices that are not what they are said to be: refused, or said."""

import json

import numpy as np
import pytest
from test_demo import METHODS, command_line, data, demo, hounsfield, phantom, tiny  # noqa: F401

from odl_learned.demo import plausible


def ct(pixel_mm=2.0, side=48, unit="HU", array=None):
    array = data.from_rows(hounsfield(side)) if array is None else array.astype("float32")
    return data.Image(array, (pixel_mm, pixel_mm), "CT", unit)


def scene_of(image):
    return demo.scene_of(image, 16, np.random.default_rng(0))


GRADES = np.random.default_rng(0).integers(0, 256, (48, 48)).astype("float32")
SPECK = np.full((48, 48), -1000.0)
SPECK[20, 20:22] = 1000
REFUSED = {
    "a photograph": (ct(array=GRADES), "between 0 and 255, expected Hounsfield units, -1000 for"),
    "stored numbers": (ct(unit="", array=GRADES + 800), "say --rescale SLOPE INTERCEPT, such as 1"),
    "16 bits": (ct(unit="", array=GRADES * 250 - 1000), "between -1000 and 62750, expected Houn"),
    "large pixels": (ct(50.0), "pixels of 50 mm make a field of view of 2400 mm, expected at most"),
    "a speck": (ct(array=SPECK), "0.09% of the pixels are above -500 Hounsfield units, the rest"),
    "a line": (ct(array=np.linspace(-1000, 500, 48)[:, None]), "48 x 1 pixels, expected at least"),
    "a bright speck": (data.Image((SPECK + 1000).astype("float32"), None, "MR"), "quantile 0, exp"),
    "signs": (data.Image(GRADES - 128, None, "MR"), "store its absolute values"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    image, message = REFUSED[name]
    image = image._replace(unit="") if name == "a photograph" else image
    with pytest.raises(ValueError) as caught:
        scene_of(image)
    assert message in str(caught.value)


def test_slices_without_air_are_believed_where_the_file_says_hounsfield():
    assert not scene_of(ct(4.0, array=GRADES, unit="HU")).notes


def test_what_is_plausible_is_not_remarked_upon():
    assert scene_of(ct(4.0)).notes == ()
    assert scene_of(data.Image(phantom(48, 4), None, "MR")).notes == ()


def test_what_is_assumed_is_said():
    values, pixels = scene_of(ct(4.0, unit="")).notes
    assert "are taken for Hounsfield units; if they are not, say --rescale" in values
    assert "pixels of 4 mm make a field of view of 192 mm; say --pixel-mm" in pixels
    (small,) = scene_of(ct(0.1)).notes
    assert "field of view of 4.8 mm, unusual for a body (100 to 700 mm); say --pixel-mm" in small
    metal = data.from_rows(hounsfield(48))
    metal[24, 24] = 9000
    assert "values up to 9000 are taken for metal" in scene_of(ct(4.0, array=metal)).notes


def test_negative_magnitudes_are_set_to_zero_aloud():
    magnitude = phantom(48, 4)
    magnitude[0, :3] = -0.01 * magnitude.max()
    (note,) = scene_of(data.Image(magnitude, None, "MR")).notes
    assert note.startswith("0.13% of the values are negative, down to -0.0")
    assert note.endswith("they are set to zero")


def test_photon_starvation_is_named():
    (field, starved) = scene_of(ct(18.0)).notes
    assert "field of view of 864 mm, unusual" in field
    assert starved.startswith("photon starvation: ")
    counts = np.array([0, 9.9, 10, 1e5])
    assert plausible.starved(counts, 1e5)[0].startswith("photon starvation: 50.0% of the rays")
    assert plausible.starved(counts[2:], 1e5) == []


def test_learned_methods_below_their_start_are_named():
    rows = [{"problem": "ct", "method": name, "PSNR": psnr} for name, psnr in
            zip(["filtered backprojection", *METHODS], (20.0, 10.0, 10.0, 10.0, 19.25))]
    rows += [{**row, "problem": "mri", "PSNR": 30 - row["PSNR"]} for row in rows]
    (note,) = plausible.beaten(rows)
    assert note.startswith("ct: the learned proximal gradient is 0.75 dB below filtered backproj")


def run(tmp_path, capsys, picture, *options):
    np.save(tmp_path / "picture.npy", picture)
    call = ["demo", "--image", str(tmp_path / "picture.npy"), *options, "--out", str(tmp_path)]
    status = command_line.main(call)
    out, err = capsys.readouterr()
    return status, out, err


def test_the_command_line_says_it_and_writes_it(tiny, tmp_path, capsys):  # noqa: F811
    status, out, _ = run(tmp_path, capsys, hounsfield(48), "--modality", "ct")
    assert status == 0
    assert "note: pixels of 0.9 mm make a field of view of 43.2 mm, unusual for a body" in out
    notes = json.loads((tmp_path / "demo.json").read_text())["notes"]
    assert all(f"note: {note.removeprefix('ct: ')}." in out or f"note: {note}." in out
               for note in notes) and len(notes) >= 2
    # of two iterations, trained on nothing: below its start, if it is, in a note of its own
    results = json.loads((tmp_path / "demo.json").read_text())["results"]
    below = results[-1]["PSNR"] < results[0]["PSNR"]
    assert below == any("from which it starts" in note for note in notes)


def test_stored_numbers_become_hounsfield_units_by_a_word(tiny, tmp_path, capsys):  # noqa: F811
    stored = (hounsfield(48) + 1024).astype("uint16")
    status, _, err = run(tmp_path, capsys, stored, "--modality", "ct", "--pixel-mm", "4")
    assert status == 2 and "--rescale SLOPE INTERCEPT" in err
    options = ["--modality", "ct", "--pixel-mm", "4", "--rescale", "1", "-1024"]
    status, out, _ = run(tmp_path, capsys, stored, *options)
    assert status == 0 and "taken for Hounsfield units" not in out
    (image,) = command_line.images_of(command_line.parser().parse_args(
        ["demo", "--image", str(tmp_path / "picture.npy"), *options]))
    assert image.unit == "HU" and abs(image.array - data.from_rows(hounsfield(48))).max() < 1
    for wrong, message in (
        (["--modality", "mr", "--rescale", "1", "0"], "expected --modality ct with it"),
        (["--modality", "ct", "--rescale", "0", "1"], "slope of --rescale is 0.0; expected a"),
        (["--modality", "ct", "--rescale", "1", "nan"], "the intercept of --rescale"),
    ):
        status, _, err = run(tmp_path, capsys, stored, *wrong)
        assert status == 2 and message in err and err.count("\n") == 1
