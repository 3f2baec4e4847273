"""The gallery: every script with its claim, its picture and what it printed.

Pictures are those that ``odl-learned figures run`` left in ``results/figures_smoke``; scripts that
were not run have none.
"""

import html
import shutil
from pathlib import Path

from pages import relinked

from odl_learned.commands import runs, scripts


def write_pages(folder, root):
    """Write the overview and a page for each script."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "pictures").mkdir(parents=True)
    found = scripts.find_scripts(root / "examples")
    tiles, entries = [], []
    for script in found:
        stem = script.name.replace("/", "-")
        record = runs.read_record(root / "results" / "figures_smoke" / script.name)
        pictures = []
        if record is not None:
            for path in sorted((root / "results" / "figures_smoke" / script.name).glob("*.png")):
                name = f"{stem}-{path.name}"
                shutil.copy(path, folder / "pictures" / name)
                pictures.append(name)
        page = folder / f"{stem}.md"
        claim = relinked(script.claim, root / "docs" / "examples.md", page, root)
        lines = [f"# {script.title.rstrip('.')}", f"`examples/{script.name}.py`", claim]
        lines += [f"![{script.title}](pictures/{name})" for name in pictures]
        if record is not None:
            lines.append(f"At smoke size, {record.seconds:.0f} s, the claim {record.outcome}:")
            lines.append(f"```text\n{record.printed}\n```")
        lines.append(f"```{{literalinclude}} ../../../examples/{script.name}.py\n"
                     ":language: python\n```")
        page.write_text("\n\n".join(filter(None, lines)) + "\n", encoding="utf-8")
        entries.append(stem)
        if pictures:
            tiles.append(f'<figure><a href="{stem}.html"><img loading="lazy" '
                         f'src="../../_images/{pictures[0]}" alt="{html.escape(script.title)}"></a>'
                         f"<figcaption>{html.escape(script.title)}</figcaption></figure>")
    (folder / "index.md").write_text("\n".join([
        "# Gallery", "", "Every script asserts what it claims; here at their smallest size.", "",
        '<div class="gallery">', *tiles, "</div>", "", "```{toctree}", ":maxdepth: 1", "",
        *entries, "```", ""]), encoding="utf-8")


def generate(app):
    """Write the pages before Sphinx looks for them."""
    source = Path(app.srcdir)
    write_pages(source / "generated" / "gallery", source.parent)


def setup(app):
    """Called by Sphinx."""
    app.connect("builder-inited", generate)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
