"""The C functions of the LAMMPS plugin that a learning run uses (lammps_plugin/learn_api.h, learn_probe.h)."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from lammps_dpgen import _core
from lammps_dpgen.errors import LearningError
from lammps_dpgen.plugin import plugin_path

#: What the pause hook answers.
GO_ON, END_RUN, END_ALL, FAIL = 0, 1, 2, 3

_LOOK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_PAUSE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
_TEXT = 8192


class PluginApi:
    """The plugin of one LAMMPS instance; every method is called on all ranks.

    Parameters
    ----------
    lmp
        A ``lammps.lammps`` object, whose library has loaded the plugin.
    fix_id
        ID of the learning fix dpgen.
    """

    def __init__(self, lmp: Any, fix_id: str) -> None:
        # LAMMPS has loaded the same file: the dynamic linker hands out the same library.
        self._library = ctypes.CDLL(str(plugin_path()))
        self._lmp = ctypes.c_void_p(lmp.lmp.value if hasattr(lmp.lmp, "value") else lmp.lmp)
        self._fix_id = fix_id.encode()
        self._hooks: tuple[Any, ...] = ()
        self._library.dpgen_last_error.restype = ctypes.c_char_p
        self._library.dpgen_pair_energy.restype = ctypes.c_double
        self._library.dpgen_driver_difference.restype = ctypes.c_double
        self._library.dpgen_current_frame.restype = ctypes.c_void_p
        self._library.dpgen_runs_without_fix.restype = ctypes.c_longlong

    def _call(self, name: str, *arguments: Any) -> None:
        if getattr(self._library, name)(self._lmp, *arguments) != 0:
            raise LearningError(self._last_error())

    def _last_error(self) -> str:
        text: bytes = self._library.dpgen_last_error()
        return text.decode(errors="replace")

    def _text(self, name: str, *arguments: Any) -> str | None:
        """Return a text that a function writes into a buffer and whose length it returns, None if it has none."""
        buffer = ctypes.create_string_buffer(_TEXT)
        length = getattr(self._library, name)(self._lmp, *arguments, buffer, _TEXT)
        if length >= _TEXT:
            buffer = ctypes.create_string_buffer(length + 1)
            length = getattr(self._library, name)(self._lmp, *arguments, buffer, length + 1)
        return None if length < 0 else buffer.value.decode()

    def attach(self, on_look: Callable[[_core.Look], None], on_pause: Callable[[_core.Pause], int]) -> None:
        """Wrap ``run``; the callables are called on every rank, at each look and each pause, and must not raise."""
        look = _LOOK(lambda address: on_look(_core.look_at(address)))
        pause = _PAUSE(lambda address: on_pause(_core.pause_at(address)))
        self._call("dpgen_attach", ctypes.c_char_p(self._fix_id), look, pause)
        self._hooks = (look, pause)  # LAMMPS keeps their addresses

    def detach(self) -> None:
        """Give LAMMPS its own commands back; the callables are not called any more."""
        self._call("dpgen_detach")
        self._hooks = ()

    def request_pause(self) -> bool:
        """End the run under way after this step, for a pause with the reason "requested"; to be called at a look.

        Where the fix has a reason of its own at this look, that one holds.

        Returns
        -------
        bool
            False if no run command is under way that could pause, as during a minimization: ask again at a later look.

        Raises
        ------
        LearningError
            No learning run is attached.
        """
        answer = int(self._library.dpgen_request_pause(self._lmp))
        if answer < 0:
            raise LearningError(self._last_error())
        return answer == 0

    def drain(self) -> None:
        """Hand over what is left when the script is over: one pause with the reason "end", unless there is no fix.

        Raises
        ------
        LearningError
            A run is under way, or the pause failed.
        """
        self._call("dpgen_drain")

    @property
    def runs_without_fix(self) -> int:
        """Run commands that went on unwatched because the script had no such fix at that moment."""
        return int(self._library.dpgen_runs_without_fix(self._lmp))

    def has_fix(self) -> bool:
        """Tell whether the script has the fix now."""
        return bool(self._library.dpgen_has_fix(self._lmp, self._fix_id))

    def set_every(self, n: int) -> None:
        """Look every `n` steps from now on."""
        self._call("dpgen_set_every", ctypes.c_int(n))

    def set_trust(self, lo: float, hi: float) -> None:
        """Judge by another window of max_devi_f (eV/Å) from the next look on."""
        self._call("dpgen_set_trust", ctypes.c_double(lo), ctypes.c_double(hi))

    def every(self) -> int:
        """Interval of the looks, in steps."""
        return int(self._library.dpgen_every(self._lmp, self._fix_id))

    def lend_models(self, models: _core.Ensemble | None) -> None:
        """Let the learning fix share models of this rank whenever it opens files of the same content; None: no more.

        To be called after :meth:`attach`. They serve one LAMMPS instance at a time.
        """
        self._call("dpgen_lend_models", ctypes.c_void_p(None if models is None else models.address))

    def reload_models(self, at_hand: _core.Ensemble | None = None) -> None:
        """Let the fix load its models again; a rank that has loaded files of the same content shares its own models."""
        self.lend_models(at_hand)
        self._call("dpgen_reload_models")

    def model_hashes(self) -> tuple[str, ...]:
        """SHA-256 of the model files that the fix evaluates."""
        text = self._text("dpgen_model_hashes", self._fix_id)
        return () if not text else tuple(text.split(","))

    def types(self) -> tuple[str, ...]:
        """Elements of the LAMMPS types."""
        return tuple((self._text("dpgen_types", self._fix_id) or "").split())

    def pair_style(self) -> str | None:
        """Arguments of the present pair_style command if it may hold Deep Potentials, None for other styles."""
        buffer = ctypes.create_string_buffer(_TEXT)
        if self._library.dpgen_pair_style(self._lmp, buffer, _TEXT) != 0:
            return None
        return buffer.value.decode()

    def pair_commands(self) -> tuple[str, ...]:
        """Commands pair_coeff and pair_modify that the present pair style was given if it is a hybrid one."""
        return tuple((self._text("dpgen_pair_commands") or "").splitlines())

    def pair_energy(self) -> float:
        """Potential energy of the pair style at its last evaluation, in eV."""
        return float(self._library.dpgen_pair_energy(self._lmp))

    def driver_difference(self) -> float:
        """Largest difference between the pair style's forces and model 1's at the last setup, in eV/Å."""
        return float(self._library.dpgen_driver_difference(self._lmp, self._fix_id))

    def current_frame(self) -> _core.Frame | None:
        """Return the atoms as they are, on rank 0; None elsewhere."""
        address = self._library.dpgen_current_frame(self._lmp, self._fix_id)
        return _core.frame_at(address) if address else None

    def interrupt(self) -> None:
        """End the run under way after this step, and all later ones."""
        self._library.dpgen_interrupt(self._lmp)

    def set_safe_points(self, every: int, keep: int) -> None:
        """Take safe points at least `every` steps apart and hold the `keep` newest."""
        self._call("dpgen_set_safe_points", ctypes.c_int(every), ctypes.c_int(keep))

    def safe_points(self) -> list[int]:
        """Return the steps of the safe points, newest first."""
        steps = (ctypes.c_longlong * 64)()
        n = int(self._library.dpgen_safe_points(self._lmp, steps, 64))
        return [int(steps[k]) for k in range(max(0, n))]

    def rollback_refusal(self) -> str:
        """Why the newest safe point cannot be restored; empty if it can."""
        buffer = ctypes.create_string_buffer(_TEXT)
        self._call("dpgen_rollback_refusal", buffer, ctypes.c_int(_TEXT))
        return buffer.value.decode()

    def roll_back(self, k: int) -> None:
        """Return to safe point `k` (0 is the newest); the step number stays."""
        self._call("dpgen_rollback", ctypes.c_int(k))
