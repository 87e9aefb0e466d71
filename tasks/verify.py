"""Read every output of the graph again and compare it with the hash in dvc.lock; what is damaged is named and put away.

DVC trusts a file whose size and time have not changed. This reads the bytes, in the workspace and in DVC's cache, and
moves damaged ones to cache/damaged/, so that `dvc repro` fetches or makes them anew.
"""
import hashlib
from pathlib import Path

from tasks.files import read_json
from tasks.record import lock_hashes
from traitlab.errors import InputError
from traitlab.params import Params

CACHE = Path(".dvc/cache/files/md5")
AWAY = Path("cache/damaged")


def run(params: Params) -> None:
    damaged, seen, hashes = [], 0, lock_hashes()
    if not hashes:
        raise InputError("dvc.lock: records no output; run `dvc repro` first")
    for path, md5 in hashes.items():
        for name, expected in _files(path, md5):
            for copy in (Path(name), CACHE / expected[:2] / expected[2:]):
                if copy.is_file():
                    seen += 1
                    if _md5(copy) != expected:
                        damaged.append(f"{name} ({'cache' if copy.is_relative_to(CACHE) else 'workspace'})")
                        _put_away(copy)
    if damaged:
        raise InputError(f"{', '.join(dict.fromkeys(damaged))}: not the bytes that dvc.lock records; moved to {AWAY}/, "
                         "run `dvc repro` to have them again")
    print(f"verify: {seen} files as recorded in dvc.lock")


def _files(path: str, md5: str):
    """(path, md5) of the files of an output: itself, or those that DVC lists for a folder."""
    if not md5.endswith(".dir"):
        yield path, md5
        return
    listing = CACHE / md5[:2] / md5[2:]
    if not listing.is_file():
        return  # not kept in the cache: figures in git
    if hashlib.md5(listing.read_bytes()).hexdigest() != md5.removesuffix(".dir"):
        _put_away(listing)
        raise InputError(f"{path}: DVC's list of its files is damaged; moved to {AWAY}/, run `dvc repro`")
    for entry in read_json(listing):
        yield f"{path}/{entry['relpath']}", entry["md5"]


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _put_away(path: Path) -> None:
    target = AWAY / path
    target.parent.mkdir(parents=True, exist_ok=True)
    path.replace(target)
