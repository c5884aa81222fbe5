import os
import time
from pathlib import Path

from mnist_app.storage import ABANDONED, clear_abandoned


def test_only_hidden_folders_abandoned_long_ago_are_removed(tmp_path: Path) -> None:
    long_ago = time.time() - ABANDONED - 60
    for name, when in ((".killed", long_ago), (".at-work", time.time()), ("kept", long_ago)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part").touch()
        os.utime(tmp_path / name, (when, when))
    clear_abandoned(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".at-work", "kept"]
