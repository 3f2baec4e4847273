"""Names in single quotes of docstrings, `energies.energy_of`, as links to their pages."""

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


def setup(app):
    """Called by Sphinx."""
    app.add_role("name", name_role)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
