"""The files of checkpoints: permissions, links, a second writer, what a kill leaves, full disks."""

import os
import resource
import signal
import subprocess
import sys

import pytest
import torch
from training_runs import Pairs, assert_same_bits, run, straight

from odl_learned.learning.files import checkpoint as checkpoint_module
from odl_learned.learning.files import sole_writer as sole_writer_module
from odl_learned.learning.files.checkpoint import read_checkpoint, require_keys, write_checkpoint
from odl_learned.learning.files.sole_writer import sole_writer

ORPHAN = f"run.pt.{'0' * 16}.tmp"


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield
    os.umask(before)


def mode(path):
    return path.stat().st_mode & 0o777


def test_new_files_obey_the_umask_and_replaced_ones_keep_their_mode(umask, tmp_path):
    path = tmp_path / "run.pt"
    write_checkpoint(path, {"value": 1})
    assert mode(path) == 0o640
    path.chmod(0o604)
    if os.getuid() == 0:
        os.chown(path, 1234, 4321)
    owner = path.stat().st_uid, path.stat().st_gid
    write_checkpoint(path, {"value": 2})
    assert (path.stat().st_uid, path.stat().st_gid) == owner
    assert mode(path) == 0o604 and read_checkpoint(path)["value"] == 2


def test_a_link_is_followed_and_stays(tmp_path):
    (tmp_path / "scratch").mkdir()
    link, target = tmp_path / "run.pt", tmp_path / "scratch" / "real.pt"
    link.symlink_to(target)  # leads nowhere yet
    for value in (1, 2):
        write_checkpoint(link, {"value": value})
        assert link.is_symlink() and not target.is_symlink()
        assert read_checkpoint(target)["value"] == value
    assert os.listdir(tmp_path / "scratch") == ["real.pt"]
    with sole_writer(link), pytest.raises(BlockingIOError), sole_writer(target):
        pass
    (tmp_path / "lost.pt").symlink_to(tmp_path / "absent" / "real.pt")
    with pytest.raises(FileNotFoundError, match="lost.pt, a link to .*absent.* does not exist"):
        write_checkpoint(tmp_path / "lost.pt", {"value": 1})


def test_write_protected_files_are_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    write_checkpoint(path, {"value": 1})
    # root may write everywhere, so that the mode alone would not do
    monkeypatch.setattr(os, "access", lambda name, kind: False)
    with pytest.raises(PermissionError, match="run.pt is write-protected.*copy"):
        write_checkpoint(path, {"value": 2})
    pairs = Pairs()
    with pytest.raises(PermissionError):
        run(path, pairs)
    assert pairs.seen == [] and read_checkpoint(path)["value"] == 1


def test_a_second_training_is_an_error_that_changes_nothing(tmp_path):
    path = tmp_path / "run.pt"
    run(path, Pairs(), steps=5)
    before = path.read_bytes()
    other = subprocess.Popen(
        [sys.executable, "-c", "import fcntl, sys; file = open(sys.argv[1], 'w'); "
         "fcntl.flock(file, fcntl.LOCK_EX); file.write('process of a test'); file.flush(); "
         "print('locked', flush=True); sys.stdin.read()", f"{path}.lock"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert other.stdout.readline() == b"locked\n"
        pairs = Pairs()
        with pytest.raises(BlockingIOError, match="run.pt has another writer, process of a test"):
            run(path, pairs)
        assert pairs.seen == [] and path.read_bytes() == before
    finally:
        other.kill()
        other.communicate()
    assert_same_bits(run(path, Pairs()), straight())  # the lock has died with its holder
    assert os.listdir(tmp_path) == ["run.pt"]


def test_locks_in_one_process(tmp_path):
    path = tmp_path / "run.pt"
    with sole_writer(path):
        with pytest.raises(BlockingIOError, match=f"process {os.getpid()} on .*expected none"):
            run(path, Pairs())
        with sole_writer(tmp_path / "other.pt"):
            pass
        write_checkpoint(path, {"value": 1})
    with sole_writer(path):
        pass
    assert os.listdir(tmp_path) == ["run.pt"]


def test_a_lock_that_its_holder_removes_is_asked_for_again(tmp_path, monkeypatch):
    """Between opening the lock file and locking it, the holder before may have removed it."""
    lock, tried = tmp_path / "run.pt.lock", []
    original = sole_writer_module._try_lock

    def removed_at_first(descriptor):
        tried.append(descriptor)
        if len(tried) == 1:
            lock.unlink()
        return original(descriptor)

    monkeypatch.setattr(sole_writer_module, "_try_lock", removed_at_first)
    with sole_writer(tmp_path / "run.pt"):
        assert len(tried) == 2 and lock.exists()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_what_a_killed_training_leaves_is_removed(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    run(path, Pairs(), steps=5)
    child = os.fork()
    if child == 0:
        try:
            def dies(*_):
                os.kill(os.getpid(), signal.SIGKILL)

            monkeypatch.setattr(checkpoint_module.torch, "save", dies)
            run(path, Pairs(), steps=10)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    left = sorted(os.listdir(tmp_path))
    assert len(left) == 3 and left[0] == "run.pt" and left[2] == "run.pt.lock"
    assert_same_bits(run(path, Pairs()), straight())
    assert os.listdir(tmp_path) == ["run.pt"]


def test_files_of_others_are_left_alone(tmp_path):
    path = tmp_path / "run.pt"
    kept = {"run.pt.best.tmp", f"walk{ORPHAN}", f"{ORPHAN}.copy", "other.pt.lock"}
    for name in (ORPHAN, *kept):
        (tmp_path / name).touch()
    target = sole_writer_module.target_of(path)
    descriptor, alive = sole_writer_module.open_temporary(target)
    with sole_writer(path):
        assert set(os.listdir(tmp_path)) == {*kept, alive.name, "run.pt.lock"}
    os.close(descriptor)
    with sole_writer(path):
        assert set(os.listdir(tmp_path)) == {*kept, "run.pt.lock"}


def test_a_full_disk_is_said_in_the_words_of_the_system(tmp_path):
    """A limit on the size of files, which the system reports like a full disk."""
    path = tmp_path / "run.pt"
    write_checkpoint(path, {"value": torch.ones(3)})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OSError, match="run.pt could not be written: File too large. Make room"):
            write_checkpoint(path, {"value": torch.ones(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert torch.equal(read_checkpoint(path)["value"], torch.ones(3))
    assert os.listdir(tmp_path) == ["run.pt"]


def test_states_that_lack_something():
    require_keys("run.pt", {"a": 1, "b": 2}, ["a"], "a training")
    with pytest.raises(ValueError, match=r"run.pt is not one of a training: it lacks b, c and has"):
        require_keys("run.pt", {"a": 1}, ["a", "b", "c"], "a training")
    with pytest.raises(ValueError, match="it lacks a and has list"):
        require_keys("run.pt", [1], ["a"], "a training")
