"""A real Slurm of two nodes on this machine's loopback interface, for tests: needs root, slurm-wlm and munge.

Everything of it is in one folder: keys, state, logs. Each daemon is ended by its own process id.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

TEMPLATE = Path(__file__).parent / "slurm.conf.template"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")
NODES = ("n1", "n2")
#: Seconds for the cluster to come up, or for what it is asked to do.
PATIENCE = 60.0
#: Seconds that a test waits for something.
LIMIT = 90.0


def what_is_missing() -> str:
    """Return why there can be no cluster on this machine; empty if there can."""
    if os.geteuid() != 0:
        return "a Slurm of the tests needs root: slurmd starts jobs in the name of others"
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    return f"no {', '.join(missing)}; install them with 'apt-get install slurm-wlm munge'" if missing else ""


class SlurmCluster:
    """The daemons and the configuration of the cluster.

    Parameters
    ----------
    folder
        For all its files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("state", "run", "log", "munge", *(f"spool/{node}" for node in NODES)):
            (folder / name).mkdir(parents=True)
        (folder / "munge" / "key").write_bytes(os.urandom(128))
        (folder / "munge" / "key").chmod(0o400)
        self.conf = folder / "slurm.conf"
        ports = _free_ports(3)
        names = {
            "FOLDER": str(folder),
            "HOST": socket.gethostname(),
            "CONTROL": ports[0],
            "N1": ports[1],
            "N2": ports[2],
        }
        text = TEMPLATE.read_text()
        for name, value in names.items():
            text = text.replace(f"@{name}@", str(value))
        self.conf.write_text(text)

    @property
    def env(self) -> dict[str, str]:
        """What a program needs to speak to this cluster."""
        return {"SLURM_CONF": str(self.conf)}

    def start(self) -> None:
        """Start the daemons and wait until both nodes take jobs."""
        munge = self.folder / "munge"
        self._daemon(
            "munged", "munged", "--foreground", "--force", f"--socket={munge / 'socket'}",
            f"--key-file={munge / 'key'}",
            f"--pid-file={munge / 'pid'}", f"--log-file={munge / 'log'}", f"--seed-file={munge / 'seed'}",
        )  # fmt: skip
        self._until(lambda: (munge / "socket").exists(), "munged")
        self._daemon("slurmctld", "slurmctld", "-D")
        for node in NODES:
            self.revive(node)
        self._until(lambda: self.ask("sinfo", "-h", "-o", "%T %D").split() == ["idle", "2"], "two idle nodes")

    def stop(self) -> None:
        """End all daemons and every job that is left."""
        for name in (*NODES, "slurmctld", "munged"):
            self._end(name, signal.SIGKILL if name in NODES else signal.SIGTERM)

    def ask(self, *command: str) -> str:
        """Return what a program of Slurm's says."""
        env = {**os.environ, **self.env}
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False).stdout

    def jobs(self) -> dict[str, str]:
        """Return the jobs that are queued or running, and their state."""
        marked = self.ask("squeue", "-o", "%i %T").splitlines()  # with a heading, which tells no job from no answer
        while not marked:
            time.sleep(1.0)
            marked = self.ask("squeue", "-o", "%i %T").splitlines()
        rows = (line.split() for line in marked[1:])
        return {row[0]: row[1] for row in rows}

    def node_of(self, job: str) -> str:
        """Return the node on which a job runs."""
        return self.ask("squeue", "-h", "-j", job, "-o", "%N").strip()

    def states(self) -> list[str]:
        """Return in which state every job has ended."""
        path = self.folder / "log" / "jobcomp"
        words = path.read_text().split() if path.exists() else []
        return [word.partition("=")[2] for word in words if word.startswith("JobState=")]

    @contextmanager
    def down(self) -> Iterator[None]:
        """Be without the daemon that takes jobs inside; it remembers those that it has."""
        self._end("slurmctld", signal.SIGTERM)
        try:
            yield
        finally:
            self._daemon("slurmctld", "slurmctld", "-D")
            self._until(lambda: self.ask("sinfo", "-h", "-o", "%D").strip() == "2", "slurmctld")

    def kill(self, node: str) -> None:
        """Let a node die: its daemon and all that runs on it, at once."""
        self._end(node, signal.SIGKILL)

    def revive(self, node: str) -> None:
        """Start the daemon of a node."""
        self._daemon(node, "slurmd", "-D", "-N", node)

    def _daemon(self, name: str, *command: str) -> None:
        env = {**os.environ, **self.env, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
        with (self.folder / "log" / f"{name}.out").open("ab") as out:
            self._daemons[name] = subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=self.folder,
                start_new_session=True,
            )

    def _end(self, name: str, number: signal.Signals) -> None:
        daemon = self._daemons.pop(name, None)
        if daemon is None:
            return
        victims = self._processes_on(name) if name in NODES else []
        daemon.send_signal(number)
        for victim in victims:
            with suppress(psutil.Error):
                victim.kill()
        try:
            daemon.wait(10.0)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def _processes_on(self, node: str) -> list[psutil.Process]:
        """Return what runs on a node: the programs of its jobs, and the daemons of Slurm that have started them."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                env = process.environ()
                if env.get("SLURM_CONF") == str(self.conf) and env.get("SLURMD_NODENAME") == node:
                    found.append(process)
                    found += [one for one in process.parents() if one.name().startswith("slurmstepd")]
        return found

    @staticmethod
    def _until(condition: object, what: str) -> None:
        assert callable(condition)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if condition():
                return
            time.sleep(0.1)
        raise AssertionError(f"Slurm: waited in vain for {what}")


def until(condition: Callable[[], Any], what: str, limit: float = LIMIT) -> Any:
    """Return what a condition returns as soon as that is true; fail after so many seconds."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"waited in vain for {what}")


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def environment(cluster: SlurmCluster, base: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which programs use the cluster."""
    return {**base, **cluster.env}
