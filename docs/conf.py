"""The site: `make docs` builds it from these pages, the docstrings and the scripts, offline."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "site"), str(HERE.parent)]

import odl_learned  # noqa: E402

project = "odl_learned"
author = "the authors of odl_learned"
version = release = odl_learned.__version__
copyright = f"2026, {author}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc", "pages", "mathml", "names",
              "reference", "gallery"]  # fmt: skip
exclude_patterns = ["_build", "site", "generated/start.md"]
default_role = "name"
html_math_renderer = "mathml"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say types, with shapes

html_theme = "furo"
html_title = f"odl_learned {version}"
html_static_path = ["site/static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
