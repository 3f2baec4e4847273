"""The gallery: every script with its claim, its picture and what it printed.

Pictures are those that ``odl-learned figures run`` left in ``results/figures_smoke``; scripts that
were not run have the small one of ``docs/images/gallery``.
"""

import shutil
from pathlib import Path

import thumbnails
from pages import relinked

from odl_learned.commands import runs, scripts

#: Where small pictures are, from the pages of the gallery.
SMALL = "../../images/gallery"


def write_pages(folder, root):
    """Write the overview and a page for each script."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "pictures").mkdir(parents=True)
    found = scripts.find_scripts(root / "examples")
    tiles, entries = [], []
    for script in found:
        stem = thumbnails.stem(script.name)
        record = runs.read_record(root / "results" / "figures_smoke" / script.name)
        pictures = []
        if record is not None:
            for path in sorted((root / "results" / "figures_smoke" / script.name).glob("*.png")):
                name = f"{stem}-{path.name}"
                shutil.copy(path, folder / "pictures" / name)
                pictures.append(name)
        small = thumbnails.FOLDER / f"{stem}.webp"
        page = folder / f"{stem}.md"
        claim = relinked(script.claim, root / "docs" / "examples.md", page, root)
        lines = [f"# {script.title.rstrip('.')}", f"`examples/{script.name}.py`", claim]
        shown = [f"pictures/{name}" for name in pictures]
        if small.is_file() and not shown:
            shown = [f"{SMALL}/{small.name}"]
        lines += [f"![{script.title}]({path})" for path in shown]
        if record is not None:
            lines.append(f"At smoke size, {record.seconds:.0f} s, the claim {record.outcome}:")
            lines.append(f"```text\n{record.printed}\n```")
        lines.append(f"```{{literalinclude}} ../../../examples/{script.name}.py\n"
                     ":language: python\n```")
        page.write_text("\n\n".join(filter(None, lines)) + "\n", encoding="utf-8")
        entries.append(stem)
        if small.is_file():
            shown = [f"{SMALL}/{small.name}"]
        if shown:
            tiles.append(f"[![]({shown[0]})]({stem}.md) {script.title}\n")
    (folder / "index.md").write_text("\n".join([
        "# Gallery", "", "Every script asserts what it claims; here at their smallest size.", "",
        '<div class="gallery">\n', *tiles, "</div>", "", "```{toctree}", ":maxdepth: 1", "",
        *entries, "```", ""]), encoding="utf-8")


def generate(app):
    """Write the pages before Sphinx looks for them."""
    source = Path(app.srcdir)
    write_pages(source / "generated" / "gallery", source.parent)


def setup(app):
    """Called by Sphinx."""
    app.connect("builder-inited", generate)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
