"""What a flow run leaves in Prefect's UI: the scores as a table, and where the report is."""
import json
from pathlib import Path

from prefect.artifacts import create_link_artifact, create_table_artifact

MEASURES = ("ta", "acc", "coherence", "perplexity", "emoji_probability")


def publish() -> None:
    """Publish what the graph has made by now."""
    scores, report = Path("metrics/scores.json"), Path("report/index.html")
    if scores.is_file():
        found = json.loads(scores.read_text(encoding="utf-8"))
        create_table_artifact(
            [{"method": method, "trait": trait, **{m: _shown(of.get(m)) for m in MEASURES}}
             for method, traits in found.items() for trait, of in traits.items()],
            key="scores", description="Scores of every method and trait, with 95% intervals")
    if report.is_file():
        create_link_artifact(report.absolute().as_uri(), link_text="Report", key="report",
                             description="The report, on the machine that ran the graph")


def _shown(figure: dict | None) -> str:
    if not figure or figure["value"] is None:
        return ""
    if figure["low"] is None:
        return f"{figure['value']:.3g}"
    return f"{figure['value']:.3g} [{figure['low']:.3g}, {figure['high']:.3g}]"
