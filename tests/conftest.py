"What the tests share: where things are, the notebooks, and real images where they are at hand."
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ARTEFACTS = ROOT/"artefacts"
sys.path.insert(0, str(ROOT/"tools"))


@pytest.fixture(scope="session")
def root(): return ROOT


@pytest.fixture(scope="session")
def artefacts():
    "An ignored folder for what people want to look at afterwards."
    ARTEFACTS.mkdir(exist_ok=True)
    return ARTEFACTS


@pytest.fixture(scope="session")
def real():
    "The folder with real images; the test is skipped where there is none."
    folder = os.environ.get("RHEUMKIT_REAL")
    if not folder: pytest.skip("RHEUMKIT_REAL is not set: no real images to test with")
    return Path(folder)
