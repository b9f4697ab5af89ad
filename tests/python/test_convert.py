"""From DP-GEN's inputs to campaigns: every key is accounted for, and what comes out is a campaign."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from ase.build import bulk
from ase.units import Rydberg

from lammps_dpgen.cli.convert import campaign_problems
from lammps_dpgen.cli.main import main
from lammps_dpgen.config.campaign import CampaignConfig
from lammps_dpgen.convert.account import Fate
from lammps_dpgen.convert.campaign import Conversion, convert
from lammps_dpgen.convert.labels import simple_command
from lammps_dpgen.convert.template import adapted, template_settings
from lammps_dpgen.errors import ConfigError
from lammps_dpgen.frame import Frame
from lammps_dpgen.labeling.cell import grouped_cell
from lammps_dpgen.labeling.espresso_inputs import namelists, write_input
from lammps_dpgen.labeling.espresso_settings import EspressoSettings
from lammps_dpgen.training.deepmd_input import check_input, users_input

FOLDER = Path(__file__).resolve().parents[1] / "data" / "dpgen_inputs"
INPUTS = ("al", "mg", "ch4", "water", "swap")
MACHINES = ("machine", "machine_flat")


def content(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return data


def converted(name: str, machine: str | None = "machine", **changes: Any) -> Conversion:
    return convert({**content(name), **changes}, content(machine) if machine else None, FOLDER)


def keys_of(data: dict[str, Any], place: str, inner: tuple[str, ...]) -> Iterator[str]:
    """Yield all keys that have to be accounted for; sections named in `inner` by their own keys."""
    for key, value in data.items():
        if key.startswith("_"):
            continue
        if key not in inner:
            yield f"{place}{key}"
            continue
        for one in value if isinstance(value, list) else [value]:
            yield from keys_of(one, f"{place}{key}{'[]' * isinstance(value, list)}.", ("machine", "resources"))


class TestAccount:
    @pytest.mark.parametrize("machine", MACHINES)
    @pytest.mark.parametrize("name", INPUTS)
    def test_every_key_is_accounted_for(self, name: str, machine: str) -> None:
        accounted = {entry.key for entry in converted(name, machine).account.entries}
        asked = {*keys_of(content(name), "", ("model_devi_jobs",))}
        asked |= {*keys_of(content(machine), "machine: ", ("train", "model_devi", "fp"))}
        assert asked - accounted == set()

    def test_what_is_not_carried_has_a_reason(self) -> None:
        for name in INPUTS:
            for entry in converted(name).account.of(Fate.LEFT):
                assert entry.remark, entry.key

    def test_an_unknown_key_is_named(self) -> None:
        left = [entry.key for entry in converted("al", fp_taks_max=3).account.of(Fate.LEFT)]
        assert "fp_taks_max" in left

    def test_keys_of_one_fate_are_told_together(self) -> None:
        left = [entry.key for entry in converted("al").account.of(Fate.LEFT)]
        assert any("train[].machine.{batch_type, context_type, " in key for key in left)


class TestMachine:
    def test_jobs_that_are_submitted_here_go_on_so(self) -> None:
        data = content("machine")
        for step in ("train", "fp"):
            data[step][0]["machine"]["context_type"] = "LocalContext"
        conversion = convert(content("al"), data, FOLDER, "../machine.json")
        assert conversion.sections["execution"] == {"engine": "dpdispatcher", "machine": "../machine.json"}
        carried = [entry.key for entry in conversion.account.of(Fate.CARRIED) if entry.target == "execution.machine"]
        assert "fp[].resources" in carried[0]
        assert "model_devi" not in carried[0]

    def test_jobs_over_ssh_do_not(self) -> None:
        conversion = converted("al")
        assert "execution" not in conversion.sections
        assert any("docs/execution.md" in one for one in conversion.todo)


class TestCampaign:
    @pytest.mark.parametrize("name", INPUTS)
    def test_the_file_is_a_campaign(self, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        target = tmp_path / "campaign.yaml"
        assert main(["convert", str(FOLDER / f"{name}.json"), str(FOLDER / "machine.json"), "-o", str(target)]) == 0
        text = target.read_text()
        problems = campaign_problems(text, tmp_path)
        expected = ["labeler.settings.calculator"] if name == "water" else []
        assert [problem.split(":")[0] for problem in problems] == expected
        said = capsys.readouterr().out
        assert ("not yet valid" in said) == bool(expected)
        for secret in ("a-secret", "someone"):
            assert secret not in text + said
        for key in content(name):
            assert key.startswith("_") or key in said.replace("\n", " ") or key == "model_devi_jobs"
            assert key.startswith("_") or key in text

    @pytest.mark.parametrize("name", INPUTS)
    def test_deepmd_takes_the_training_input(self, name: str) -> None:
        conversion = converted(name)
        given = users_input(conversion.sections["trainer"]["settings"]["input"], conversion.sections["type_map"])
        given["training"]["training_data"]["systems"] = ["somewhere"]
        check_input(given)
        assert given["training"]["numb_steps"] >= 30000

    def test_stages_of_the_jobs(self) -> None:
        first, surface, second = converted("mg").sections["stages"]
        assert [stage["name"] for stage in (first, surface, second)] == ["iter-000-a", "iter-000-b", "iter-001"]
        assert first["structures"] == ["sys-000", "sys-002"]
        assert surface["structures"] == ["sys-004"]
        assert surface["trust"] == {"lo": 0.08, "hi": 0.3}
        assert (second["structures"], second["trajectories"]) == (["sys-001", "sys-003"], 4)
        assert (second["ensemble"], second["pressures"], second["temperatures"]) == ("npt-tri", [1.0], [50, 300])
        assert (second["time"], second["timestep"], second["every"]) == ("6 ps", "2 fs", 10)
        assert (second["thermostat_damping"], second["barostat_damping"]) == (0.2, 1.0)
        assert second["lammps"] == "neigh_modify delay 10\n"
        assert "pressures" not in first
        assert (first["time"], first["thermostat_damping"]) == ("2 ps", 0.1)

    def test_levels_of_a_job_and_further_quantities(self) -> None:
        first, second = converted("ch4").sections["stages"]
        assert first["trust"] == {"lo": 0.05, "hi": 0.15}
        assert second["trust"] == {"lo": 0.03, "hi": 0.13}
        assert first["fix"] == "relative 1.0 vtrust 0.02 0.1"
        assert (first["time"], first["timestep"]) == ("0.3 ps", "1 fs")

    def test_a_repeated_job_is_one_stage(self) -> None:
        assert [stage["name"] for stage in converted("al").sections["stages"]] == ["iter-000", "iter-001"]

    def test_deuterium_has_its_mass(self) -> None:
        assert converted("water").sections["stages"][0]["lammps"] == "mass 2 2\n"

    def test_selection_and_convergence(self) -> None:
        sections = converted("mg").sections
        box = {"max_length_ratio": 5.0, "max_aspect": 5.0}
        assert sections["selection"] == {"method": "random", "batch": 100, "box": box}
        assert sections["converged"] == {"accurate": 0.999}
        assert converted("ch4").sections["selection"]["vacuum"] == 6.0
        least = converted("ch4", fp_skip_bad_box="min_distance:0.8;wrap_ratio:0.6;tilt_ratio:1")
        assert least.sections["selection"]["min_distance"] == 0.8
        assert least.sections["selection"]["box"] == {"max_wrap": 0.6, "max_tilt": 1.0}

    def test_initial_data_are_imported(self) -> None:
        conversion = converted("al")
        assert conversion.imports == ["init/fcc/deepmd", "init/hcp/deepmd", "init/bcc/deepmd"]
        assert conversion.sections["initial_structures"] == []
        assert "initial_structures" not in converted("al", init_data_sys=[]).sections

    def test_structures_that_are_there_are_counted(self, tmp_path: Path) -> None:
        for number in range(3):
            path = tmp_path / "init" / "fcc" / "scale-1.000" / f"{number:06d}" / "POSCAR"
            path.parent.mkdir(parents=True)
            path.write_text("")
        conversion = convert(content("al"), None, tmp_path)
        assert conversion.sections["stages"][0]["trajectories"] == (3 + 1) * 4 * 3
        assert any("sys-001, sys-002, sys-003" in one for one in conversion.todo)

    def test_paths_follow_the_file(self, tmp_path: Path) -> None:
        inputs = tmp_path / "dpgen"
        shutil.copytree(FOLDER, inputs)
        target = tmp_path / "ours" / "campaign.yaml"
        target.parent.mkdir()
        assert main(["convert", str(inputs / "al.json"), "-o", str(target)]) == 0
        data = yaml.safe_load(target.read_text())
        config = CampaignConfig.model_validate(data, context={"folder": target.parent})
        assert Path(config.labeler.settings["incar_file"]).resolve() == inputs / "INCAR_metal"
        assert Path(config.structures[0].settings["files"][0]).resolve().is_relative_to(inputs / "init")
        assert "import run ../dpgen/init/fcc/deepmd " in target.read_text()


class TestTraining:
    def test_reuse(self) -> None:
        warm = converted("mg").sections["trainer"]["settings"]["warm_start"]
        assert warm == {
            "training_reuse_iter": 1,
            "training_init_model": True,
            "training_reuse_old_ratio": "auto:10",
            "training_reuse_start_lr": 1e-4,
            "training_reuse_start_pref_e": 1.0,
            "training_reuse_start_pref_f": 100.0,
            "training_reuse_numb_steps": 20000,
        }
        assert converted("al").sections["trainer"]["settings"]["warm_start"] == {"training_reuse_iter": None}
        own = converted("al", training_init_model=True).sections["trainer"]["settings"]["warm_start"]
        assert own["training_init_model"]
        assert own["training_reuse_old_ratio"] == "auto:1"

    def test_the_decay_rate_of_old_inputs(self) -> None:
        """0.002 x 0.95^(400000 / 2000): what DP-GEN's later inputs for Mg have as stop_lr."""
        rate = converted("mg").sections["trainer"]["settings"]["input"]["learning_rate"]
        assert rate == {"type": "exp", "start_lr": 0.002, "decay_steps": 2000, "stop_lr": 7.01053e-08}

    @pytest.mark.parametrize(("name", "size"), [("al", "auto"), ("mg", "auto"), ("ch4", 8)])
    def test_batch_size(self, name: str, size: Any) -> None:
        training = converted(name).sections["trainer"]["settings"]["input"]["training"]
        assert training["training_data"]["batch_size"] == size

    def test_backends(self) -> None:
        assert converted("al", train_backend="pytorch").sections["trainer"]["settings"]["backend"] == "pytorch"
        other = converted("al", train_backend="jax")
        assert "backend" not in other.sections["trainer"]["settings"]
        assert any("jax" in entry.remark for entry in other.account.of(Fate.LEFT))


