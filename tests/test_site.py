"""What the site is made of: pages for all names and scripts, and links that hold there too."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "docs"


@pytest.fixture(scope="module", autouse=True)
def site_modules():
    sys.path.insert(0, str(SITE / "site"))
    yield
    sys.path.remove(str(SITE / "site"))


def test_every_public_name_has_a_page_and_a_line_on_that_of_its_room(tmp_path):
    import reference

    reference.write_pages(tmp_path)
    rooms = reference.rooms()
    assert {"odl_learned.bridge", "odl_learned.learning.bilevel.sampling"} <= set(rooms)
    index = (tmp_path / "index.rst").read_text()
    for module in rooms:
        title = module.removeprefix("odl_learned.")
        page = (tmp_path / f"{title}.rst").read_text()
        assert f"   {title}\n" in index + "\n"
        for name in reference.public(module):
            text = (tmp_path / title / f"{name}.rst").read_text()
            assert f":: {name}\n" in text and f":doc:`{title}/{name}`" in page
    text = (tmp_path / "solvers" / "fista.rst").read_text()
    assert ".. rubric:: Used in" in text and ":doc:`/generated/reference/solvers/Backtr" in text
    assert ":doc:`/generated/reference/solvers/fista`" not in text
    assert ":doc:`/generated/gallery/ct_tv_pdhg`" in (
        tmp_path / "variational" / "tv_problem.rst").read_text()
    # one place for each object, to which links lead
    pages = [path.read_text() for path in tmp_path.glob("*/Whitening.rst")]
    assert len(pages) == 2 and sum(":no-index:" in text for text in pages) == 1


def test_every_page_is_reached_from_the_start():
    """But for those that are made at build time, and those that are included."""
    start = (SITE / "index.md").read_text()
    missing = [path.stem for path in SITE.glob("*.md")
               if path.stem != "index" and f"\n{path.stem}\n" not in start]
    assert missing == []


def test_links_hold_where_pages_lie(tmp_path):
    import pages

    page = SITE / "generated" / "contributing.md"
    text = "[h](docs/house.md#rooms) ![p](docs/images/demo_ct.png) [m](Makefile) [o](https://o.o)"
    assert pages.relinked(text, ROOT / "CONTRIBUTING.md", page, ROOT) == (
        "[h](../house.md#rooms) ![p](../images/demo_ct.png) m (`Makefile`) [o](https://o.o)")
    back = pages.relinked("[c](../CONTRIBUTING.md)", SITE / "house.md", SITE / "house.md", ROOT)
    assert back == "[c](generated/contributing.md)"
    assert all((ROOT / name).is_file() for name in pages.COPIES)


@pytest.mark.parametrize("path", sorted({*SITE.glob("*.md"), ROOT / "README.md",
                                         ROOT / "CONTRIBUTING.md"}), ids=lambda path: path.name)
def test_links_lead_to_files(path):
    import pages

    for _, words, target, anchor in pages.LINK.findall(path.read_text()):
        assert "generated/" in target or (path.parent / target).exists(), (words, target)


def test_every_script_has_a_page_in_the_gallery(tmp_path):
    import gallery

    from odl_learned.commands import scripts

    gallery.write_pages(tmp_path, ROOT)
    index = (tmp_path / "index.md").read_text()
    for script in scripts.find_scripts(ROOT / "examples"):
        stem = script.name.replace("/", "-")
        text = (tmp_path / f"{stem}.md").read_text()
        assert f"\n{stem}\n" in index and text.startswith("# ") and "literalinclude" in text


def test_every_script_has_a_small_picture_and_all_are_small():
    import thumbnails

    from odl_learned.commands import scripts

    pictures = {path.stem: path.stat().st_size for path in thumbnails.FOLDER.iterdir()}
    found = {thumbnails.stem(each.name) for each in scripts.find_scripts(ROOT / "examples")}
    assert set(pictures) == found, "run make gallery"
    assert max(pictures.values()) <= thumbnails.MOST and sum(pictures.values()) < 1_000_000


def test_pictures_become_small(tmp_path):
    image = pytest.importorskip("PIL.Image")
    import numpy as np
    import thumbnails

    noise = np.random.default_rng(0).integers(0, 255, (600, 900, 3), dtype="uint8")
    image.fromarray(noise).save(tmp_path / "a.png")
    thumbnails.shrink(tmp_path / "a.png", tmp_path / "a.webp")
    assert (tmp_path / "a.webp").stat().st_size <= thumbnails.MOST
    with image.open(tmp_path / "a.webp") as small:
        assert small.size == (320, 213)


def test_arguments_of_operators_are_told_and_stars_of_formulas_stay():
    pytest.importorskip("sphinx")
    import names

    from odl_learned import operators

    told = names.signature_of_class(None, "class", "", operators.FilterBank, None,
                                    "(*args, **kwargs)", None)
    assert told == ("(space, filters)", None)
    lines = [".. math:: f(u) = (f * u), \\qquad", "          g = (g * u),", "",
             "of ``(a, *b)`` (*b)"]
    names.keep_as_written(None, "class", "", None, None, lines)
    assert "f * u" in lines[0] and "g * u" in lines[1] and lines[3] == "of ``(a, *b)`` (\\*b)"


def test_formulas_become_mathml():
    pytest.importorskip("latex2mathml")
    pytest.importorskip("sphinx")
    import mathml

    assert "<mfrac>" in mathml.mathml(r"\frac12 |A u - y|^2", "block", None)


