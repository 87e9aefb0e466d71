"""What every entry point sets before it imports anything heavy: no telemetry, and how many threads to use."""
import ctypes
import os
import warnings

QUIET = {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}
NO_COMPILER = {"TORCHDYNAMO_DISABLE": "1"}  # nothing here is compiled, and to get ready for it takes 1.3 s


def quiet() -> None:
    """Turn off the telemetry of all libraries, for this process and those it starts, and their notes to each other."""
    os.environ.update(QUIET | NO_COMPILER)
    _keep_freed_memory()
    warnings.filterwarnings("ignore", category=FutureWarning)  # a user cannot act on them


def _keep_freed_memory() -> None:
    """Let glibc keep what large tensors leave for the next ones: to get it anew from the kernel, page by page, takes a
    twentieth of the run."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return  # another C library
    mallopt(ctypes.c_int(-3), ctypes.c_int(32 << 20))  # M_MMAP_THRESHOLD, at its greatest
    mallopt(ctypes.c_int(-1), ctypes.c_int(2**31 - 1))  # M_TRIM_THRESHOLD


def use_threads(threads: int) -> None:
    """Give torch, BLAS and OpenMP `threads` CPU threads (0: leave it to them). They read this once, at import."""
    if threads:
        os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads)))
