"""The data folder: one run at a time, secrets for us alone."""

import os
from pathlib import Path

import pytest

from devbox import data_folder
from devbox.data_folder import DataFolder, ProcessReport, RunReport
from devbox.errors import AlreadyRunning, CannotBegin
from devbox.keyring import ensure_key_file, ensure_secret


def report_of(pid: int) -> RunReport:
    """A report of a run with one process."""
    process = ProcessReport(
        name="ledger", state="ready", pid=7, started_at=1.0, restarts=0, simulated=False
    )
    return RunReport(
        pid=pid, started_at=1.0, address="http://here", ports={}, processes=[process], ready=True
    )


def test_a_second_run_is_refused_with_where_the_first_one_is(tmp_path: Path) -> None:
    """One sentence that helps: the address and how to stop it."""
    folder, again = DataFolder(tmp_path), DataFolder(tmp_path)
    folder.ensure()
    with folder.locked():
        folder.write_report(report_of(42))
        with (
            pytest.raises(AlreadyRunning, match=r"process 42.*http://here.*make stop"),
            again.locked(),
        ):
            pass


def test_the_lock_is_free_when_the_run_is_over(tmp_path: Path) -> None:
    """And says who holds it while it is not."""
    folder = DataFolder(tmp_path)
    assert folder.running_pid() is None
    folder.ensure()
    with folder.locked():
        assert os.getpid() == folder.running_pid()
    assert folder.running_pid() is None


def test_a_report_comes_back_as_written(tmp_path: Path) -> None:
    """And a broken one is no report rather than an error."""
    folder = DataFolder(tmp_path)
    folder.ensure()
    assert folder.read_report() is None
    folder.write_report(report_of(1))
    assert report_of(1) == folder.read_report()
    (folder.run / "state.json").write_text("{")
    assert folder.read_report() is None


def test_a_big_log_is_set_aside_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logs have a bound; the log before is kept once."""
    monkeypatch.setattr(data_folder, "LOG_BYTES_MAX", 3)
    folder = DataFolder(tmp_path)
    folder.ensure()
    folder.log("ledger").write_text("long")
    assert not folder.log("ledger").exists()
    assert (folder.logs / "ledger.log.1").read_text() == "long"


def test_a_folder_that_cannot_be_made_names_the_variable(tmp_path: Path) -> None:
    """One sentence, no stack trace."""
    (tmp_path / "file").touch()
    with pytest.raises(CannotBegin, match="PURSER_DATA_DIR"):
        DataFolder(tmp_path / "file" / "data").ensure()


def test_a_folder_of_another_user_is_named_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each process would fail on its own, with a stack trace at the end."""
    folder = DataFolder(tmp_path)
    folder.ensure()
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != folder.logs and may(path, mode))
    with pytest.raises(CannotBegin, match=r"/logs.*PURSER_DATA_DIR"):
        folder.ensure()


def test_a_path_too_long_for_postgresql_is_refused_before_anything_starts(tmp_path: Path) -> None:
    """Its initdb would fail four times first."""
    with pytest.raises(CannotBegin, match="shorter"):
        DataFolder(tmp_path.joinpath(*["d" * 200] * 4)).ensure()


def test_the_lock_of_another_user_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make stop` in somebody else's folder."""

    def forbidden(*_arguments: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", forbidden)
    with pytest.raises(CannotBegin, match="Permission denied"):
        DataFolder(tmp_path).running_pid()


def test_a_secret_is_made_once_and_for_us_alone(tmp_path: Path) -> None:
    """The second run must log in with what the first one set."""
    secret = ensure_secret(tmp_path / "secrets", "role")
    assert secret == ensure_secret(tmp_path / "secrets", "role")
    assert len(secret) >= 43
    assert (tmp_path / "secrets" / "role").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700


def test_a_lost_secret_is_not_made_up(tmp_path: Path) -> None:
    """An emptied key file is an accident; another key would make the data unreadable."""
    key = ensure_key_file(tmp_path, "key")
    key.write_text("\n")
    with pytest.raises(CannotBegin, match="empty"):
        ensure_key_file(tmp_path, "key")


def test_a_pinned_count_lasts_as_long_as_the_run(tmp_path: Path) -> None:
    """Told to this run, let go of, and unknown to the next."""
    folder = DataFolder(tmp_path)
    folder.ensure()
    assert folder.pinned_workers() is None
    folder.pin_workers(3)
    assert folder.pinned_workers() == 3
    folder.pin_workers(None)
    assert folder.pinned_workers() is None
    folder.pin_workers(4)
    with folder.locked():
        assert folder.pinned_workers() is None
