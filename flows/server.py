"""Running a flow from the command line, against the Prefect server of `make ui` or PREFECT_API_URL."""
import sys
from collections.abc import Callable

import httpx
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_ALLOW_EPHEMERAL_MODE, temporary_settings

from traitlab.errors import InputError

LOCAL_API = "http://127.0.0.1:4200/api"  # of `make ui`


def served(name: str, run: Callable[[], None]) -> int:
    """Call the flow; return the exit code: 0, 1 for a run that failed, 2 for bad input or no server."""
    address = PREFECT_API_URL.value() or LOCAL_API
    with temporary_settings({PREFECT_API_URL: address, PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: False}):
        with get_client(sync_client=True) as client:
            if error := client.api_healthcheck():
                print(f"no Prefect server answers at {address} ({type(error).__name__}); start one with `make ui`"
                      + (", or run `dvc repro`, which needs none" if name == "pipeline" else ""), file=sys.stderr)
                return 2
        try:
            run()
        except InputError as e:
            print(f"{name}: {e}", file=sys.stderr)
            return 2
        except httpx.TransportError as e:
            print(f"{name}: the Prefect server has gone ({type(e).__name__}); what was run is in dvc.lock, and "
                  "`dvc status` names what is left", file=sys.stderr)
            return 1
        except RuntimeError as e:
            print(f"{name}: {e}", file=sys.stderr)
            return 1
    return 0
