"""Services that tests of the executor run in worker processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from lammps_dpgen.errors import LabelError

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


class Arithmetic:
    """Made from plain keyword arguments; counts how often it was called."""

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset
        self.calls = 0

    def add(self, payload: dict[str, Any], folder: Path) -> dict[str, Any]:
        self.calls += 1
        print("adding", payload["a"], "in", folder)
        (folder / "scratch").write_text("scratch")
        return {"sum": self.offset + payload["a"], "pid": os.getpid(), "calls": self.calls}


class Configured:
    """Made from a settings model, as labelers and trainers are."""

    class Settings(BaseModel):
        factor: float

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def multiply(self, payload: dict[str, Any], folder: Path) -> dict[str, Any]:
        return {"product": self.settings.factor * payload["a"]}


class Trouble:
    """Everything that can go wrong in a task."""

    def nothing(self, payload: dict[str, Any], folder: Path) -> dict[str, Any]:
        return {}

    def fail(self, payload: dict[str, Any], folder: Path) -> dict[str, Any]:
        print("words for the log")
        raise LabelError("the reference did not converge\nin 100 iterations")

    def tell_environment(self, payload: dict[str, Any], folder: Path) -> dict[str, Any]:
        raise LabelError(f"the program said CLUSTER_TOKEN={os.environ['CLUSTER_TOKEN']}")

    def bug(self, payload: dict[str, Any], folder: Path) -> dict[str, Any]:
        raise KeyError("missing")

    def leave(self, payload: dict[str, Any], folder: Path) -> dict[str, Any]:
        sys.exit(3)

    def hard_exit(self, payload: dict[str, Any], folder: Path) -> dict[str, Any]:
        os._exit(7)

    def killed(self, payload: dict[str, Any], folder: Path) -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGKILL)
        return {}

    def crash(self, payload: dict[str, Any], folder: Path) -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGSEGV)
        return {}

    def not_plain(self, payload: dict[str, Any], folder: Path) -> dict[str, Any]:
        return {"path": folder}

    def not_a_dictionary(self, payload: dict[str, Any], folder: Path) -> Any:
        return [1.0]

    def once(self, payload: dict[str, Any], folder: Path) -> dict[str, Any]:
        """Fail until the file of the payload exists, and say what was in the folder."""
        mark = Path(payload["mark"])
        left = sorted(path.name for path in folder.iterdir())
        (folder / "rest").write_text("of the first attempt")
        if not mark.exists():
            mark.touch()
            raise LabelError("not yet")
        return {"left": left}

    def hang(self, payload: dict[str, Any], folder: Path) -> dict[str, Any]:
        """Start a program, tell who runs, and never return."""
        child = subprocess.Popen(SLEEPER)
        found = Path(payload["pids"])
        found.with_suffix(".part").write_text(f"{os.getpid()} {child.pid}")
        found.with_suffix(".part").replace(found)
        time.sleep(600)
        return {}

    def hang_or_answer(self, payload: dict[str, Any], folder: Path) -> dict[str, Any]:
        """Hang once, then answer."""
        return {} if Path(payload["pids"]).exists() else self.hang(payload, folder)

    def slow(self, payload: dict[str, Any], folder: Path) -> dict[str, Any]:
        """Tell in a file who begins, and take a while."""
        with Path(payload["log"]).open("a") as log:
            log.write(f"{payload['name']}\n")
        time.sleep(payload["seconds"])
        return {}


class Surroundings:
    """What a service finds around it."""

    def environment(self, payload: dict[str, Any], folder: Path) -> dict[str, Any]:
        child = subprocess.run(["env"], capture_output=True, text=True, check=True)
        return {"own": dict(os.environ), "child": dict(line.split("=", 1) for line in child.stdout.splitlines())}

    def process(self, payload: dict[str, Any], folder: Path) -> dict[str, Any]:
        os.chdir(folder)  # must not move the next task
        return {"session": os.getsid(0), "cwd": payload.get("cwd"), "stdin": sys.stdin.read(), "folder": str(folder)}

    def where(self, payload: dict[str, Any], folder: Path) -> dict[str, Any]:
        return {"cwd": os.getcwd()}
