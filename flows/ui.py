"""Start Prefect's server, a worker and MLflow's UI on loopback, print the addresses, and stop all on Ctrl-C: `make ui`.

The server gets the work pool, the deployments of prefect.yaml and this machine's limit of heavy stages.
"""
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from traitlab.errors import InputError

PREFECT_PORT = int(os.environ.get("PREFECT_PORT", "4200"))
MLFLOW_PORT = int(os.environ.get("MLFLOW_PORT", "5000"))
START_SECONDS = 120
POOL = "traitlab"


def main() -> int:
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, _interrupt)
    processes = []
    try:
        from tasks.record import LOCAL_STORE, open_store

        open_store()  # makes the database, so that no server is first to open it
        store = os.environ.get("MLFLOW_TRACKING_URI") or LOCAL_STORE
        processes.append(_start(
            "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(PREFECT_PORT),
            PREFECT_HOME=str(Path(".prefect").absolute()),
            PREFECT_UI_API_URL=f"http://127.0.0.1:{PREFECT_PORT}/api",
            PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT="false",
        ))
        addresses = {"Prefect": (f"http://127.0.0.1:{PREFECT_PORT}", "/api/health")}
        if store.startswith("http"):
            print(f"MLflow    {store}  (MLFLOW_TRACKING_URI)", flush=True)
        else:
            processes.append(_start(
                "mlflow", "server", "--host", "127.0.0.1", "--port", str(MLFLOW_PORT), "--workers", "1",
                "--backend-store-uri", store,
            ))
            addresses["MLflow"] = (f"http://127.0.0.1:{MLFLOW_PORT}", "/health")
        for name, (address, health) in addresses.items():
            _wait_for(name, address + health, processes)
            print(f"{name:9} {address}", flush=True)
        here = {"PREFECT_API_URL": f"http://127.0.0.1:{PREFECT_PORT}/api", "TRAITLAB_ROOT": str(Path.cwd())}
        _deploy(here)
        processes.append(_start("prefect", "worker", "start", "--pool", POOL, **here))
        print("Run the graph with `python -m flows.pipeline`, or from the form of the deployment `pipeline`; "
              "Ctrl-C stops all.", flush=True)
        while all(process.poll() is None for process in processes):
            time.sleep(0.5)
        raise InputError("a server has stopped; its messages are above")
    except InputError as e:
        print(f"ui: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    finally:
        for signal_number in (signal.SIGINT, signal.SIGTERM):  # a second Ctrl-C must not leave a server behind
            signal.signal(signal_number, signal.SIG_IGN)
        _stop(processes)


def _deploy(here: dict[str, str]) -> None:
    """Make the pool and the deployments, as often as wanted."""
    from flows.graph import heavy_limit, heavy_slots
    from traitlab.params import load

    slots = str(heavy_slots(load().compute.threads))
    known = _prefect(here, "gcl", "inspect", heavy_limit()).returncode == 0
    for command in (
        ["work-pool", "create", "--type", "process", "--overwrite", POOL],
        ["gcl", "update" if known else "create", heavy_limit(), "--limit", slots],
        ["deploy", "--all"],
    ):
        done = _prefect(here, *command)
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
            raise InputError(f"prefect {' '.join(command[:2])}: {said[-1]}")


def _prefect(here: dict[str, str], *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "prefect", "--no-prompt", *arguments], env=os.environ | here,
                          capture_output=True, text=True)


def _interrupt(*_):
    raise KeyboardInterrupt


def _start(module: str, *arguments: str, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments], env=os.environ | environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, start_new_session=True,  # a process group of its own, stopped as one
    )


def _wait_for(name: str, address: str, processes) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and all(process.poll() is None for process in processes):
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise InputError(f"{name} did not start at {address}; if the port is taken, set {name.upper()}_PORT")


def _stop(processes) -> None:
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
    for process in processes:
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
