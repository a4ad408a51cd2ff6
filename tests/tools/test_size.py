from __future__ import annotations

from tools import size

TEXT = '''"""Module.

Two lines of it.
"""

import os  # counts


# does not count
def f(
    a,
):
    """Docstring."""
    return """text
    that counts"""


LIMIT = 3
"""What it is."""
'''


def test_blanks_comments_and_docstrings_are_no_lines_of_code():
    assert size.code_lines(TEXT) == 1 + 3 + 2 + 1


def test_a_long_function_is_found_with_its_place_and_its_excuse():
    path = size.SOURCE / "x.py"
    (f,) = size.functions(path, TEXT.replace("def f(", "def f(  # long: the flow of data is one"))
    assert f == size.Function("src/airis_mon/x.py:10 f", 6, True)


def test_a_file_counts_for_the_row_that_names_its_package():
    rows = {name: size.package_of(size.SOURCE / name) for name in ("errors.py", "api/auth.py", "__main__.py")}
    assert rows == {"errors.py": "errors plugins", "api/auth.py": "api", "__main__.py": "other"}
