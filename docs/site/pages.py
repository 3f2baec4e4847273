"""Pages that lie elsewhere in the repository, and links between them that hold on the site too."""

import os
import re
from pathlib import Path

#: Where a file of the repository is found on the site, both from their roots.
COPIES = {
    "README.md": "generated/start.md",
    "CONTRIBUTING.md": "generated/contributing.md",
    "odl_learned/demo/weights/README.md": "generated/weights_of_the_demonstration.md",
    "odl_learned/learning/files/weights/README.md": "generated/weights_of_regularizers.md",
}
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)#\s]+)(#[^)]*)?\)")


def relinked(text: str, source: Path, page: Path, root: Path) -> str:
    """Return the text of a file with links that hold where its page is.

    Parameters
    ----------
    text : str
    source : Path
        File that the text, with its relative links, was written for.
    page : Path
        Where the page lies.
    root : Path
        Of the repository; the site is in ``root / "docs"``. Links to what is not on the site
        become their text.
    """
    site = root / "docs"

    def replaced(match):
        mark, words, target, anchor = match.groups()
        name = os.path.relpath((source.parent / target).resolve(), root)
        if name in COPIES:
            # The start page is the README itself, which has no page of its own.
            place = site / ("index.md" if name == "README.md" else COPIES[name])
        elif name.startswith("docs" + os.sep):
            place = root / name
        else:
            return words if mark else f"{words} (`{name}`)"
        return f"{mark}[{words}]({os.path.relpath(place, page.parent)}{anchor or ''})"

    return LINK.sub(replaced, text)


def copy_pages(app):
    """Write the copies before Sphinx looks for them."""
    site = Path(app.srcdir)
    root = site.parent
    for name, place in COPIES.items():
        target = site / place
        target.parent.mkdir(parents=True, exist_ok=True)
        # The start page is included by another, for which its links have to hold.
        page = site / "index.md" if name == "README.md" else target
        text = relinked((root / name).read_text(encoding="utf-8"), root / name, page, root)
        target.write_text(text, encoding="utf-8")


def relink(app, docname, source):
    """Mend the links of pages as they are read."""
    path = Path(app.env.doc2path(docname))
    if path.suffix == ".md" and "generated" not in path.parts:
        source[0] = relinked(source[0], path, path, Path(app.srcdir).parent)


def setup(app):
    """Called by Sphinx."""
    app.connect("builder-inited", copy_pages)
    app.connect("source-read", relink)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
