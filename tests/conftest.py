"""Set-up of all tests: compiled objects are kept in a folder of the repository, apart from the user's cache."""

import os
from pathlib import Path

_CACHE = Path(__file__).parents[1] / ".pytest_cache" / "dlfusion"
os.environ.setdefault("DLFUSION_CACHE_DIR", str(_CACHE))
