"""The graph of dvc.yaml, read through DVC's Python API: stages, what each waits for, and what it needs to run."""
import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A stage of dvc.yaml.

    Attributes:
        name: as `dvc repro` takes it, such as train_qlora@openness.
        after: names of the stages whose outputs it reads.
        heavy: it keeps the accelerator or the CPU cores busy (`meta: {heavy: true}`).
    """

    name: str
    after: frozenset[str]
    heavy: bool


def read_graph(folder: str = ".") -> dict[str, Stage]:
    """{name: stage}, each stage after those it waits for."""
    import networkx
    from dvc.repo import Repo

    with Repo(folder) as repo:
        graph = repo.index.graph  # an edge leads from a stage to one it depends on
        order = reversed(list(networkx.lexicographical_topological_sort(graph, key=lambda s: s.addressing)))
        return {
            stage.addressing: Stage(
                stage.addressing,
                frozenset(s.addressing for s in graph.successors(stage)),
                bool((stage.meta or {}).get("heavy")),
            )
            for stage in order
        }


def heavy_slots(threads: int) -> int:
    """How many heavy stages fit side by side: one on a GPU, or as often as `threads` (0: all) goes into the cores."""
    gpus = [name for name in os.listdir("/dev") if name.startswith("nvidia") and name[6:].isdigit()]
    cores = os.cpu_count() or 1
    return 1 if gpus else max(1, cores // (threads or cores))
