"""How fast MD will be on this machine: a few real steps, with the models at hand or with untrained ones."""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from lammps_dpgen import registry
from lammps_dpgen.campaign.forecast import Finding, StageForecast
from lammps_dpgen.config.campaign import CampaignConfig
from lammps_dpgen.config.stage import Stage
from lammps_dpgen.errors import ConfigError, DpgenError, TrainingError
from lammps_dpgen.execution.base import Task
from lammps_dpgen.execution.devices import read_memory, room_for, take_device
from lammps_dpgen.frame import Frame, Label, LabelledFrame
from lammps_dpgen.learning.session import threads_of_this_process
from lammps_dpgen.learning.workers import local_training_executor
from lammps_dpgen.noise import divert_library_output
from lammps_dpgen.sampling.base import TrajectoryPlan
from lammps_dpgen.sampling.recording import RecordingWalker
from lammps_dpgen.sampling.variables import quoted
from lammps_dpgen.store.run_folder import RunFolder
from lammps_dpgen.training.base import Trainer, TrainingJob, TrainingResult
from lammps_dpgen.training.data import write_systems

#: Looks of fix dpgen in a timed run.
LOOKS = 4
#: No new timed run begins after so many seconds.
ENOUGH = 60.0
#: A timed run is ended by LAMMPS after so many seconds.
LONGEST = 30.0
#: Structures that an untrained model sees: the densest ones decide how many neighbours it holds.
MOST_FRAMES = 20
#: Settings that change what a trajectory visits, and not what a step costs.
_CONDITIONS = frozenset({"temperatures", "pressures", "time", "variables"})

_LOOP = re.compile(r"^Loop time of (\S+) on \d+ procs for (\d+) steps", re.MULTILINE)
#: What LAMMPS says when untrained forces drove the atoms apart, which says nothing about the campaign.
_EXPLODED = re.compile("Lost atoms|Non-numeric|out of range|Out of range")


@dataclass
class TimedWalker(RecordingWalker):
    """A walker that ends long runs, and takes the stage's own keywords of fix dpgen."""

    further: str = ""

    @property
    def fix_options(self) -> str:
        """What follows ``fix ID all dpgen``."""
        return f"{super().fix_options} {self.further}".strip()

    def run_lammps(self, script: Path, variables: Mapping[str, list[str]]) -> None:
        """Run a script in a fresh LAMMPS instance of this process."""
        timed = self.folder / "timed.lammps"
        seconds = time.strftime("%H:%M:%S", time.gmtime(LONGEST))
        timed.write_text(f"timer timeout {seconds} every 1\ninclude {quoted(script)}\n")
        super().run_lammps(timed, variables)


@dataclass
class Speed:
    """Seconds per MD step, measured for some numbers of atoms and interpolated between them."""

    measured: dict[int, float] = field(default_factory=dict)

    def seconds(self, n_atoms: int) -> float:
        """Return the seconds of one step; beyond the measured sizes in proportion to the atoms."""
        sizes = np.array(sorted(self.measured))
        values = np.array([self.measured[int(size)] for size in sizes])
        nearest = float(np.clip(n_atoms, sizes[0], sizes[-1]))
        return float(np.interp(nearest, sizes, values)) * n_atoms / nearest


@dataclass
class Timing:
    """What was measured.

    Attributes
    ----------
    models
        Which models, in words.
    speeds
        By kind of stage; see :func:`kind_of`.
    room
        GPU memory that a rank takes with all models (MiB), and how many ranks a GPU has room for; None without a GPU.
    """

    models: str
    speeds: dict[str, Speed] = field(default_factory=dict)
    room: tuple[float, int] | None = None

    def seconds(self, found: StageForecast) -> float | None:
        """Return the seconds of a round of a stage on one walker of one rank; None where nothing was measured.

        A kind that was not timed is taken to be as fast as the first one.
        """
        speed = self.speeds.get(kind_of(found.stage)) or next(iter(self.speeds.values()), None)
        if speed is None or not found.steps:
            return None
        return sum(plan.n_steps * speed.seconds(plan.start.n_atoms) for plan in found.plans)


def kind_of(stage: Stage) -> str:
    """Return what stages have in common whose steps cost the same for the same atoms."""
    settings = {key: value for key, value in stage.settings.items() if key not in _CONDITIONS}
    return json.dumps([stage.sampler, stage.every, stage.fix, settings], sort_keys=True)


def time_stages(config: CampaignConfig, stages: Sequence[StageForecast], findings: list[Finding]) -> Timing:
    """Run a few steps of each kind of stage, of its smallest and its largest start, as long as there is time.

    What LAMMPS refuses is appended to `findings`.

    Raises
    ------
    ConfigError
        There are no models, and the trainer makes none in one step.
    TrainingError
        It failed.
    """
    threads_of_this_process()
    take_device(0, config.walkers.devices)
    memory = read_memory()
    with tempfile.TemporaryDirectory(prefix="lammps-dpgen-dry-run-") as name:
        models, words = models_at_hand(config, stages, Path(name))
        timing = Timing(words)
        deadline = time.monotonic() + ENOUGH
        for found in _one_of_each_kind(stages):
            speed = Speed()
            for plan in _extremes(found.plans):
                if time.monotonic() > deadline:
                    break
                folder = Path(tempfile.mkdtemp(dir=name))
                try:
                    speed.measured[plan.start.n_atoms] = _time_plan(config, found, plan, models, folder)
                except DpgenError as error:
                    findings.append(Finding(f"stage {found.stage.name}", str(error), not _EXPLODED.search(str(error))))
                    break
            if speed.measured:
                timing.speeds[kind_of(found.stage)] = speed
        timing.room = room_for(memory, read_memory())
        return timing


