"""The source archive and the wheel: what is in them, what they say, and that they agree."""

import configparser
import email
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import odl_learned
from odl_learned.commands import doctor

pytest.importorskip("setuptools", minversion="77")
ROOT = Path(__file__).resolve().parent.parent
BESIDE = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "CHANGELOG.md",
          "CITATION.cff")  # fmt: skip
CLUTTER = ("tests/test_something.py", "results/demo.png", "docs/generated/page.md",
           "examples/script.py", "odl_learned/demo/weights/left.tmp")  # fmt: skip
BUILD = "import sys; from setuptools import build_meta; build_meta.build_{}(sys.argv[1])"
EXTRA = re.compile(r"odl_learned\[([a-z0-9,]+)\]")


def build(kind, source, out):
    """Build in a process of its own, without a network: an archive of files by their names."""
    subprocess.run([sys.executable, "-c", BUILD.format(kind), str(out)], cwd=source, check=True,
                   capture_output=True)
    (path,) = out.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return path


def package_files():
    """All files of the package in this checkout, by their names."""
    return {path.relative_to(ROOT).as_posix(): path.read_bytes()
            for path in (ROOT / "odl_learned").rglob("*")
            if path.is_file() and "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The files of the archive, and of a wheel from it, made in a copy with clutter around."""
    folder = tmp_path_factory.mktemp("packaging")
    source = folder / "source"
    shutil.copytree(ROOT / "odl_learned", source / "odl_learned",
                    ignore=shutil.ignore_patterns("__pycache__"))
    for name in BESIDE:
        shutil.copy(ROOT / name, source)
    for name in CLUTTER:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("clutter")
    with tarfile.open(build("sdist", source, folder)) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    archived = {path.relative_to(unpacked).as_posix(): path.read_bytes()
                for path in unpacked.rglob("*") if path.is_file()}
    with zipfile.ZipFile(build("wheel", unpacked, folder)) as wheel:
        return archived, {name: wheel.read(name) for name in wheel.namelist()}


@pytest.fixture(scope="module")
def metadata(built):
    (text,) = (content for name, content in built[1].items() if name.endswith("/METADATA"))
    return email.message_from_bytes(text)


def test_the_wheel_holds_the_files_of_the_package_and_nothing_else(built):
    _, wheel = built
    inside = {name: content for name, content in wheel.items() if ".dist-info/" not in name}
    assert inside == package_files()
    assert {"odl_learned/demo/weights/ct.pt", "odl_learned/demo/weights/README.md",
            "odl_learned/learning/files/weights/README.md"} <= inside.keys()
    told = {name.partition(".dist-info/")[2] for name in wheel.keys() - inside.keys()}
    assert told == {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt",
                    "licenses/LICENSE"}


def test_the_archive_holds_what_the_wheel_needs_and_nothing_else(built):
    archived, _ = built
    beside = {name for name in archived if not name.startswith(("odl_learned/",
                                                               "odl_learned.egg-info/"))}
    assert beside == {*BESIDE, "PKG-INFO"}
    assert {name: content for name, content in archived.items()
            if name.startswith("odl_learned/")} == package_files()


def test_the_metadata_say_what_the_sources_say(metadata):
    assert metadata["Name"] == "odl_learned"
    assert metadata["Version"] == odl_learned.__version__
    assert metadata["License-Expression"] == "MPL-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload(decode=True).decode().strip() == (
        ROOT / "README.md").read_text().strip()


def test_the_command_is_an_entry_point_that_can_be_called(built):
    (text,) = (content for name, content in built[1].items() if name.endswith("entry_points.txt"))
    points = configparser.ConfigParser()
    points.read_string(text.decode())
    module, _, name = points["console_scripts"]["odl-learned"].partition(":")
    assert callable(getattr(__import__(module, fromlist=[name]), name))


def test_every_extra_that_is_named_anywhere_exists(metadata):
    extras = set(metadata.get_all("Provides-Extra"))
    pages = [*(ROOT / "odl_learned").rglob("*.py"), *ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    named = {extra for page in pages for match in EXTRA.finditer(page.read_text())
             for extra in match[1].split(",")}
    assert {"demo", "dfo", "dicom", "fast", "hdf5", "nifti", "pictures"} <= named <= extras


def test_the_doctor_knows_what_each_extra_brings(metadata):
    brought = {}
    for line in metadata.get_all("Requires-Dist"):
        requirement, _, marker = line.partition(";")
        name = re.match(r"[\w-]+", requirement)[0]
        if extra := re.search(r'extra == "(\w+)"', marker):
            brought.setdefault(extra[1], set()).add(name)
        else:
            assert name in doctor.REQUIRED
    users = brought.keys() - {"test", "docs"}
    assert set(doctor.OPTIONAL) == set().union(*(brought[extra] for extra in users))
    assert all(name in brought[extra] for name, extra in doctor.OPTIONAL.items())


def test_the_version_is_the_same_wherever_it_is_written():
    version = odl_learned.__version__
    page = (ROOT / "README.md").read_text()
    assert f"version {version}," in page
    assert set(re.findall(r"odl_learned-([\d.]+\d)", page)) == {version}
    assert re.search(rf"^version: {re.escape(version)}$", (ROOT / "CITATION.cff").read_text(),
                     re.MULTILINE)
    first = re.search(r"^## \[(\d[^]]*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert first[1] == version
