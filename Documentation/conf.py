# SPDX-License-Identifier: GPL-2.0
"""How Sphinx makes HTML of this folder: `make html`."""

project = "VFIO in Rust"
author = "VFIO in Rust"
extensions = []
exclude_patterns = []
html_theme = "alabaster"
html_theme_options = {"description": "The kernel's VFIO subsystem in Rust", "page_width": "1100px", "fixed_sidebar": True}
html_copy_source = False
html_show_copyright = False
# A literal is one, not a name to be looked up.
default_role = None
nitpicky = True
