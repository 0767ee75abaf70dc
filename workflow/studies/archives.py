"""Archives of what a seed has played: the same files give the same bytes, and nothing is unpacked that is not expected.

Every file has its path in the workspace. What all seeds share, as the tables of tasks, is in every archive, so that
each is enough for a report.
"""

import io
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from seeds import AGAIN, RECORD, Record, archive_of, sha256
from w2sg.contracts import files
from w2sg.contracts.errors import UserError, named


def pack(workspace: Path, archive: Path, outs: Iterable[str]) -> str:
    """Write an archive of some outputs of a workspace; its sha256.

    Names are sorted; owners, modes and times are the same whoever packs, whenever.

    Raises:
        UserError: an output is missing.
    """
    names = sorted(name for out in outs for name in _files(workspace, out))
    with files.replacing(archive) as temporary:
        with tarfile.open(temporary, "w:xz", preset=6) as tar:
            for name in names:
                content = (workspace / name).read_bytes()
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        return sha256(temporary.read_bytes())


def _files(workspace: Path, out: str) -> list[str]:
    path = workspace / out
    found = [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path] if path.is_file() else []
    if not found:
        raise UserError(f"{path}: missing, though its stage has run; run the study again")
    return [each.relative_to(workspace).as_posix() for each in found]


def unpack(folder: Path, records: Sequence[Record], outs: Mapping[int, Sequence[str]], *, into: Path) -> None:
    """Unpack the archives of some seeds into one folder.

    Args:
        outs: paths that belong to each seed: of an archive, what is below them is taken, and each must be there.

    Raises:
        UserError: an archive is damaged, lacks an output, has a member that is no file of its own, or has another
            content of a file than an earlier seed.
    """
    whose: dict[str, int] = {}
    for record in records:
        archive = archive_of(folder, record.seed)
        content = archive.read_bytes()
        if sha256(content) != record.sha256:
            raise UserError(f"{archive}: damaged, or not the one that {record.seed}{RECORD} is of; {AGAIN}")
        with (
            files.reading(archive, "an archive of a seed", remedy=AGAIN),
            tarfile.open(fileobj=io.BytesIO(content), mode="r:xz") as tar,
        ):
            found = set(_extract(tar, archive, outs[record.seed], into=into, seed=record.seed, whose=whose))
        if missing := [out for out in outs[record.seed] if out not in found]:
            raise UserError(f"{archive}: lacks {missing[0]}; play the seed again (--seeds {record.seed})")


def _extract(
    tar: tarfile.TarFile, archive: Path, outs: Sequence[str], *, into: Path, seed: int, whose: dict[str, int]
) -> Iterator[str]:
    """Write the members that belong to some outputs; those outputs."""
    for member in tar:
        content = tar.extractfile(member) if member.isreg() else None
        name = PurePosixPath(member.name)
        if content is None or name.is_absolute() or ".." in name.parts or name.as_posix() != member.name:
            raise UserError(f"{archive}: {named(member.name)} is no plain file inside; {AGAIN}")
        if (out := next((out for out in outs if within(member.name, out)), None)) is None:
            continue  # the report depended on it when it was packed
        target = into / member.name
        if member.name not in whose:
            with files.replacing(target) as temporary:
                temporary.write_bytes(content.read())
            whose[member.name] = seed
        elif content.read() != target.read_bytes():
            other = f"seed {whose[member.name]}"
            raise UserError(
                f"{archive}: {named(member.name)} is another one than that of {other}; play one of the two again"
            )
        yield out


def within(path: str, folder: str) -> bool:
    """Whether a path is this folder, or lies below it."""
    return Path(path).is_relative_to(folder)
