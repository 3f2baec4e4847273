"""One writer for a file: a lock beside it, and what writers that were killed have left."""

import contextlib
import errno
import importlib.util
import os
import re
import secrets
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

# Windows has other locks; there, two writers are not found out.
fcntl = importlib.import_module("fcntl") if importlib.util.find_spec("fcntl") else None

#: What a file system without locks answers.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


def target_of(path: str | os.PathLike) -> Path:
    """Return the file behind a path and its symbolic links, after a look at its place.

    Parameters
    ----------
    path : str or path-like
        A file that exists or is to be written.

    Returns
    -------
    target : pathlib.Path

    Raises
    ------
    TypeError
        If ``path`` is no path.
    OSError
        FileNotFoundError if the folder does not exist, IsADirectoryError if the path is a folder,
        PermissionError if the file is there and must not be written.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"checkpoint is {path!r}, expected the path of a file, a str or Path.")
    target = Path(os.path.realpath(path))
    behind = "" if target == Path(os.path.abspath(path)) else f", a link to {target},"
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"checkpoint {path}{behind} is in a folder that does not exist; create it."
        )
    if target.is_dir():
        raise IsADirectoryError(
            f"checkpoint {path}{behind} is a folder; expected the path of a file."
        )
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(
            f"checkpoint {path}{behind} is write-protected; expected a file that may be replaced. "
            "Allow it (chmod u+w), or continue from a copy of it."
        )
    return target


@contextlib.contextmanager
def sole_writer(path: str | os.PathLike) -> Iterator[None]:
    """Keep every other writer off a file, as a context around all that is read from and written.

    A lock file ``<path>.lock`` is held with ``flock``, which the system gives up when the process
    ends in whatever way; it is removed at the end. With the lock in hand, temporary files of
    `open_temporary` that writers before left behind when they were killed are removed.

    Parameters
    ----------
    path : str or path-like
        The file, in an existing folder; behind symbolic links, what they lead to.

    Raises
    ------
    BlockingIOError
        If another process, or another place in this one, is the writer.
    OSError
        What `target_of` raises, and PermissionError if the folder cannot be written to.
    """
    target = target_of(path)
    with contextlib.ExitStack() as stack:
        if fcntl is not None:
            stack.enter_context(_lock(path, target))
        remove_orphans(target)
        yield


def remove_orphans(target: Path) -> None:
    """Remove temporary files for a file that writers which were killed have left."""
    for orphan in _temporaries(target):
        _remove_orphan(orphan)


def open_temporary(target: Path) -> tuple[int, Path]:
    """Return a descriptor and the path of a new file beside another one, with its permissions.

    It has the mode, and if possible the owner, of the file at ``target`` if there is one, else
    those of every new file, which the umask gives. It is locked as long as it is open, so that
    `sole_writer` lets it live.
    """
    name = target.with_name(f"{target.name}.{secrets.token_hex(8)}.tmp")
    descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        if target.exists() and hasattr(os, "fchmod"):
            replaced = target.stat()
            with contextlib.suppress(PermissionError):  # root alone may give files away
                os.fchown(descriptor, replaced.st_uid, replaced.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(replaced.st_mode))
        _try_lock(descriptor)
    except BaseException:
        os.close(descriptor)
        name.unlink()
        raise
    return descriptor, name


@contextlib.contextmanager
def _lock(path, target):
    name = target.with_name(f"{target.name}.lock")
    while True:
        try:
            descriptor = os.open(name, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            raise PermissionError(
                f"checkpoint {path} cannot be written: the folder {target.parent} does not allow "
                "it. Allow it, or continue from a copy in another folder."
            ) from error
        try:
            if not _try_lock(descriptor):
                owner = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
                raise BlockingIOError(
                    f"checkpoint {path} has another writer, {owner or 'unknown'}, expected none: "
                    "two trainings would overwrite each other. Wait for it, stop it, or give each "
                    "a file of its own."
                )
            if not _is_at(descriptor, name):  # its holder has removed it in between
                continue
            with contextlib.suppress(OSError):  # on a full disk the name alone is missing
                os.ftruncate(descriptor, 0)
                owner = f"process {os.getpid()} on {socket.gethostname()}"
                os.pwrite(descriptor, owner.encode(), 0)
            try:
                yield
            finally:
                name.unlink(missing_ok=True)  # before the lock is given up, by its holder alone
            return
        finally:
            os.close(descriptor)


def _try_lock(descriptor):
    """Whether the lock could be taken, or the file system has none."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def _is_at(descriptor, name):
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(name))
    except FileNotFoundError:
        return False


def _temporaries(target):
    pattern = re.compile(re.escape(target.name) + r"\.[0-9a-f]{16}\.tmp")
    return [path for path in target.parent.iterdir() if pattern.fullmatch(path.name)]


def _remove_orphan(name):
    """Remove a temporary file unless its writer lives and holds it."""
    try:
        descriptor = os.open(name, os.O_RDWR)
    except OSError:
        return
    try:
        if _try_lock(descriptor):
            name.unlink(missing_ok=True)
    except OSError:
        pass  # of somebody else, in a folder where each may remove their own only
    finally:
        os.close(descriptor)
