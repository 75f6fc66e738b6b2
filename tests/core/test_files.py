"""Files that are whole or absent, also after a power cut, and errors that say what really went wrong."""

from __future__ import annotations

import errno
import json
import os

import pytest

from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import check_recorded, filling, read_json, replacing, sealed, write_text
from lmbmd.core.provenance import file_sha256


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


def test_folders_made_for_what_fails_go_again_and_those_that_were_there_stay(tmp_path):
    (tmp_path / "there").mkdir()
    for folder in ("there/a/b", "there", "c"):
        with pytest.raises(ValueError, match="late"), replacing(tmp_path / folder / "file.txt") as partial:
            partial.write_text("half", encoding="utf-8")
            raise ValueError("late")
        with pytest.raises(ValueError, match="late"), filling(tmp_path / folder) as place:
            write_text(place / "r1" / "file.txt", "half")
            raise ValueError("late")
        assert list(tmp_path.rglob("*")) == [tmp_path / "there"]


def test_a_folder_that_is_filled_keeps_what_else_is_in_it(tmp_path):
    write_text(tmp_path / "out" / "r1" / "old.txt", "old")
    write_text(tmp_path / "out" / "r1" / "new.txt", "old")
    with filling(tmp_path / "out") as place:
        write_text(place / "r1" / "new.txt", "new")
        write_text(place / "record.json", "{}")
        assert (tmp_path / "out" / "r1" / "new.txt").read_text(encoding="utf-8") == "old"
    found = {str(p.relative_to(tmp_path / "out")): p.read_text() for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {"r1/old.txt": "old", "r1/new.txt": "new", "record.json": "{}"}


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


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' stands in it twice"),
        ('{"a": 1, "a": 1}', "the key 'a' stands in it twice"),
        ('{"a": NaN}', "NaN is no number"),
    ],
)
def test_json_that_says_two_things_or_no_number_is_refused(tmp_path, text, told):
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    with pytest.raises(LmbmdError, match=told):
        read_json(tmp_path / "a.json", what="record", remedy="Write it again.")


def test_a_seal_is_looked_at_wherever_there_is_one(tmp_path):
    path, data = tmp_path / "a.json", {"length_ns": 2.5, "names": ["a", "b"]}
    path.write_text(json.dumps(sealed(data)), encoding="utf-8")
    assert read_json(path, what="record", remedy="Write it again.") == data
    path.write_text(path.read_text(encoding="utf-8").replace("2.5", "2.7"), encoding="utf-8")
    with pytest.raises(LmbmdError, match="does not match its hash"):
        read_json(path, what="record", remedy="Write it again.")


def test_a_file_is_compared_with_the_record_beside_it(tmp_path):
    path = tmp_path / "state.csv"
    path.write_text("1,2\n", encoding="utf-8")
    check_recorded(path, "run.json", "Restore it.")
    record = sealed({"files": {"state.csv": file_sha256(path)}})
    (tmp_path / "run.json").write_text(json.dumps(record), encoding="utf-8")
    check_recorded(path, "run.json", "Restore it.")
    path.write_text("1,3\n", encoding="utf-8")
    with pytest.raises(LmbmdError, match=r"state\.csv: the file is not the one that run\.json beside it tells of"):
        check_recorded(path, "run.json", "Restore it.")


def test_what_a_killed_writer_left_goes_after_an_hour_and_a_working_ones_does_not(tmp_path):
    old, new, other = (tmp_path / f".{name}.partial.arrow" for name in ("contacts.77", "contacts.78", "contacts2.77"))
    for path in (old, new, other):
        path.write_bytes(b"half")
    for path in (old, other):
        os.utime(path, (path.stat().st_mtime - 7200,) * 2)
    with replacing(tmp_path / "contacts.arrow") as partial:
        partial.write_bytes(b"whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([new.name, other.name, "contacts.arrow"])


def test_a_file_that_arrow_cannot_open_is_named_as_what_it_was_to_become(tmp_path):
    import pyarrow as pa

    with pytest.raises(LmbmdError, match=r"t\.arrow: cannot write the file: .*Check that"):
        with replacing(tmp_path / "t.arrow") as partial:
            partial.mkdir()
            pa.OSFile(str(partial), "wb")
