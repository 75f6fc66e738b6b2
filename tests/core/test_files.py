"""Files that are whole or absent, also after a power cut, and errors that say what really went wrong."""

from __future__ import annotations

import errno
import os

import pytest

from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import replacing, write_text


def test_the_folder_is_synced_after_the_rename(tmp_path, monkeypatch):
    """A rename that only the cache knows is undone by a power cut."""
    done, fsync, replace = [], os.fsync, os.replace

    def synced(handle):
        done.append(("fsync", os.readlink(f"/proc/self/fd/{handle}")))
        fsync(handle)

    def renamed(old, new):
        done.append(("replace", str(new)))
        replace(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    write_text(tmp_path / "file.txt", "content")
    assert [what for what, _ in done] == ["fsync", "replace", "fsync"]
    assert done[0][1].endswith(".partial.txt") and done[2][1] == str(tmp_path)


def test_a_file_that_cannot_be_read_inside_the_block_is_not_called_one_that_cannot_be_written(tmp_path):
    with pytest.raises(FileNotFoundError, match="source"), replacing(tmp_path / "file.txt") as partial:
        partial.write_text((tmp_path / "source").read_text(encoding="utf-8"), encoding="utf-8")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG])
def test_a_disk_that_takes_no_more_is_named_whoever_writes(tmp_path, number):
    """Writers such as Arrow's raise without the name of the file."""
    (tmp_path / "file.txt").write_text("before", encoding="utf-8")
    with (
        pytest.raises(LmbmdError, match=rf"file\.txt: cannot write the file: {os.strerror(number)}"),
        replacing(tmp_path / "file.txt") as partial,
    ):
        partial.write_text("half", encoding="utf-8")
        raise OSError(number, os.strerror(number))
    assert [path.read_text(encoding="utf-8") for path in tmp_path.iterdir()] == ["before"]


def test_a_folder_that_is_a_file_cannot_be_written_to(tmp_path):
    (tmp_path / "folder").write_text("", encoding="utf-8")
    with pytest.raises(LmbmdError, match=r"file\.txt: cannot write the file: (Not a directory|File exists)"):
        write_text(tmp_path / "folder" / "file.txt", "content")


def test_a_writer_that_wrote_nothing_is_an_error_about_the_file(tmp_path):
    with pytest.raises(LmbmdError, match="cannot write the file"), replacing(tmp_path / "file.txt"):
        pass
