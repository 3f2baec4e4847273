"""Names in single quotes of docstrings, `energies.energy_of`, as links to their pages.

Stars of shapes, ``(*batch, n)``, are no emphasis there, and initials of authors begin no lists.
"""

import inspect
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
    formula = False
    for number, line in enumerate(lines):
        formula = line.lstrip().startswith(".. math::") or (
            formula and (not line or line.startswith("   ")))
        if formula or line.lstrip().startswith((">>> ", "... ")):  # or the code of an example
            continue
        parts = re.split(r"(``.*?``)", line)
        parts[::2] = [re.sub(r"(?<=[(\s])\*(?=[\w. ]+[,)])", r"\\*", part) for part in parts[::2]]
        lines[number] = re.sub(r"^(\s*[A-Z])\. ", r"\1\\. ", "".join(parts))


def signature_of_class(app, what, name, obj, options, signature, returned):
    """The arguments of a class, also where ODL's own way to make objects hides them."""
    if what != "class" or "**kwargs" not in (signature or ""):
        return None
    arguments = list(inspect.signature(obj.__init__).parameters.values())[1:]
    return str(inspect.Signature([each.replace(annotation=inspect.Parameter.empty)
                                  for each in arguments])), returned


def setup(app):
    """Called by Sphinx."""
    app.connect("autodoc-process-signature", signature_of_class)
    app.connect("autodoc-process-docstring", keep_as_written, priority=900)
    app.add_role("name", name_role)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
