"""Sphinx: the pages of this folder, Markdown and notebooks alike, and the decision records."""

project = "Posterity"
author = "The Posterity authors"
copyright = "The Posterity authors, Apache-2.0"
extensions = ["myst_nb"]
myst_heading_anchors = 3  # pages may link to a section of another
html_title = "Posterity"
html_theme = "pydata_sphinx_theme"
html_theme_options = {"header_links_before_dropdown": 8, "footer_end": []}
html_sidebars = {"**": []}  # few pages: the header holds them all, and tables get the room
html_show_sourcelink = False
exclude_patterns = ["_build", "decisions/0000-template.md"]
nb_execution_mode = "off"  # blocks are executed by the tests, once
