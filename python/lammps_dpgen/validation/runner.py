"""Computes what is asked for: pieces of properties for each potential, in worker processes, each piece once."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lammps_dpgen.config.validation import ValidationConfig
from lammps_dpgen.errors import ConfigError
from lammps_dpgen.execution.base import Executor, Outcome, Task
from lammps_dpgen.store.results import ResultStore, StoredResult
from lammps_dpgen.validation.base import Findings, FollowsReference, Piece, Property, Result
from lammps_dpgen.validation.crystal import Crystal
from lammps_dpgen.validation.crystals import crystal_of
from lammps_dpgen.validation.potentials import identity_of
from lammps_dpgen.validation.service import SERVICE, make_property

#: Seconds between two looks at the workers.
_NAP = 0.005


@dataclass(frozen=True)
class Job:
    """A piece of a property for one potential.

    Attributes
    ----------
    number, name
        Of the property, in the order of the configuration.
    key
        SHA-256 of all that decides the result.
    """

    potential: str
    number: int
    name: str
    settings: dict[str, Any]
    piece: Piece
    key: str
    timeout: float

    @property
    def what(self) -> str:
        """Readable name."""
        return f"{self.potential}: {self.name} {self.piece.name}"


@dataclass(frozen=True)
class PotentialFindings:
    """All that was found for one potential.

    Attributes
    ----------
    identity
        SHA-256 of what decides its numbers.
    findings
        Of each property, in the order of the configuration.
    seconds
        Wall time of its pieces, those that were stored before among them.
    """

    name: str
    identity: str
    findings: tuple[Findings, ...]
    seconds: float


@dataclass
class Progress:
    """What is told while it runs: a function that takes a line."""

    tell: Callable[[str], None] = field(default=lambda line: None)


class Validation:
    """A validation as its configuration describes it; made and checked before anything is computed.

    Raises
    ------
    ConfigError
        A crystal or property makes no sense.
    """

    def __init__(self, config: ValidationConfig) -> None:
        self._config = config
        crystals = {section.name: crystal_of(section) for section in config.crystals}
        self._properties: list[Property] = []
        self._pieces: list[list[Piece]] = []
        self._first: list[list[Piece]] = []
        self._hashes: list[str] = []
        for section in config.properties:
            names = crystals if section.crystals is None else section.crystals
            chosen: tuple[Crystal, ...] = tuple(crystals[name] for name in names)
            part = make_property(section.property, section.settings, chosen)
            pieces = part.pieces()
            first = part.reference_pieces() if isinstance(part, FollowsReference) else []
            if not pieces and not first:
                raise ConfigError(f"property {section.property}: nothing to compute; give it crystals")
            self._properties.append(part)
            self._pieces.append(pieces)
            self._first.append(first)
            self._hashes.append(part.Settings.model_validate(section.settings).hash())
        self._identities = {name: identity_of(name, settings) for name, settings in config.potentials.items()}

    def run(self, executor: Executor, store: ResultStore, progress: Progress) -> list[PotentialFindings]:
        """Compute what is not stored yet, and return what was found for each potential.

        A piece that fails gives rows with its cause. Causes that the property itself named are stored; others, such as
        a worker that died, are tried again by the next run.
        """
        first = self._jobs(self._first, [self._reference])
        if first:
            found = self._compute(first, executor, store, progress)
            self._follow(first, found)
        jobs = self._jobs(self._pieces, list(self._identities))
        done = self._compute(jobs, executor, store, progress)
        return [self._findings(name, jobs, done) for name in self._identities]

    @property
    def _reference(self) -> str:
        """Name of the potential that others follow: the one that is compared with, or else the first."""
        base = self._config.base
        return base if base in self._identities else next(iter(self._identities))

    def _jobs(self, pieces: Sequence[Sequence[Piece]], names: Iterable[str]) -> list[Job]:
        """Return the pieces of each property for each of these potentials, stored or not."""
        found = []
        for name in names:
            for number, section in enumerate(self._config.properties):
                version, settings = self._properties[number].version, self._hashes[number]
                for piece in pieces[number]:
                    deciding = [self._identities[name], section.property, version, settings, piece.payload]
                    key = hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()
                    found.append(Job(name, number, section.property, section.settings, piece, key, section.timeout))
        return found

    def _compute(
        self, jobs: Sequence[Job], executor: Executor, store: ResultStore, progress: Progress
    ) -> dict[str, StoredResult]:
        """Compute what is not stored yet; returns all results by their keys."""
        done = {job.key: stored for job in jobs if (stored := store.find(job.key)) is not None}
        missing = {job.key: job for job in jobs if job.key not in done}
        if done:
            progress.tell(f"{len(jobs) - len(missing)} of {len(jobs)} pieces are stored already")
        for job in missing.values():
            executor.submit(self._task(job))
        count = 0
        while executor.open_tasks:
            for outcome in executor.poll():
                job = missing[outcome.task.id]
                result = _stored(outcome)
                if outcome.error is None:
                    store.add(job.key, job.what, result)
                done[job.key] = result
                count += 1
                told = f" failed: {result.failure}" if result.failure else ""
                progress.tell(f"{count}/{len(missing)} {job.what} ({outcome.seconds:.1f} s){told}")
            time.sleep(_NAP)
        return done

    def _follow(self, jobs: Sequence[Job], done: Mapping[str, StoredResult]) -> None:
        """Give the properties what the reference potential found, and take the pieces that follow from it."""
        for number, part in enumerate(self._properties):
            own = [job for job in jobs if job.number == number]
            if own and isinstance(part, FollowsReference):
                part.follow({job.piece.name: _result(done[job.key]) for job in own})
                self._pieces[number] = part.pieces()

    def _task(self, job: Job) -> Task:
        return Task(
            id=job.key,
            service=SERVICE,
            service_settings={"name": job.potential, "settings": self._config.potentials[job.potential]},
            method="compute",
            payload={
                "property": job.name,
                "settings": job.settings,
                "piece": {"name": job.piece.name, "payload": job.piece.payload},
            },
            folder=Path(self._config.folder) / "scratch" / job.key[:16],
            timeout=job.timeout,
            retries=0,
        )

    def _findings(self, name: str, jobs: list[Job], done: Mapping[str, StoredResult]) -> PotentialFindings:
        found = []
        for number, part in enumerate(self._properties):
            own = [job for job in jobs if job.potential == name and job.number == number]
            results = {job.piece.name: _result(done[job.key]) for job in own}
            found.append(part.findings(results))
        seconds = sum(done[key].seconds for key in {job.key for job in jobs if job.potential == name})
        return PotentialFindings(name, self._identities[name], tuple(found), seconds)


def _stored(outcome: Outcome) -> StoredResult:
    if outcome.value is None:
        return StoredResult(None, outcome.error or "failed without a cause", outcome.seconds)
    return StoredResult(outcome.value["value"], outcome.value["failure"], outcome.seconds)


def _result(stored: StoredResult) -> Result:
    return Result(stored.value, stored.failure)
