# SPDX-License-Identifier: MIT
"""The tests of the test house itself."""

import mounting


def pytest_configure():
    mounting.end_on_sigterm()
