"""How the site is built: ``sphinx-build -W docs docs/_build``. Nothing is fetched."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import neuroalign  # noqa: E402

project = "neuroalign"
author = "The neuroalign developers"
copyright = "2026, the neuroalign developers"
version = release = neuroalign.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx.ext.githubpages",
    "numpydoc",
    "myst_nb",
    "rooms",
    "formulas",
    "sample",
]
exclude_patterns = ["_build", "_notebooks/.ipynb_checkpoints"]

html_theme = "furo"
html_title = f"neuroalign {version}"
html_theme_options = {"navigation_with_keys": True}
html_show_sourcelink = False
# MathJax would be fetched from elsewhere.
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_extra_path = ["_extra"]
(HERE / "_extra").mkdir(exist_ok=True)

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Notebooks carry no outputs in the repository: a build runs each, and keeps what it ran.
nb_execution_mode = "cache"
nb_execution_timeout = 180
nb_execution_raise_on_error = True
# What a loop prints is one piece.
nb_merge_streams = True

autodoc_typehints = "none"
numpydoc_show_class_members = False
# Classes may share the name of a fitted attribute.
suppress_warnings = ["ref.python"]
