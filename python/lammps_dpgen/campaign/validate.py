"""Validation as a part of a campaign: chosen generations are validated beside it, in a process of their own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import TracebackType

from lammps_dpgen.config.campaign import CampaignConfig
from lammps_dpgen.config.campaign_validation import CampaignValidation
from lammps_dpgen.execution.base import Outcome, Task
from lammps_dpgen.execution.local import LocalExecutor
from lammps_dpgen.learning.logbook import Logbook
from lammps_dpgen.monitor.view import View
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import Generation
from lammps_dpgen.store.run_folder import RunFolder
from lammps_dpgen.validation.generations import SERVICE

#: Kind of the event that says what became of the validation of a generation.
EVENT = "validation"


class Validations:
    """Validates generations one after another while the campaign goes on; a context manager.

    Nothing here waits but :meth:`finish`, and whatever goes wrong is noted and ends nothing. Pieces that were computed
    are stored in the folder ``validation`` of the run folder, so that a campaign that was killed goes on with the next.
    Without ``validation`` in the configuration nothing happens.
    """

    def __init__(self, config: CampaignConfig, run: RunFolder, ledger: Ledger, logbook: Logbook, view: View) -> None:
        self._settings = config.validation
        self._run, self._ledger, self._logbook, self._view = run, ledger, logbook, view
        self._waiting: deque[Generation] = deque()
        self._running: Generation | None = None
        self._executor: LocalExecutor | None = None
        self._offered: set[int] = set()

    def __enter__(self) -> Validations:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._executor is not None:
            self._executor.close()

    def begin(self) -> None:
        """Take up generations that an earlier job had to leave."""
        if self._settings is not None:
            self._offered |= {e.data["generation"] for e in self._ledger.events(EVENT) if not e.data["error"]}
            for generation in self._ledger.generations():
                self.offer(generation)

    def offer(self, generation: Generation) -> None:
        """Validate a generation, if it is one of those that are wanted and has not been validated."""
        if self._settings is not None and self._settings.wants(generation.number):
            self._take(generation)

    def _take(self, generation: Generation) -> None:
        if generation.number not in self._offered:
            self._offered.add(generation.number)
            self._waiting.append(generation)

    def tick(self) -> None:
        """See what has come, and begin with the next generation."""
        if self._settings is None:
            return
        for outcome in self._executor.poll() if self._executor is not None else ():
            self._note(outcome)
        if self._running is None and self._waiting:
            self._start(self._settings, self._waiting.popleft())

    def finish(self, last: Generation, wait: Callable[[], bool]) -> None:
        """Validate the last generation where that is wanted, and wait until all are done.

        Parameters
        ----------
        wait
            Called again and again; False ends the waiting, and the next start of the campaign goes on.
        """
        if self._settings is not None and self._settings.at_end:
            self._take(last)
        if self.left:
            self._view.phase("validation", self.left)
        while self.left:
            self.tick()
            if self.left and not wait():
                self._view.message(f"validation of {self.left} is left to the next start of the campaign")
                return

    @property
    def left(self) -> str:
        """The generations that are still to be validated, in words; empty without any."""
        numbers = [one.number for one in (self._running, *self._waiting) if one is not None]
        return f"generation {', '.join(map(str, numbers))}" if numbers else ""

    def _start(self, settings: CampaignValidation, generation: Generation) -> None:
        """Hand a generation, with those before it, to the process that validates."""
        if self._executor is None:
            self._executor = LocalExecutor(1, name="validation")
        self._running = generation
        known = {one.number: one for one in self._ledger.generations() if one.number in self._offered}
        wanted = [one for number, one in sorted(known.items()) if one not in self._waiting]
        models = {_name(settings, one): [str(self._run.path / model.path) for model in one.models] for one in wanted}
        self._executor.submit(
            Task(
                id=f"generation {generation.number}",
                service=SERVICE,
                service_settings={
                    "file": str(settings.file),
                    "folder": str(self._run.validation),
                    "width": settings.width,
                },
                method="validate",
                payload={"models": models, "new": _name(settings, generation)},
                folder=self._run.validation / "task",
                timeout=settings.timeout,
                retries=0,
            )
        )

    def _note(self, outcome: Outcome) -> None:
        """Write down what became of a generation, in the ledger and for the people who look."""
        generation, self._running = self._running, None
        assert generation is not None
        found = outcome.value or {"rows": 0, "failed": 0, "shares": {}}
        self._logbook.write(
            EVENT,
            generation=generation.number,
            labels=generation.n_labels,
            seconds=outcome.seconds,
            error=outcome.error or "",
            **found,
        )
        if outcome.error is not None:
            self._view.message(f"validation of generation {generation.number} failed: {outcome.error}")
            return
        failed = f", {found['failed']} of {found['rows']} rows failed" if found["failed"] else ""
        within = sum(share[0] for share in found["shares"].values())
        judged = sum(share[1] for share in found["shares"].values())
        told = f"{within} of {judged} values within tolerance" if judged else f"{found['rows']} rows"
        self._view.message(f"validation of generation {generation.number}: {told}{failed} ({outcome.seconds:.0f} s)")


def _name(settings: CampaignValidation, generation: Generation) -> str:
    return f"{settings.name} g{generation.number:03d}"
