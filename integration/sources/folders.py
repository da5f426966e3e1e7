"""Which files of a folder are data, and what else lies there and is not read."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from integration.errors import InputError

ENDINGS: Final = (".ndjson", ".ndjson.gz", ".json")
"""Of files that are read, in lower case; files may write them in any."""
_ORDINARY_ENDING: Final = re.compile(r"(\.[A-Za-z0-9]{1,8}){1,2}")


class Skipped(NamedTuple):
    """Something in a folder that is not read.

    Attributes:
        file: it, or the folder that holds it where only the number of such files is told.
        why: it is not read.
    """

    file: str
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What a path leads to.

    Attributes:
        files: to read.
        skipped: what lies beside them.
    """

    files: tuple[Path, ...]
    skipped: tuple[Skipped, ...] = ()


def has_ending(file: Path, *endings: str) -> bool:
    """Return whether a file's name ends so, in whatever case."""
    return file.name.lower().endswith(endings)


def find(path: Path) -> Found:
    """Find the files that a path leads to: itself, or those of a folder and of every folder in it.

    Raises:
        InputError: the path does not exist, is no data, or a folder cannot be searched through.
    """
    try:
        is_folder, is_file, exists = path.is_dir(), path.is_file(), path.exists()
    except OSError as error:
        raise InputError(path=str(path), problem=f"cannot be read: {error.strerror}") from error
    if is_folder:
        return _searched(path)
    if not exists:
        raise InputError(path=str(path), problem="does not exist; give --data a file or a folder")
    if not has_ending(path, *ENDINGS):
        raise InputError(path=str(path), problem=f"is none of {', '.join(ENDINGS)}")
    if not is_file:
        raise InputError(path=str(path), problem="is not a regular file; it is read twice, so save it as one")
    return Found(files=(path,))


def _searched(folder: Path) -> Found:
    files: list[Path] = []
    skipped: list[Skipped] = []
    others: Counter[str] = Counter()
    for parent, folders, names in os.walk(folder, onerror=_refuse):
        skipped.extend(_odd_folders(Path(parent, name) for name in folders))
        for file in (Path(parent, name) for name in names):
            if not has_ending(file, *ENDINGS):
                others[_ending(file)] += 1
            elif _is_file(file):
                files.append(file)
            else:
                skipped.append(Skipped(file.as_posix(), _why_no_file(file)))
    return Found(files=tuple(files), skipped=(*sorted(skipped), *_counted(folder, others)))


def _odd_folders(folders: Iterator[Path]) -> Iterator[Skipped]:
    for folder in folders:
        if folder.is_symlink():
            yield Skipped(folder.as_posix(), "a link to a folder, which is not followed; name it with --data")
        elif has_ending(folder, *ENDINGS):
            yield Skipped(folder.as_posix(), "a folder, not a file; searched through like any other")


def _is_file(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError:
        return True  # taken for one, so that opening it says what is wrong


def _why_no_file(file: Path) -> str:
    return "a link that leads nowhere" if not file.exists() else "a pipe, socket or device, not a regular file"


def _ending(file: Path) -> str:
    """Return `.csv`, `.json.gz` or nothing; what is no ordinary ending might be a part of somebody's name."""
    suffixes = file.suffixes[-2:] if has_ending(file, ".gz", ".zip") else file.suffixes[-1:]
    ending = "".join(suffixes).lower()
    return ending if _ORDINARY_ENDING.fullmatch(ending) else ""


def _counted(folder: Path, others: Counter[str]) -> Iterator[Skipped]:
    for ending, number in sorted(others.items()):
        files = "1 file" if number == 1 else f"{number} files"
        named = f"ending in {ending}" if ending else "without an ending"
        yield Skipped(folder.as_posix(), f"{files} {named}; {', '.join(ENDINGS)} are read")


def _refuse(error: OSError) -> NoReturn:
    """Stop at a folder that cannot be searched through: what is in it would be missing without a word."""
    problem = f"cannot be searched through: {error.strerror}; let this account read it, or name another --data"
    raise InputError(path=str(error.filename), problem=problem) from error
