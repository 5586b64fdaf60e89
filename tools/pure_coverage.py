"""Prints, for ``coverage report --include``, the files of the modules that only judge.

They are listed in ``tests/test_layers.py``, and held to 100 % of lines and branches.
"""

from tests.test_layers import PURE

print(",".join(f"{module.replace('.', '/')}{end}" for module in PURE for end in (".py", "/*")))