class TestLabeler:
    def test_incar_of_the_generated_kind(self) -> None:
        labeler = converted("mg").sections["labeler"]
        assert labeler["threads"] == 32
        assert labeler["settings"]["command"] == "mpirun -np 32 vasp_std"
        assert (labeler["settings"]["kspacing"], labeler["settings"]["gamma_centred"]) == (0.16, False)
        tags = labeler["settings"]["incar"]
        assert (tags["ENCUT"], tags["EDIFF"], tags["ISMEAR"], tags["SIGMA"]) == (600, 1e-5, 2, 0.25)
        assert (tags["PREC"], tags["ISYM"], tags["NELMIN"], tags["ALGO"]) == ("A", 0, 4, "Fast")

    def test_incar_of_the_users_own(self) -> None:
        settings = converted("ch4").sections["labeler"]["settings"]
        assert (settings["input_set"], settings["incar"]["KSPACING"]) == ("none", 2)
        assert converted("al").sections["labeler"]["settings"]["incar_file"] == "INCAR_metal"

    def test_no_incar_at_all(self) -> None:
        conversion = converted("al", fp_incar=None)
        assert any("says no ENCUT" in one for one in conversion.todo)

    def test_potcars_by_their_titles(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "POT_H").write_text("  PAW H_h 06Feb2004\n data\n End of Dataset\n")
        (tmp_path / "data" / "POT_C").write_text("  PAW C 31May2000\n data\n End of Dataset\n")
        settings = convert(content("ch4"), None, tmp_path).sections["labeler"]["settings"]
        assert settings["potcars"] == {"H": "H_h", "C": "C"}
        assert settings["functional"] == "LDA"

    def test_one_potcar_for_all(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        both = "  PAW_PBE H 15Jun2001\n End of Dataset\n  PAW_PBE C_s 06Sep2000\n End of Dataset\n"
        (tmp_path / "data" / "POTCAR").write_text(both)
        conversion = convert({**content("ch4"), "fp_pp_files": ["POTCAR"]}, None, tmp_path)
        assert conversion.sections["labeler"]["settings"]["potcars"] == {"H": "H", "C": "C_s"}

    def test_other_codes_are_named(self) -> None:
        conversion = converted("water", "machine_flat")
        assert conversion.sections["labeler"] == {"name": "ase", "settings": {}}
        assert any("cp2k" in one for one in conversion.todo)

    @pytest.mark.parametrize(
        ("line", "command"),
        [
            ("vasp_std", "vasp_std"),
            ("ulimit -s unlimited; mpirun -np 32 vasp_std > log 2>&1", "mpirun -np 32 vasp_std"),
            ("module load vasp && srun vasp_gam | tee out", "srun vasp_gam"),
            (None, None),
        ],
    )
    def test_no_shell_is_needed(self, line: str | None, command: str | None) -> None:
        assert simple_command(line) == command


class TestEspresso:
    """DP-GEN's ``fp_style: pwscf``, with the keys of its documentation."""

    GENERATED: ClassVar = {"ecut": 44.0, "ediff": 1e-6, "kspacing": 0.3, "smearing": "mp:1", "sigma": 0.02}
    #: A variable of each kind: settings here, the labeler's own, others, and what DP-GEN ignores.
    WRITTEN: ClassVar = {
        "control": {"calculation": "scf", "tprnfor": True, "verbosity": "high", "nstep": 1},
        "system": {
            "ecutwfc": 50,
            "ecutrho": 400,
            "occupations": "smearing",
            "smearing": "m-v",
            "degauss": "1.0d-2",
            "starting_magnetization(1)": 0.1,
            "vdw_corr": "dft-d3",
        },
        "electrons": {"conv_thr": 1e-8, "electron_maxstep": 200, "mixing_beta": 0.4},
        "ions": {"ion_dynamics": "bfgs"},
        "kspacing": 0.5,
    }

    def conversion(
        self, folder: Path, command: str = "mpirun -n 4 pw.x -in input > output", **given: Any
    ) -> Conversion:
        machine = content("machine")
        machine["fp"][0]["command"] = command
        data = {**content("al"), "fp_style": "pwscf", "fp_incar": None, "fp_pp_path": "pp", "fp_pp_files": ["Al.UPF"]}
        (folder / "pp").mkdir(exist_ok=True)
        (folder / "pp" / "Al.UPF").write_text('<PP_HEADER element="Al" functional="SLA PW PSX PSC" z_valence="3" />')
        return convert({**data, **given}, machine, folder)

    def test_words_of_dpgen(self, tmp_path: Path) -> None:
        conversion = self.conversion(tmp_path, fp_params=self.GENERATED)
        labeler = conversion.sections["labeler"]
        assert (labeler["name"], labeler["threads"]) == ("espresso", 32)
        settings = EspressoSettings.model_validate(labeler["settings"], context={"folder": tmp_path})
        assert settings.command == ("mpirun", "-n", "4", "pw.x")
        energies = (settings.cutoff, settings.width, settings.energy_convergence)
        assert energies == pytest.approx((44.0 * Rydberg, 0.02 * Rydberg, 1e-6 * Rydberg))
        assert (settings.smearing, settings.kspacing, settings.gamma_centred) == ("methfessel-paxton", 0.3, False)
        assert (settings.functional, settings.pseudopotentials["Al"].file) == ("PBESOL", "Al.UPF")
        assert settings.pseudo_folder == str(tmp_path / "pp")
        assert settings.input == {"system": {"vdw_corr": "TS", "ts_vdw_econv_thr": 1e-6}}
        assert not any(one.startswith("labeler") for one in conversion.todo)

    def test_pw_x_gets_the_same_input(self, tmp_path: Path) -> None:
        """The input that the labeler writes has DP-GEN's values, in Ry, and DP-GEN's mesh: half a step aside."""
        settings = self.conversion(tmp_path, fp_params=self.GENERATED).sections["labeler"]["settings"]
        chosen = EspressoSettings.model_validate(settings, context={"folder": tmp_path})
        cell = grouped_cell(Frame.from_ase(bulk("Al", a=4.05, cubic=True)), chosen.vacuum)
        system = namelists(chosen, cell)["system"]
        assert (system["ecutwfc"], system["degauss"]) == pytest.approx((44.0, 0.02))
        (tmp_path / "out").mkdir()
        write_input(chosen, cell, tmp_path / "out")
        assert "6 6 6  1 1 1" in (tmp_path / "out" / "espresso.pwi").read_text()

    def test_the_users_own_namelists(self, tmp_path: Path) -> None:
        conversion = self.conversion(tmp_path, user_fp_params=self.WRITTEN, fp_params=self.GENERATED)
        settings = EspressoSettings.model_validate(
            conversion.sections["labeler"]["settings"], context={"folder": tmp_path}
        )
        energies = (settings.cutoff, settings.density_cutoff, settings.width, settings.energy_convergence)
        assert energies == pytest.approx(tuple(value * Rydberg for value in (50.0, 400.0, 0.01, 1e-8)))
        assert (settings.smearing, settings.max_iterations, settings.kspacing) == ("marzari-vanderbilt", 200, 0.5)
        assert settings.input == {
            "control": {"nstep": 1},
            "system": {"vdw_corr": "dft-d3"},
            "electrons": {"mixing_beta": 0.4},
        }

    def test_every_key_is_accounted_for(self, tmp_path: Path) -> None:
        entries = self.conversion(tmp_path, user_fp_params=self.WRITTEN, fp_params=self.GENERATED).account.entries
        inner = ("control", "system", "electrons", "ions")
        asked = {key for key in keys_of({"user_fp_params": self.WRITTEN}, "", ("user_fp_params",))} - {
            f"user_fp_params.{section}" for section in inner[:3]
        }
        asked |= {f"user_fp_params.{section}.{key}" for section in inner[:3] for key in self.WRITTEN[section]}
        asked |= {"fp_params", "fp_pp_path", "fp_pp_files", "fp_style"}
        assert asked - {entry.key for entry in entries} == set()
        left = {entry.key: entry.remark for entry in entries if entry.fate is Fate.LEFT}
        assert left["user_fp_params.control.calculation"] == "a label is one single point"
        assert "magmoms" in left["user_fp_params.system.starting_magnetization(1)"]
        assert "ions" in next(key for key in left if "ions" in key)

    def test_without_smearing(self, tmp_path: Path) -> None:
        for given in ({"fp_params": {"ecut": 40, "ediff": 1e-6, "kspacing": 0.5}}, {"user_fp_params": {"kspacing": 1}}):
            assert self.conversion(tmp_path, **given).sections["labeler"]["settings"]["width"] == 0.0

    def test_what_is_missing_is_told(self, tmp_path: Path) -> None:
        conversion = self.conversion(tmp_path, fp_params={}, fp_pp_files=["Al.upf", "Mg.upf"])
        told = " ".join(conversion.todo)
        for words in ("no ecut", "kspacing: the input says none", "pp/Al.upf is not here", "2 files for Al;"):
            assert words in told

    def test_the_file_is_a_campaign(self, tmp_path: Path) -> None:
        """Also where it lies in another folder than the input."""
        param = {**content("al"), "fp_style": "pwscf", "fp_incar": None, "fp_params": self.GENERATED}
        (tmp_path / "param.json").write_text(json.dumps({**param, "fp_pp_path": "pp", "fp_pp_files": ["Al.UPF"]}))
        (tmp_path / "ours").mkdir()
        target = tmp_path / "ours" / "campaign.yaml"
        assert main(["convert", str(tmp_path / "param.json"), "-o", str(target)]) == 0
        assert campaign_problems(target.read_text(), target.parent) == []
        settings = yaml.safe_load(target.read_text())["labeler"]["settings"]
        assert settings["pseudo_folder"] == "../pp"


class TestTemplate:
    def test_script_and_settings(self) -> None:
        conversion = converted("swap")
        stage = conversion.sections["stages"][0]
        assert (stage["sampler"], stage["file"]) == ("template", "swap.iter-000.lammps")
        assert (stage["temperatures"], stage["pressures"], stage["trajectories"]) == ([300, 600], [0, 100], 4)
        assert stage["variables"] == {"rev_MD_NSTEPS": 1000}
        script = conversion.scripts["swap.iter-000.lammps"]
        assert "V_" not in script
        assert "equal ${rev_MD_NSTEPS}" in script

    def test_keys_that_begin_alike(self) -> None:
        settings, variables = template_settings({"V_T": [1.0, 2.0], "V_TEMP": [300], "V_FILE": ["a.txt"]})
        assert settings["conditions"] == {"t": [1.0, 2.0]}
        assert settings["variables"] == {"rev_FILE": "a.txt"}
        line = adapted("fix 1 all nvt temp V_TEMP V_T V_FILE\n", variables)
        assert line == "fix 1 all nvt temp ${dpgen_temperature} ${dpgen_t} ${rev_FILE}\n"

    def test_a_template_that_is_not_here(self, tmp_path: Path) -> None:
        conversion = convert(content("swap"), None, tmp_path)
        assert conversion.sections["stages"][0]["file"] == "template/swap.lammps"
        assert any("template/swap.lammps is not here" in one for one in conversion.todo)


class TestBadInput:
    def test_nothing_is_overwritten(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        target = tmp_path / "campaign.yaml"
        target.write_text("mine")
        assert main(["convert", str(FOLDER / "al.json"), "-o", str(target)]) == 2
        assert target.read_text() == "mine"
        assert "is there already" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"model_devi_engine": "gromacs"}, "explores with LAMMPS"),
            ({"fp_style": 3}, "fp_style is 3"),
            ({"model_devi_jobs": [{"sys_idx": [9]}]}, "names system 9, but sys_configs has 4"),
            ({"model_devi_jobs": [{"sys_idx": [0], "ensemble": "nvt", "nsteps": 9}]}, "neither temps nor a template"),
            ({"model_devi_jobs": [{"sys_idx": [0], "ens": "npx", "nsteps": 9, "Ts": [1]}]}, "ensemble 'npx'"),
            ({"model_devi_f_trust_lo": [0.1]}, "none for system 2"),
            ({"fp_skip_bad_box": "length:3"}, "criterion 'length'"),
        ],
    )
    def test_what_dpgen_would_not_take(self, changes: dict[str, Any], words: str) -> None:
        with pytest.raises(ConfigError, match=words):
            converted("al", **changes)

    def test_what_is_missing(self) -> None:
        with pytest.raises(ConfigError, match="lacks type_map"):
            convert({"stages": []}, None, FOLDER)

    @pytest.mark.parametrize(("text", "words"), [("{", "cannot be read"), ("[]", "no keys")])
    def test_files(self, text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "param.json").write_text(text)
        assert main(["convert", str(tmp_path / "param.json"), "-o", str(tmp_path / "out.yaml")]) == 2
        assert words in capsys.readouterr().err
        assert not (tmp_path / "out.yaml").exists()


class TestKeysOfDpgen:
    """DP-GEN's own list of its keys, see make_keys.py: none of them is news to the converter."""

    KEYS = json.loads((FOLDER / "keys.json").read_text())

    def unknown(self, conversion: Conversion) -> list[str]:
        return [
            entry.key
            for entry in conversion.account.entries
            if "in DP-GEN 0.14" in entry.remark or "of DP-GEN 0.14" in entry.remark
        ]

    @pytest.mark.parametrize("style", KEYS["codes"])
    def test_keys_of_the_input(self, style: str) -> None:
        names = [*self.KEYS["run"], *self.KEYS["codes"][style]]
        absent = {name: None for name in names if name not in content("al")}
        assert self.unknown(converted("al", **{**absent, "fp_style": style})) == []

    @pytest.mark.parametrize("template", [True, False])
    def test_keys_of_a_job(self, template: bool) -> None:
        job = content("swap" if template else "al")["model_devi_jobs"][0]
        others = {name: None for name in self.KEYS["job"] if name not in job and name != "template"}
        assert self.unknown(converted("al", model_devi_jobs=[{**others, **job}])) == []
