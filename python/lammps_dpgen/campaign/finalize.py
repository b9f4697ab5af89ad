"""The last act of a campaign: one folder to hand on, with models, data, settings, report, errors and references."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from lammps_dpgen import __version__
from lammps_dpgen.campaign.held_out import HeldOut, held_out_errors, read_held_out
from lammps_dpgen.campaign.references import articles, bibliography, citation_page
from lammps_dpgen.config.campaign import CampaignConfig
from lammps_dpgen.config.normal_form import normal_form
from lammps_dpgen.errors import StoreError
from lammps_dpgen.learning.data_folder import write_data_folder
from lammps_dpgen.learning.generations import FINAL
from lammps_dpgen.native.cache import copy_beside
from lammps_dpgen.report import build
from lammps_dpgen.report.summary import read_summary
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import Generation, StoredLabel
from lammps_dpgen.store.run_folder import RunFolder, sha256, write_whole
from lammps_dpgen.strict_json import plain

#: Counts the forms of the folder, so that one of an older form is made anew.
FORM = 1
#: Beginning of the names of folders that are not whole, or on their way out.
_UNFINISHED = ".final."


@dataclass(frozen=True)
class _Result:
    """What a campaign has come to."""

    config: CampaignConfig
    run: RunFolder
    generation: Generation
    labels: list[StoredLabel]

    @property
    def compressed(self) -> bool:
        """Whether the trainer compressed the models."""
        return all(model.seconds.get("compress", 0.0) > 0.0 for model in self.generation.models)

    @property
    def codes(self) -> dict[str, int]:
        """How many labels each program computed."""
        return dict(sorted(Counter(one.label.code for one in self.labels).items()))


def finalize(config: CampaignConfig, run: RunFolder) -> Path:
    """Write the report of a campaign whose stages are over, and make ``final/`` of it, whole or not at all.

    A folder that was made of the same models, labels, configuration and held-out frames stays as it is; it only gets
    the report as it is now. Another one is replaced.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ConfigError
        The held-out frames cannot be used.
    StoreError
        Another job works in the run folder, a model is not the one that the ledger knows, or the disk refuses.
    """
    held_out = read_held_out(config)
    with run.lock(), Ledger.open(run.ledger, config_hash=None) as ledger:
        _clear_unfinished(run)
        result = _read(config, run, ledger)
        made_of = _fingerprint(result, held_out)
        if _made_of(run.final) == made_of:
            build(run.path)
            for file in (run.report, run.summary):
                write_whole(run.final / file.name, file.read_text(encoding="utf-8"))
            return run.final
        errors = None if held_out is None else held_out_errors(run, ledger, held_out)
        build(run.path)  # after the held-out frames, which it draws
        _make(result, made_of, errors)
    return run.final


def _read(config: CampaignConfig, run: RunFolder, ledger: Ledger) -> _Result:
    generation = ledger.latest_generation()
    if generation is None:
        raise StoreError(f"{run.path} has no models that could be handed on; run the campaign first")
    return _Result(config, run, generation, ledger.labels(config.settings_hashes))


def _fingerprint(result: _Result, held_out: HeldOut | None) -> str:
    """SHA-256 of all that the folder is made of, but the report."""
    content = {
        "form": FORM,
        "version": __version__,
        "config": normal_form(result.config),
        "config_hash": result.config.config_hash(),
        "models": [model.sha256 for model in result.generation.models],
        "labels": [one.number for one in result.labels],
        "held_out": None if held_out is None else held_out.hash(),
    }
    return hashlib.sha256(json.dumps(plain(content), sort_keys=True).encode()).hexdigest()


def _made_of(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / "settings.json").read_text(encoding="utf-8"))["made_of"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _clear_unfinished(run: RunFolder) -> None:
    """Remove what a killed process left; the lock is held."""
    for path in run.path.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(path, ignore_errors=True)


def _make(result: _Result, made_of: str, errors: dict[str, Any] | None) -> None:
    """Make the folder beside its place, and put it there."""
    run = result.run
    try:
        fresh = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=run.path))
        fresh.chmod(0o755)
        try:
            _fill(fresh, result, made_of, errors)
            _put(fresh, run.final)
        finally:
            _clear_unfinished(run)
    except OSError as error:
        raise StoreError(
            f"{run.final} cannot be made: {error}; see to the disk and run the same command again: nothing else is "
            "repeated"
        ) from error


def _put(fresh: Path, place: Path) -> None:
    """Let a whole folder take the place of the one that may be there."""
    for path in fresh.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    if place.exists():
        os.rename(place, fresh.with_name(f"{fresh.name}.old"))
    os.rename(fresh, place)


def _fill(folder: Path, result: _Result, made_of: str, held_out: dict[str, Any] | None) -> None:
    config, run = result.config, result.run
    models = _copy_models(folder / "models", result)
    if result.labels:
        mixed = None if config.mixed_labels else ()
        write_data_folder(folder / "data", result.labels, config.type_map, run=run.path.name, mixed=mixed)
    for file in (run.report, run.summary):
        shutil.copyfile(file, folder / file.name)
    summary = read_summary(run.path)
    errors = _errors(summary, held_out)
    settings = _settings(result, models, made_of)
    _write_json(folder / "campaign.json", normal_form(config))
    _write_json(folder / "settings.json", settings)
    _write_json(folder / "errors.json", errors)
    generators = [source.generator for source in config.structures]
    cited = articles(config.labeler.name, generators, compressed=result.compressed)
    _write(folder / "references.bib", bibliography(cited))
    _write(folder / "CITATION.md", citation_page(cited, config.labeler.name, result.codes))
    window = next((stage["window"] for stage in reversed(summary.get("stages", [])) if stage["window"]), None)
    _write(folder / "README.md", _page(settings, errors, window or (config.trust.lo, config.trust.hi)))


def _page(settings: dict[str, Any], errors: dict[str, Any], window: Sequence[float]) -> str:
    """Return the text of README.md; `window` (eV/Å) is for its line of the fix."""
    models, test = list(settings["models"]["sha256"]), errors["held_out"]
    rows = [] if test is None else [*zip(models, test["models"], strict=True)]
    if test is not None:
        rows += [("all models", test["ensemble"]), ("all models of generation 0", test["generation_0"])]
    environment = Environment(  # no HTML, so nothing is escaped
        loader=PackageLoader("lammps_dpgen.campaign"), undefined=StrictUndefined, trim_blocks=True, autoescape=False
    )
    environment.filters["figure"] = lambda value: "–" if value is None else f"{value:.4f}"
    return environment.get_template("final.md.j2").render(
        settings=settings,
        errors=errors,
        window=window,
        elements=" ".join(settings["type_map"]),
        models=models,
        links=[f"models/{name}" for name in models],
        named_models=rows,
    )


def _copy_models(folder: Path, result: _Result) -> dict[str, str]:
    """Copy the models; return their SHA-256 by name."""
    folder.mkdir()
    hashes = {}
    for model in result.generation.models:
        target = folder / Path(model.path).name
        shutil.copyfile(result.run.path / model.path, target)
        copy_beside(result.run.path / model.path, target)
        hashes[target.name] = sha256(target)
        if hashes[target.name] != model.sha256:
            raise StoreError(
                f"{result.run.path / model.path} has SHA-256 {hashes[target.name][:12]}..., but the ledger says "
                f"{model.sha256[:12]}...: the file was changed; restore it from a backup"
            )
    _write(folder / "SHA256SUMS", "".join(f"{sha}  {name}\n" for name, sha in hashes.items()))
    return hashes


def _settings(result: _Result, models: dict[str, str], made_of: str) -> dict[str, Any]:
    config, generation = result.config, result.generation
    is_final = generation.reason == FINAL and config.final_training is not None
    last = config.for_final_training() if is_final else config
    return {
        "made_of": made_of,
        "campaign": result.run.path.name,
        "type_map": list(config.type_map),
        "seed": config.seed,
        "config_hash": config.config_hash(),
        "labeler": {"name": config.labeler.name, "settings_hash": config.labeler.settings_hash, "codes": result.codes},
        "trainer": {
            "name": config.trainer.name,
            "settings_hash": config.trainer.settings_hash,
            "settings_hash_of_these_models": last.trainer.settings_hash,
        },
        "models": {
            "sha256": models,
            "generation": generation.number,
            "reason": generation.reason,
            "labels": generation.n_labels,
            "steps": [model.steps for model in generation.models],
            "compressed": result.compressed,
        },
        "labels": len(result.labels),
        "versions": {
            "lammps-dpgen": __version__,
            "deepmd-kit": _version("deepmd-kit"),
            "lammps": _version("lammps"),
        },
    }


def _version(package: str) -> str | None:
    """Return the version of an installed package, None where it was not installed as one."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _errors(summary: dict[str, Any], held_out: dict[str, Any] | None) -> dict[str, Any]:
    """Return all errors that are known of the models, and on what they were measured."""
    stages: Sequence[dict[str, Any]] = summary.get("stages", [])
    kept = ("name", "state", "labels", "force_rmse", "accurate_share", "n_failed")
    return {
        "units": {
            "force_rmse": "eV/Å, over components",
            "energy_rmse_per_atom": "eV",
            "virial_rmse_per_atom": "eV, over the nine components",
            "max_devi_f": "eV/Å",
        },
        "held_out": held_out,
        "before_training": {
            "meaning": "errors on labels of the models that chose the frames, before any training on them",
            "stages": [{key: stage[key] for key in kept} for stage in stages],
        },
        "audit": {
            "meaning": "accurate frames drawn at random whose largest force error was above hi of the trust window; "
            "low and high: 95 % interval of their rate (Clopper and Pearson, doi:10.1093/biomet/26.4.404)",
            "all": summary.get("audit"),
            "stages": {stage["name"]: stage["audit"] for stage in stages if stage["audit"] is not None},
        },
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    _write(path, json.dumps(plain(content), indent=2, ensure_ascii=False) + "\n")


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
