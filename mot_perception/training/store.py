"""Maps of many sequences on disk: shards, and a manifest that says how they were made.

`manifest.json` holds the recipe (form, settings and models that decide what the maps are), and for
each sequence its source, frames and shards with their SHA-256. A shard that the manifest does not
name does not count; so a kill leaves what was finished before.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mot_perception.errors import UserError
from mot_perception.perception.checkpoint import digest
from mot_perception.training.shard import FORMS, LARGEST, read_shard, write_shard

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from mot_perception.training.shard import Form, Shard

MANIFEST = 'manifest.json'
VERSION = 1
LARGEST_MANIFEST = 64 << 20
SHARD = re.compile(r'[0-9]{5}-[0-9]{3}\.safetensors')


@dataclass(frozen=True)
class ShardFile:
    """A file of the store: its name and its SHA-256."""

    file: str
    sha256: str


@dataclass(frozen=True)
class StoredSequence:
    """One sequence in a store.

    Attributes:
        name: Its name.
        source: A hash that changes with the files it was read from.
        frames: How many were looked at.
        dropped: Frames that are missing between these.
        objects: How many rows, over all frames.
        shards: Its files, in the order of time.
    """

    name: str
    source: str
    frames: int
    dropped: int
    objects: int
    shards: tuple[ShardFile, ...]


class Store:
    """A store, to be read or added to.

    Args:
        folder: Where it is.
        recipe: What decides what the maps are, JSON values; with 'form'.
        selection: What decides which frames and objects there are.
        sequences: What is in it.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Mapping[str, Any],
        selection: Mapping[str, Any],
        sequences: Iterable[StoredSequence] = (),
    ) -> None:
        self.folder = folder
        self.recipe, self.selection = dict(recipe), dict(selection)
        self._sequences = {sequence.name: sequence for sequence in sequences}

    @property
    def form(self) -> Form:
        """How its maps look."""
        return FORMS[self.recipe['form']]

    @property
    def sequences(self) -> list[StoredSequence]:
        """What is in it, by name."""
        return [self._sequences[name] for name in sorted(self._sequences)]

    @property
    def key(self) -> str:
        """Hash of the recipe: stores with the same can be used together."""
        return _hash(self.recipe)

    @property
    def sha256(self) -> str:
        """Hash of all that is in it."""
        return _hash([self.recipe, *(asdict(sequence) for sequence in self.sequences)])

    def has(self, name: str, source: str) -> bool:
        """Return whether a sequence is in it, made of the same files."""
        known = self._sequences.get(name)
        return known is not None and known.source == source

    def add(self, name: str, source: str, shards: Iterable[Shard]) -> StoredSequence:
        """Write a sequence; it is there whole or not at all.

        Args:
            name: Its name; one of that name is replaced.
            source: See `StoredSequence`.
            shards: Its parts, each written before the next is asked for.
        """
        number = self._free_number()
        self.folder.mkdir(parents=True, exist_ok=True)
        files, frames, objects, missing, last = [], 0, 0, 0, None
        for part, shard in enumerate(shards):
            file = self.folder / f'{number:05}-{part:03}.safetensors'
            write_shard(file, shard)
            files.append(ShardFile(file.name, digest(file)))
            frames, objects = frames + len(shard.index), objects + len(shard)
            first = shard.index[0] if last is None else last + 1
            last = shard.index[-1]
            missing += int(last - first) + 1 - len(shard.index)
        added = StoredSequence(name, source, frames, missing, objects, tuple(files))
        before = self._sequences.get(name)
        self._sequences[name] = added
        self.write()
        for old in before.shards if before else ():
            (self.folder / old.file).unlink(missing_ok=True)
        return added

    def write(self) -> None:
        """Write the manifest."""
        content = {
            'version': VERSION,
            'recipe': self.recipe,
            'recipe_sha256': self.key,
            'selection': self.selection,
            'sequences': [asdict(sequence) for sequence in self.sequences],
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / f'{MANIFEST}.part'
        part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + '\n', 'utf-8')
        part.replace(self.folder / MANIFEST)

    def read(self, sequence: StoredSequence) -> list[Shard]:
        """Return the parts of a sequence.

        Raises:
            UserError: A file is missing, damaged, or not the one that was written.
        """
        shards = []
        for shard in sequence.shards:
            file = self.folder / shard.file
            if not file.is_file() or file.stat().st_size > LARGEST or digest(file) != shard.sha256:
                raise UserError(
                    f'{file}: missing, or not what {MANIFEST} says; extract the store again'
                )
            shards.append(read_shard(file, self.form))
        return shards

    def _free_number(self) -> int:
        used = {int(file.file[:5]) for it in self._sequences.values() for file in it.shards}
        return max(used, default=-1) + 1


def open_store(folder: Path) -> Store:
    """Return a store that is there.

    Raises:
        UserError: It is none, or its manifest is damaged.
    """
    file = folder / MANIFEST
    try:
        with file.open('rb') as stream:
            content = json.loads(stream.read(LARGEST_MANIFEST))
        if content['version'] != VERSION:
            raise UserError(f'{file}: of another version; extract the store again')
        store = Store(
            folder,
            content['recipe'],
            content['selection'],
            [_sequence(**values) for values in content['sequences']],
        )
        damaged = store.recipe['form'] not in FORMS or store.key != content['recipe_sha256']
    except OSError as error:
        raise UserError(
            f'{file}: cannot be read ({error.strerror}); make a store by mot-perception extract'
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        damaged = True
    if damaged:
        raise UserError(f'{file}: damaged; extract the store again')
    return store


def begin_store(folder: Path, recipe: Mapping[str, Any], selection: Mapping[str, Any]) -> Store:
    """Return the store of this folder, made if there is none.

    Raises:
        UserError: The folder holds something else, or maps made in another way.
    """
    if not (folder / MANIFEST).exists():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f'{folder}: exists and is no store; choose another --out')
        store = Store(folder, recipe, selection)
        store.write()
        return store
    store = open_store(folder)
    wanted = {**recipe, **selection}
    there = {**store.recipe, **store.selection}
    for name in dict.fromkeys([*there, *wanted]):
        if there.get(name) != wanted.get(name):
            raise UserError(
                f'{folder}: was made with {name} {there.get(name)!r:.80}, not '
                f'{wanted.get(name)!r:.80}; extract with the same, or choose another --out'
            )
    return store


def _sequence(
    name: str, source: str, frames: int, dropped: int, objects: int, shards: list[dict[str, str]]
) -> StoredSequence:
    """Return what the manifest says of a sequence; ValueError if that cannot be."""
    files = tuple(ShardFile(**shard) for shard in shards)
    texts = [name, source, *(file.sha256 for file in files)]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError('names and hashes are texts')
    if not all(isinstance(number, int) for number in (frames, dropped, objects)):
        raise ValueError('counts are numbers')
    if not all(SHARD.fullmatch(file.file) for file in files):
        raise ValueError('a file outside the folder')
    return StoredSequence(name, source, frames, dropped, objects, files)


def _hash(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
