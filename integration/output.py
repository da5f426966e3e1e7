"""Write results: a folder that appears whole or not at all, and CSV as the contract has it."""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from integration.csv_cells import no_formula
from integration.errors import InputError

MARK: Final = "run.json"
"""A folder that holds this file is an earlier run's and may be replaced."""
_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2
_AS_TEXT: Final = {True: "true", False: "false"}


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Give a new folder to write into; it takes the place of `folder` when the block ends without an error.

    An earlier run's folder is replaced in one step. Anything else that is there is left alone.

    Raises:
        InputError: `folder` is a file, or holds something that no run wrote, or cannot be written.
    """
    refuse_foreign(folder)
    folder = folder.resolve()  # behind a link, so that the link stays and its target is replaced
    new = folder.parent / f".{folder.name}.{secrets.token_hex(4)}"
    try:
        with _refused(folder, "cannot be written"):
            folder.parent.mkdir(parents=True, exist_ok=True)
            new.mkdir()
        yield new
        with _refused(folder, "cannot be replaced"):
            _take_place(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def refuse_foreign(folder: Path) -> None:
    """Raise InputError if a run must not replace what is there."""
    with _refused(folder, "cannot be looked into"):
        if folder.exists() and not folder.is_dir():
            raise InputError(path=str(folder), problem="is a file; name a folder with --out")
        if folder.is_mount():
            problem = "is a mount point, which cannot be replaced in one step; name a folder inside it with --out"
            raise InputError(path=str(folder), problem=problem)
        if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).is_file():
            problem = f"holds files but no {MARK}, so no run wrote it; name another --out"
            raise InputError(path=str(folder), problem=problem)


def refuse_holding(folder: Path, inputs: Iterable[Path]) -> None:
    """Raise InputError if an input lies in the folder, which a run is about to replace."""
    inside = next((one for one in inputs if one.resolve().is_relative_to(folder.resolve())), None)
    if inside is not None:
        raise InputError(path=str(folder), problem=f"holds the input {inside}; name another --out")


@contextmanager
def _refused(folder: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(path=str(folder), problem=f"{what}: {error.strerror}; name another --out") from error


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a table: UTF-8, header, true/false, empty for missing, numbers unrounded, no text that is a formula."""
    text = frame.copy(deep=False)
    for name in text.columns:
        if not pd.api.types.is_numeric_dtype(text[name].dtype) or text[name].dtype in (bool, "boolean"):
            text[name] = pd.Series([_cell(cell) for cell in text[name]], index=text.index, dtype=object)
    text.to_csv(path, index=False, lineterminator="\n")


def _cell(value: Any) -> Any:
    if isinstance(value, bool | np.bool_):
        return _AS_TEXT[bool(value)]
    return _line_feeds(no_formula(value)) if isinstance(value, str) else value


def _line_feeds(text: str) -> str:
    """Write every line end as a line feed: a carriage return is not quoted, and would begin a row of its own."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _take_place(new: Path, folder: Path) -> None:
    if folder.exists():
        _exchange(new, folder)
    else:
        new.rename(folder)


def _exchange(new: Path, folder: Path) -> None:
    """Swap two folders in one step where the system can (Linux), else in two renames."""
    libc = ctypes.CDLL(None, use_errno=True)
    renameat2 = getattr(libc, "renameat2", None)
    if renameat2 is not None and not renameat2(
        _AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(folder), _RENAME_EXCHANGE
    ):
        return
    old = new.with_name(f"{new.name}.old")
    folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old)
