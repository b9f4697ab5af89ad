"""One round of learning on rank 0: select frames, label them, train, judge, publish. Knows nothing of LAMMPS."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np

from lammps_dpgen.config.learning import LearningConfig
from lammps_dpgen.ensemble import Ensemble
from lammps_dpgen.errors import LearningError
from lammps_dpgen.execution.base import Executor
from lammps_dpgen.frame import Frame, LabelledFrame
from lammps_dpgen.learning.bootstrap import Bootstrap, initial_frames
from lammps_dpgen.learning.checks import check_part, refuse_foreign_labels
from lammps_dpgen.learning.continuation import take_over_labels
from lammps_dpgen.learning.ensembles import jump, open_ensemble
from lammps_dpgen.learning.generations import FINAL, publish_generation
from lammps_dpgen.learning.judge import Judge
from lammps_dpgen.learning.label_batches import LabelBatches
from lammps_dpgen.learning.labels import POLL_INTERVAL, LabelResult
from lammps_dpgen.learning.large_frames import LargeFrames, Look
from lammps_dpgen.learning.learned_frames import LearnedFrames
from lammps_dpgen.learning.logbook import Logbook
from lammps_dpgen.learning.models import adopt_models, link_generation
from lammps_dpgen.learning.patience import Patience
from lammps_dpgen.learning.second_look import SecondLook, TrustBounds
from lammps_dpgen.learning.selection import Selection, check_initial_frames, select
from lammps_dpgen.learning.training_rounds import GenerationTraining, good_enough, sample_of_labels
from lammps_dpgen.learning.workers import label_executor, training_executor
from lammps_dpgen.monitor.view import View
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import Generation, StoredLabel
from lammps_dpgen.store.run_folder import RunFolder


class Learner:
    """Holds the open run folder of a learning run and its worker processes; a context manager.

    Attributes
    ----------
    generation
        The current one.
    ensemble
        Its models, loaded from their own files.
    seconds
        Wall time spent, by part: "labels", "training".
    seconds_in_rounds
        The share of it that :meth:`learn` spent.
    on_model
        Called with the file of each new model, while others may still be in training and none has been accepted.
    selection
        What the last round took from the frames that it was offered; None before the first.
    meanwhile
        Called again and again while it waits for labels and trainings; may raise to end them.
    is_idle
        Whether nobody has anything to do while it waits for labels.
    """

    def __init__(self, config: LearningConfig, run: RunFolder, ledger: Ledger, logbook: Logbook, view: View) -> None:
        self.config, self.run, self.ledger, self.logbook, self.view = config, run, ledger, logbook, view
        self.seconds: dict[str, float] = {"labels": 0.0, "training": 0.0}
        self.seconds_in_rounds = 0.0
        self.on_model: Callable[[Path], None] = lambda model: None
        self.selection: Selection | None = None
        self.meanwhile: Callable[[], None] = lambda: None
        self.is_idle: Callable[[], bool] = lambda: True
        self.generation: Generation | None = None
        self.ensemble: Ensemble | None = None
        self._previous: Ensemble | None = None
        self._stack = ExitStack()
        self._learned = LearnedFrames(config.selection)
        self._labels: Executor | None = None
        self._batches: LabelBatches | None = None
        self._patience: Patience | None = None
        self._trainings: Executor | None = None
        self._counts: Counter[str] = Counter()
        self._kernel = ""

    def __enter__(self) -> Learner:
        self._labels = self._stack.enter_context(label_executor(self.config, self.run))
        self._trainings = self._stack.enter_context(training_executor(self.config, self.run))
        self._batches = LabelBatches(
            self._labels, self.ledger, self.config, self.run.labels, self._label_done, self.view.message
        )
        self._patience = Patience(self._labels, self.config.execution, lambda: self.is_idle())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def begin(self) -> None:
        """Make or find generation 0, and finish what an earlier, killed process has begun.

        Raises
        ------
        LearningError
            There are no models and nothing to make them from, or the ledger has labels of other settings.
        """
        assert self._labels is not None
        assert self._trainings is not None
        refuse_foreign_labels(self.ledger, self.config)
        newest = self.ledger.latest_generation()
        if newest is None:
            newest = self._first_generation(self._labels, self._trainings)
        else:
            self._check_parts(self._labels, self._trainings)
            link_generation(self.run, newest)
        self._adopt(newest)
        waiting = [stored.frame for stored in self.ledger.frames("selected")]
        if waiting or self._untrained():
            self.view.message(f"an earlier start left {len(waiting)} frames to label; they come first")
            self._label(waiting)
            if self._untrained():
                self._train("resume")
        self._learned.follow(self.ledger, self.config.settings_hashes, self._meanwhile)

    def learn(
        self,
        frames: Sequence[Frame],
        reason: str,
        step: int,
        audits: Sequence[Frame] = (),
        bounds: TrustBounds | None = None,
        at_hand: Frame | None = None,
    ) -> bool:
        """Label the best of the offered frames and train a generation on them.

        Parameters
        ----------
        frames
            Candidates, and failed frames that are worth a label.
        audits
            Accurate frames, drawn at random, that are labelled in any case: they show what the window misses. Those
            that older models than the newest trusted are left out, since it is the newest whose error is measured.
        bounds
            Frames that older models judged are judged again, and dropped where they are accurate by these bounds.
            None: they are taken as they are.
        at_hand
            The frame that :meth:`jump` will be asked about, where it is known already.

        Returns
        -------
        bool
            True if there is a new generation; False if none of the frames was worth a label.

        Raises
        ------
        LearningError
            The labels of several batches failed one and all, or a training could not be mended.
        """
        before = sum(self.seconds.values())
        try:
            return self._round(frames, reason, step, audits, bounds, at_hand)
        finally:
            self.seconds_in_rounds += sum(self.seconds.values()) - before

    def _round(
        self,
        frames: Sequence[Frame],
        reason: str,
        step: int,
        audits: Sequence[Frame],
        bounds: TrustBounds | None,
        at_hand: Frame | None,
    ) -> bool:
        chosen = self._select(frames, step, bounds)
        if not chosen:
            return False
        assert self.generation is not None
        if large := self._large_frames():
            audits = large.cells(audits)[0]
        aside, number = self._set_aside(audits), self.generation.number
        audited = [frame for frame in audits if frame.hash not in aside and frame.origin.generation == number]
        self.ledger.add_frames(audited)
        chosen += audited
        self._label(chosen)
        if not self._untrained():
            return False
        self._train(reason, at_hand)
        return True

    def finish(self) -> bool:
        """Train the final models on all labels, where the configuration asks for it.

        They become the current generation unless they are worse than the last ones on the labels, all of which both
        have seen; then the last ones stay, and that is said.

        Returns
        -------
        bool
            True if there are final models that are new.

        Raises
        ------
        LearningError
            A training could not be mended; everything stored stays usable.
        """
        self._label_rest()
        if self.config.final_training is None:
            return False
        assert self.ensemble is not None
        assert self.generation is not None
        if self.generation.reason == FINAL and not self._untrained():
            self.view.message("the models are the final ones already: there is no new label")
            return False
        begin = time.monotonic()
        number = self.generation.number + 1
        sample = sample_of_labels(self.ledger, self.config, number)
        self.view.phase("final training", f"generation {number} on {self.ledger.counts().labels} labels")
        with Judge(self.ensemble, sample, kernel=self.config.kernel) as judge:
            trained, models, before, after = self._trainings_of(number).final(judge)
        text = f"force RMSE on {len(sample)} labels {before:.4f} eV/Å before, {after:.4f} after"
        better = good_enough(before, after)
        if better:
            self.generation = publish_generation(self.ledger, self.run, trained)
            self._previous, self.ensemble = self.ensemble, models
            self._note_kernel()
            self.logbook.write("generation", number=number, n_labels=self.generation.n_labels)
            self.view.message(f"final models: {text}")
        else:
            self.logbook.write("training_rejected", generation=number, index=-1, cause=f"final training: {text}")
            self.view.message(f"the final training made worse models, the last ones stay: {text}")
        self.seconds["training"] += time.monotonic() - begin
        return better

    def jump(self, frame: Frame) -> tuple[float, float]:
        """How far the last training moved model 1 on a frame: energy per atom (eV), largest force change (eV/Å)."""
        return (float("nan"), float("nan")) if self.ensemble is None else jump(self._previous, self.ensemble, frame)

    def labels_left(self) -> int | None:
        """How many labels the limit leaves; None without a limit."""
        limit = self.config.limits.labels
        pending = len(self._batches.pending) if self._batches else 0
        return None if limit is None else max(0, limit - self.ledger.counts().labels - pending)

    def limit_reached(self, elapsed: float) -> str:
        """Return which limit of the configuration ends the learning now, after `elapsed` seconds; empty: none."""
        limits = self.config.limits
        if self.labels_left() == 0:
            return f"limit of {limits.labels} labels reached"
        if limits.generations is not None and self.generation and self.generation.number >= limits.generations:
            return f"limit of {limits.generations} generations reached"
        if limits.wall_time is not None and elapsed > limits.wall_time:
            return f"limit of {limits.wall_time:.0f} s wall time reached"
        return ""

    def _first_generation(self, labels: Executor, trainings: Executor) -> Generation:
        begin = time.monotonic()
        taken = take_over_labels(self.ledger, self.logbook, self.config)
        if taken:
            self.view.message(f"{taken} labels of other runs taken over")
        boot = self.config.bootstrap(has_labels=self.ledger.counts().labels > 0)
        if boot is not None:
            if not any(map(boot.is_initial, boot.structures)):
                self._check_parts(labels, trainings)  # no frame will be labelled now that would show whether it works
            self.view.phase("bootstrap", "labels and models of the initial structures and imported frames")
            check_initial_frames(initial_frames(boot), self.config.selection.max_atoms)
            first = Bootstrap(boot, self.run, self.ledger, self.logbook, self.view, sleep=self._wait)
            generation = first.make(labels, trainings)
        elif self.config.initial_models:
            self._check_parts(labels, trainings)
            generation = adopt_models(self.ledger, self.run, self.config.initial_models, self.config.type_map)
        else:
            raise LearningError(
                f"{self.run.path} has no models; give structures (generation 0 is made from them) or initial_models in "
                "the configuration, or run 'lammps-dpgen bootstrap' or 'lammps-dpgen import' first"
            )
        self.seconds["training"] += time.monotonic() - begin
        return generation

    def _check_parts(self, labels: Executor, trainings: Executor) -> None:
        species, type_map = sorted(self.config.type_map), self.config.type_map
        for labeler in self.config.labelers:
            check_part(labels, labeler, species, self.run.labels, sleep=self._wait_for_labels)
        check_part(trainings, self.config.trainer, type_map, self.run.training, sleep=self._wait)

    def _adopt(self, generation: Generation) -> None:
        self.generation, self.ensemble = generation, open_ensemble(self.run, generation, self.config.kernel)
        self._note_kernel()

    def _note_kernel(self) -> None:
        """Say which code evaluates the models and why, when it is not the same as for the last ones."""
        assert self.ensemble is not None
        assert self.generation is not None
        kernel = "native" if self.ensemble.is_native else "deepmd"
        if self.config.kernel == "deepmd" or kernel == self._kernel:
            return
        self._kernel = kernel
        self.logbook.hold("kernel", generation=self.generation.number, kernel=kernel, text=self.ensemble.kernel)
        self.view.message(f"deviation: {self.ensemble.kernel}")

    def _untrained(self) -> list[StoredLabel]:
        return self.ledger.labels(self.config.settings_hashes, untrained=True)

    def _select(self, frames: Sequence[Frame], step: int, bounds: TrustBounds | None) -> list[Frame]:
        settings = self.config.selection
        left = self.labels_left()
        if left is not None and left < settings.batch:
            settings = settings.model_copy(update={"batch": max(1, left)})
        self._learned.follow(self.ledger, self.config.settings_hashes)
        number = self.generation.number if self.generation else 0
        rng = np.random.default_rng([self.config.seed, number, max(0, step)])
        look: Look | None = self._second_look(bounds)
        if large := self._large_frames(look):
            offer, replaced = large.cells(frames)
            frames, look = offer, large.second_look
        selection = select(
            frames,
            settings=settings,
            rng=rng,
            labelled=self._learned,
            already=self._set_aside(frames) | (self._batches.pending if self._batches else set()),
            second_look=look,
        )
        if large:
            selection.dropped.extend(replaced)
        self.selection = selection
        note = self.logbook.hold if selection.frames else self.logbook.write
        note(
            "selection",
            step,
            n_offered=selection.n_offered,
            n_duplicates=selection.n_duplicates,
            n_trusted=selection.n_trusted,
            n_too_large=selection.n_too_large,
            n_bad_box=selection.n_bad_box,
            n_too_close=selection.n_too_close,
            n_selected=selection.n_selected,
        )
        self.ledger.add_frames(selection.frames)
        return selection.frames

    def _large_frames(self, look: Look | None = None) -> LargeFrames | None:
        """Return what cuts cells out of frames that are too large, where the configuration asks for it."""
        if self.config.extract is None:
            return None
        return LargeFrames(self.config.extract, self.config.selection.max_atoms, self.ensemble, look)

    def _second_look(self, bounds: TrustBounds | None) -> SecondLook | None:
        if bounds is None or self.ensemble is None or self.generation is None:
            return None
        return SecondLook(self.ensemble, self.generation.number, bounds, meanwhile=self._meanwhile)

    def _set_aside(self, frames: Sequence[Frame]) -> set[str]:
        """Return the hashes of those frames whose label failed before."""
        states = self.ledger.frame_states(frame.hash for frame in frames)
        return {frame_hash for frame_hash, state in states.items() if state == "set_aside"}

    def _label(self, frames: Sequence[Frame]) -> None:
        """Label frames, most of them: the last ones of a large batch may come later."""
        assert self._batches is not None
        begin = time.monotonic()
        self.view.phase("labels", f"{len(frames)} frames")
        self._counts = Counter(total=len(frames))
        try:
            self._batches.label(frames, self._wait_for_labels)
        finally:
            self.seconds["labels"] += time.monotonic() - begin

    def _label_rest(self) -> None:
        """Wait for the labels of earlier batches that are still on their way."""
        if self._batches is None or not self._batches.pending:
            return
        begin = time.monotonic()
        self.view.phase("labels", f"the last {len(self._batches.pending)} frames")
        self._batches.label_rest(self._wait_for_labels)
        self.seconds["labels"] += time.monotonic() - begin

    def _label_done(self, result: LabelResult, of_batch: bool) -> None:
        frame = result.frame
        self.logbook.write("label", frame.origin.step, frame=frame.hash, seconds=result.seconds, error=result.error)
        if of_batch:
            self._counts["failed" if result.label is None else "done"] += 1
            self.view.labels(self._counts["done"], self._counts["total"], self._counts["failed"])

    def _train(self, reason: str, at_hand: Frame | None = None) -> None:
        """Train the next generation on everything, and publish it if it is better on the new labels."""
        assert self.ensemble is not None
        assert self.generation is not None
        begin = time.monotonic()
        number = self.generation.number + 1
        new = [LabelledFrame(stored.frame, stored.label) for stored in self._untrained()]
        with Judge(self.ensemble, new, at_hand, self.config.kernel) as judge:
            trained, models, before, after = self._trainings_of(number).until_better(reason, judge)
        n_labels = trained.generation.n_labels
        self.logbook.hold(
            "generation", number=number, force_rmse_before=before, force_rmse_after=after, n_labels=n_labels
        )
        self.generation = publish_generation(
            self.ledger, self.run, trained, force_rmse_before=before, force_rmse_after=after
        )
        self._previous, self.ensemble = self.ensemble, models
        self._note_kernel()
        self.view.message(f"generation {number}: {n_labels} labels, new frames {before:.3f} -> {after:.3f} eV/Å")
        self.seconds["training"] += time.monotonic() - begin

    def _trainings_of(self, number: int) -> GenerationTraining:
        assert self._trainings is not None
        return GenerationTraining(
            self.config,
            self.run,
            self.ledger,
            self.logbook,
            self.view,
            self._trainings,
            number,
            on_model=lambda model: self.on_model(model),
            on_news=self._while_training,
            wait=self._wait_for_training,
        )

    def _while_training(self, judge: Judge) -> None:
        """Record how wrong the models that chose the frames are, and remember the new labels: no pause waits for it."""
        assert self.generation is not None
        self._learned.follow(self.ledger, self.config.settings_hashes)
        for item, error in judge.take_errors():
            self.ledger.record_model_error(
                item.frame.hash, item.label.settings_hash, generation=self.generation.number, **vars(error)
            )

    def _wait(self) -> None:
        self._meanwhile()
        time.sleep(POLL_INTERVAL)

    def _wait_for_labels(self) -> None:
        self._wait()
        if self._patience is not None:
            self._patience.look()

    def _meanwhile(self) -> None:
        self.view.tick()
        self.meanwhile()

    def _wait_for_training(self) -> None:
        if self._batches is not None:
            self._batches.collect()
        self._wait()
