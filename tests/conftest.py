"""Profiles of hypothesis for all tests.

By default every run draws the same examples, so that a red test stays red. To look for new ones, ten times as
many and other ones at each run::

    pytest --hypothesis-profile=thorough

Tests that say how many examples they want multiply by the profile: see `examples` in ``twins.py``.
"""

from hypothesis import settings

settings.register_profile("reproducible", derandomize=True, deadline=None, max_examples=100)
settings.register_profile("thorough", derandomize=False, deadline=None, max_examples=1000, print_blob=True)
settings.load_profile("reproducible")
