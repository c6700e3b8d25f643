"""Let the tests of this directory import what stands beside them."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
