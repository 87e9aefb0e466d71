"""The graph of dvc.yaml, read through DVC's Python API: stages, what each waits for, and what it needs to run."""
import os
import socket
from collections import Counter
from dataclasses import dataclass

from traitlab.errors import InputError


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


def needed_by(targets: list[str], stages: dict[str, Stage]) -> dict[str, Stage]:
    """The stages named and all that they wait for, in the graph's order.

    Raises:
        InputError: there is no such stage.
    """
    wanted = set()
    for target in targets:
        named = [name for name in stages if name == target or name.split("@")[0] == target]
        if not named:
            raise InputError(f"dvc.yaml: no stage {target}; there are {', '.join(stages)}")
        wanted.update(named)
    for name in reversed(stages):
        if name in wanted:
            wanted |= stages[name].after
    return {name: stage for name, stage in stages.items() if name in wanted}


def drawn(stages: dict[str, Stage]) -> str:
    """The graph as a Mermaid drawing, the stages of a matrix as one; an edge that others already imply is left out.

    `python -m flows.graph` prints it; it stands in docs/architecture.md.
    """
    import networkx

    short = lambda name: name.split("@")[0]  # noqa: E731
    count = Counter(map(short, stages))
    graph = networkx.DiGraph()
    graph.add_nodes_from(count)
    graph.add_edges_from((short(before), short(name)) for name, stage in stages.items() for before in stage.after)
    lines = [f"    {name}[\"{name}{f' ({count[name]})' if count[name] > 1 else ''}\"]" for name in count]
    lines += [f"    {a} --> {b}" for a, b in sorted(networkx.transitive_reduction(graph).edges)]
    return "\n".join(["```mermaid", "flowchart LR", *lines, "```"])


def heavy_limit() -> str:
    """The name of the server's concurrency limit for heavy stages on this machine; `make ui` sets it."""
    return f"heavy-{socket.gethostname()}"


def heavy_slots(threads: int) -> int:
    """How many heavy stages fit side by side: one on a GPU, or as often as `threads` (0: all) goes into the cores."""
    gpus = [name for name in os.listdir("/dev") if name.startswith("nvidia") and name[6:].isdigit()]
    cores = os.cpu_count() or 1
    return 1 if gpus else max(1, cores // (threads or cores))


if __name__ == "__main__":
    print(drawn(read_graph()))
