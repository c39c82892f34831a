"""How the documentation site is built: ``make docs``. Nothing is fetched, and a reference that leads nowhere fails."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "spectral-edge"
author = "The spectral-edge developers"
copyright = author
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "myst_nb",
    "mathml",
    "api_pages",
    "claim_pages",
]
exclude_patterns = ["_build", "_extensions"]
highlight_language = "none"  # of blocks that name no language
smartquotes = False  # they turn the two dashes of an option into one

html_theme = "furo"
html_title = "spectral-edge"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = False

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3

# A page shows the outputs that were committed, which its text speaks of: another processor rounds otherwise, and
# training follows. tests/check_site.py executes the notebooks.
nb_execution_mode = "off"
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = False
napoleon_custom_sections = ["Returns", "Yields"]  # shapes and sentences stand there, no types

nitpicky = True
# Types of other packages: their own documentation is not at hand without a network.
_OTHERS = (
    "collections",
    "concurrent",
    "pathlib",
    "typing",
    "torch",
    "numpy",
    "polars",
    "pandas",
    "pydantic",
    "matplotlib",
)
nitpick_ignore_regex = [("py:.*", rf"({'|'.join(_OTHERS)})\..*")]
nitpick_ignore = [("py:class", name) for name in ("Tensor", "DeviceMesh", "Path", "JsonValue", "Figure", "Key")]
# A type variable, and names of literals, whose values stand in the text of the field.
nitpick_ignore += [
    ("py:class", name)
    for name in (
        "spectral_edge.modes.response.Read",
        "spectral_edge.store.records.Model",
        "Device",
        "TrainingDevice",
        "Profile",
        "Forward",
        "Inputs",
        "Labels",
        "Checkpoint",
        "Definition",
        "QuestionDirection",
    )
]
