"""How these pages are built: `python -m sphinx -W -n docs docs/_build` fails on a broken link."""

from importlib.metadata import version as installed_version

project = "llamapy"
author = copyright = "The llamapy authors"
version = release = installed_version("llamapy")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
nitpicky = True
# annotations name private aliases and NumPy's own types, which have no page here
nitpick_ignore_regex = [("py:.*", ".*")]
autodoc_typehints = "none"
autodoc_member_order = "bysource"
html_theme = "furo"
html_title = "llamapy"
