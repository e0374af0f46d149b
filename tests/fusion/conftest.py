import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data():
    folder = Path(os.environ.get("MATCHCUT_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data folder {folder}; MATCHCUT_DATA names it")
    return folder
