# SPDX-License-Identifier: GPL-2.0
"""Virtual machines that run the test suites: see Documentation/testing.rst."""
