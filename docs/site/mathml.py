"""Formulas as MathML, which browsers draw themselves: no script, and nothing to load."""

import html

import latex2mathml.converter
from sphinx.util import logging

logger = logging.getLogger(__name__)
#: Environments that have lines and columns of their own.
TABLES = ("\\begin{aligned}", "\\begin{cases}", "\\begin{pmatrix}", "\\begin{array}")


def mathml(tex, display, node):
    """MathML of a formula; a warning, and the formula as it is, where it cannot be read."""
    try:
        return latex2mathml.converter.convert(tex, display=display)
    except Exception as error:  # of many kinds, none of them documented
        logger.warning("formula %r cannot be read: %r", tex, error, location=node)
        return f"<code>{html.escape(tex)}</code>"


def inline(self, node):
    """Draw a formula in a line."""
    from docutils import nodes

    self.body.append(mathml(node.astext(), "inline", node))
    raise nodes.SkipNode


def block(self, node):
    """Draw formulas on lines of their own; blank lines separate them."""
    from docutils import nodes

    for tex in filter(None, map(str.strip, node.astext().split("\n\n"))):
        if ("\\\\" in tex or "&" in tex) and not any(table in tex for table in TABLES):
            tex = f"\\begin{{aligned}}{tex}\\end{{aligned}}"
        self.body.append(f'<div class="math-block">{mathml(tex, "block", node)}</div>\n')
    raise nodes.SkipNode


def setup(app):
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
