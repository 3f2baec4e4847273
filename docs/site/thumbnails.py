"""Small pictures of all scripts, for a gallery without running them; `make gallery` renews them.

One for each script, the first that it draws at smoke size, in ``docs/images/gallery``.
"""

import sys
from pathlib import Path

from odl_learned.commands import runs, scripts

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "images" / "gallery"
#: Largest width and height in pixels, and largest size of a file in bytes.
LARGEST, MOST = (320, 240), 15_000


def stem(name):
    """What the pages and pictures of a script are called."""
    return name.replace("/", "-")


def shrink(source, target):
    """Write a small copy of a picture, in as high a quality as fits."""
    from PIL import Image

    with Image.open(source) as picture:
        small = picture.convert("RGB")
    small.thumbnail(LARGEST, Image.Resampling.LANCZOS)
    for quality in (80, 65, 50, 35, 20):
        small.save(target, "WEBP", quality=quality, method=6)
        if target.stat().st_size <= MOST:
            return


def main(results):
    """Write all thumbnails from a folder of results; the status is 1 if a script was not run."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    found = scripts.find_scripts(ROOT / "examples")
    missing = [each.name for each in found if not list((results / each.name).glob("*.png"))
               or runs.read_record(results / each.name) is None]  # fmt: skip
    for old in FOLDER.glob("*.webp"):
        if old.stem not in {stem(each.name) for each in found}:
            old.unlink()
    for each in found:
        if each.name not in missing:
            shrink(min((results / each.name).glob("*.png")), FOLDER / f"{stem(each.name)}.webp")
    print(f"{len(found) - len(missing)} of {len(found)} pictures -> {FOLDER}", *missing, sep="\n")
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main(ROOT / "results" / "figures_smoke"))
