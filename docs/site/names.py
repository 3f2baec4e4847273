"""Names in single quotes of docstrings, `energies.energy_of`, as links to their pages.

Stars of shapes, ``(*batch, n)``, are no emphasis there, and initials of authors begin no lists.
"""

import re

from docutils import nodes
from sphinx import addnodes


def name_role(role, rawtext, text, lineno, inliner, options=None, content=None):
    """A reference to a name below odl_learned, or code where there is none of that name."""
    literal = nodes.literal(rawtext, text, classes=["xref"])
    target = text.split("(")[0].removeprefix("odl_learned.")
    if not target.replace(".", "").replace("_", "").isalnum():
        return [literal], []
    reference = addnodes.pending_xref(
        rawtext, literal, refdomain="py", reftype="obj", reftarget=f"odl_learned.{target}",
        refwarn=False, refdoc=inliner.document.settings.env.docname)
    return [reference], []


def keep_as_written(app, what, name, obj, options, lines):
    """Escape stars of shapes and initials of authors, which begin emphasis and lists elsewhere."""
    for number, line in enumerate(lines):
        if line.lstrip().startswith((">>> ", "... ")):  # the code of an example
            continue
        parts = re.split(r"(``.*?``)", line)
        parts[::2] = [re.sub(r"(?<=[(\s])\*(?=[\w. ]+[,)])", r"\\*", part) for part in parts[::2]]
        lines[number] = re.sub(r"^(\s*[A-Z])\. ", r"\1\\. ", "".join(parts))


def setup(app):
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", keep_as_written, priority=900)
    app.add_role("name", name_role)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
