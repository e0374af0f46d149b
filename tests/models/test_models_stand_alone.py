"""The room needs PyTorch alone: nothing else of the project, no third library."""

import subprocess
import sys

from matchcut.models import MODELS

SCRIPT = """
import sys, importlib
import torch
before = set(sys.modules)
for name in {names!r}:
    importlib.import_module("matchcut.models." + name)
new = {{m.split(".")[0] for m in set(sys.modules) - before}} - set(sys.stdlib_module_names) - {{"matchcut", "torch"}}
rooms = {{m for m in sys.modules if m.startswith("matchcut.")}}
rooms = {{m for m in rooms if not m.startswith("matchcut.models")}}
print(sorted(new | rooms))
"""


def test_networks_import_torch_alone():
    names = [target.partition(":")[0].removeprefix("matchcut.models.") for target in MODELS.values()]
    names += [f"convert.{name}" for name in ("dual_encoding", "hybrid_space", "vsepp", "vsrn", "sgraf", "vse_infinity")]
    out = subprocess.run([sys.executable, "-c", SCRIPT.format(names=names)], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
