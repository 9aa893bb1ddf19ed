"""Lets the modules of this folder import the contract body: `from contract.targets.contract import ...`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
