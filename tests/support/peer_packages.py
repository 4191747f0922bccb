"""The Python packages that tests compare with, which not every machine has."""

import importlib.util
import os
import unittest


def require_transformers():
    if importlib.util.find_spec("transformers") is not None:
        return
    if os.environ.get("BILENS_REQUIRE_PEERS") == "1":
        raise AssertionError("BILENS_REQUIRE_PEERS=1, but transformers is not installed: scripts/setup.sh --bench")
    raise unittest.SkipTest("no transformers (scripts/setup.sh --bench installs it)")
