"""Set-up of all tests: compiled objects are kept in the repository; the user's profiles and terminal do not count."""

import os
from pathlib import Path

_CACHE = Path(__file__).parents[1] / ".pytest_cache" / "dlfusion"
os.environ.setdefault("DLFUSION_CACHE_DIR", str(_CACHE))
os.environ["XDG_DATA_HOME"] = str(_CACHE.parent / "data")
os.environ["COLUMNS"] = "180"
