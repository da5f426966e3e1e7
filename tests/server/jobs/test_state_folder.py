"""The state folder, which holds patients' data."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from integration.settings import Settings
from server.jobs import stores


@pytest.mark.parametrize("opened", [stores.open_warehouse, stores.open_ledger, stores.open_overview])
def test_it_is_made_for_its_owner_alone(
    tmp_path: Path, opened: Callable[[Settings], AbstractContextManager[object]]
) -> None:
    settings = Settings(folder=tmp_path, state_folder=tmp_path / "a" / "state")

    with opened(settings):
        pass

    assert settings.state_folder.stat().st_mode & 0o777 == 0o700