def _one_of_each_kind(stages: Iterable[StageForecast]) -> list[StageForecast]:
    """Return the stage with the widest range of sizes of each kind."""
    best: dict[str, StageForecast] = {}
    for found in stages:
        if not found.plans:
            continue
        kind = kind_of(found.stage)
        if kind not in best or _range(found) > _range(best[kind]):
            best[kind] = found
    return list(best.values())


def _range(found: StageForecast) -> int:
    sizes = [plan.start.n_atoms for plan in found.plans]
    return max(sizes) - min(sizes)


def _extremes(plans: Sequence[TrajectoryPlan]) -> list[TrajectoryPlan]:
    """Return the plans with the fewest and the most atoms; one where all have the same number."""
    first = min(plans, key=lambda plan: plan.start.n_atoms)
    last = max(plans, key=lambda plan: plan.start.n_atoms)
    return [first] if first.start.n_atoms == last.start.n_atoms else [first, last]


def _time_plan(
    config: CampaignConfig, found: StageForecast, plan: TrajectoryPlan, models: Sequence[Path], folder: Path
) -> float:
    """Return the seconds per step of a short trajectory."""
    stage = found.stage
    walker = TimedWalker(
        folder=folder,
        model_files=models,
        type_map=config.type_map,
        every=stage.every,
        trust=(stage.trust.lo, stage.trust.hi),
        safe_interval=LOOKS * stage.every,
        looks_at_most=LOOKS,
        further=stage.fix,
    )
    begin = time.monotonic()
    try:
        with divert_library_output(folder / "libraries.log"):
            found.sampler.explore(replace(plan, n_steps=LOOKS * stage.every), walker)
    except DpgenError:
        raise
    except Exception as error:  # LAMMPS raises Exception itself
        raise ConfigError(f"LAMMPS refuses the first steps: {' '.join(str(error).split())}") from error
    log = folder / "log.lammps"
    loops = _LOOP.findall(log.read_text(errors="replace")) if log.is_file() else []
    steps = sum(int(number) for _, number in loops)
    return sum(float(seconds) for seconds, _ in loops) / steps if steps else (time.monotonic() - begin) / LOOKS


def models_at_hand(config: CampaignConfig, stages: Sequence[StageForecast], folder: Path) -> tuple[list[Path], str]:
    """Return the current models of the run, or the initial ones, or untrained ones; and in words, which.

    Raises
    ------
    ConfigError
        The trainer cannot make a model in one step.
    TrainingError
        It failed.
    """
    run = RunFolder(config.run_folder)
    links = [run.model_link(index, config.trainer.model_suffix) for index in range(config.models)]
    if all(link.is_file() for link in links):
        return [link.resolve() for link in links], "the current models of the run folder"
    if config.initial_models:
        return list(config.initial_models), "the initial models"
    model = untrained_model(config, [frame for found in stages for frame in found.starts], folder)
    return [model] * config.models, f"an untrained model of the same architecture, {config.models} times"


def untrained_model(config: CampaignConfig, frames: Sequence[Frame], folder: Path) -> Path:
    """Train a model for one step, on zero forces.

    Raises
    ------
    ConfigError
        The trainer has no training of one step.
    TrainingError
        It failed.
    """
    trainer: Trainer = registry.make(config.trainer.group, config.trainer.name, config.trainer.settings)
    short = type(trainer).Settings.model_validate(config.trainer.settings).one_step()
    if short is None:
        raise ConfigError(f"the trainer {config.trainer.name} makes no model in a single step")
    systems = _systems(frames, folder / "data", config.type_map)
    job = TrainingJob(0, 0, config.seed, config.type_map, (), systems)
    task = Task(
        id="untrained model",
        service=config.trainer.service,
        service_settings={"name": config.trainer.name, "settings": short.model_dump(mode="json")},
        method="train",
        payload=job.to_json(),
        folder=folder / "training",
        timeout=600.0,
        retries=0,
        keep_folder=True,
    )
    with local_training_executor(config) as executor:
        executor.submit(task)
        while not (outcomes := executor.poll()):
            time.sleep(0.05)
    if outcomes[0].value is None:
        raise TrainingError(f"a training of one step failed: {outcomes[0].error}")
    return Path(TrainingResult.from_json(outcomes[0].value).model)


def _systems(frames: Sequence[Frame], folder: Path, type_map: Sequence[str]) -> tuple[str, ...]:
    """Write the densest structures as training data whose forces are zero."""
    groups: dict[frozenset[str], list[Frame]] = {}
    for frame in sorted(frames, key=lambda frame: frame.volume / frame.n_atoms):
        groups.setdefault(frozenset(frame.species), []).append(frame)
    densest = [frame for group in groups.values() for frame in group[: max(1, MOST_FRAMES // len(groups))]]
    labelled = [
        LabelledFrame(frame, Label(0.0, np.zeros((frame.n_atoms, 3)), np.zeros((3, 3)), "none", "", 0.0))
        for frame in densest
    ]
    return tuple(str(path) for path in write_systems(labelled, folder, type_map))
