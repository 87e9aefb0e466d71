"""Resuming: the state of an unfinished training run, in safetensors."""
import hashlib
import json
import shutil
from pathlib import Path

import torch


def fingerprint(*what) -> str:
    """A hash of what makes a run what it is: rows, settings, seed."""
    return hashlib.sha256(json.dumps(what, default=list).encode()).hexdigest()


class Checkpoint:
    """The state of an unfinished run in safetensors and JSON: weights, optimizer moments, random state, records."""

    def __init__(self, folder: Path, weights: dict, optimizer, fingerprint: str):
        self.folder, self.weights, self.optimizer, self.fingerprint = folder, weights, optimizer, fingerprint

    def save(self, records: list[dict]) -> None:
        from safetensors.torch import save_file

        tensors = {"random": torch.get_rng_state()}
        for name, weight in self.weights.items():
            tensors[f"weight/{name}"] = weight.data
            for key, value in self.optimizer.state[weight].items():
                tensors[f"optimizer/{key}/{name}"] = value if torch.is_tensor(value) else torch.tensor(value)
        self.folder.mkdir(parents=True, exist_ok=True)
        new = self.folder / "new"
        save_file({key: value.contiguous() for key, value in tensors.items()}, new,
                  {"records": json.dumps(records), "fingerprint": self.fingerprint})
        new.replace(self.folder / "state.safetensors")

    def restore(self) -> list[dict]:
        """Load the saved state if it is of the same run; return its records, none where nothing is to go on from."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.folder / "state.safetensors", "pt") as file:
                about = file.metadata()
                if about["fingerprint"] != self.fingerprint:
                    raise KeyError("another run")
                tensors = {key: file.get_tensor(key) for key in file.keys()}
        except (OSError, SafetensorError, KeyError):
            shutil.rmtree(self.folder, ignore_errors=True)
            return []
        torch.set_rng_state(tensors.pop("random"))
        by_name: dict[str, dict] = {name: {} for name in self.weights}
        for key, value in tensors.items():
            kind, _, rest = key.partition("/")
            if kind == "weight":
                self.weights[rest].data.copy_(value)
            else:
                field, _, name = rest.partition("/")
                by_name[name][field] = value
        for name, weight in self.weights.items():
            self.optimizer.state[weight] = {
                field: value if field == "step" else value.to(weight.device) for field, value in by_name[name].items()}
        return json.loads(about["records"])
