"""The report as one self-contained HTML page: every section says what it shows, or is left out when it was not made."""
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from traitlab.report.results import Results, method_name
from traitlab.report.sections import (
    classifier,
    comparison,
    confusion,
    cross_talk,
    data,
    emoji,
    explain,
    glance,
    quantization,
    run,
    samples,
    seeds,
    significance,
    strength,
    training,
)

SECTIONS = (glance, run, comparison, significance, seeds, confusion, cross_talk, samples, emoji, explain, strength,
            training, classifier, data, quantization)
_TEMPLATES = Path(__file__).parent / "templates"


def render(results: Results) -> str:
    """The page. The same results give the same bytes.

    Every text of the results is escaped: answers of a model are untrusted. A section is a module with ID, TITLE and
    `context(results)`, which returns what its template (templates/<ID>.html) shows, or None to leave it out.
    """
    environment = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    environment.filters["method"] = method_name
    sections = []
    for module in SECTIONS:
        context = module.context(results)
        if context is not None:
            body = environment.get_template(f"{module.ID}.html").render(context)
            sections.append({"id": module.ID, "title": module.TITLE, "body": Markup(body)})
    style = Markup((_TEMPLATES / "style.css").read_text(encoding="utf-8"))
    return environment.get_template("page.html").render(sections=sections, style=style,
                                                        model=results.params.base_model.id)
