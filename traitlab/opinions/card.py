"""The statistics in the data card and in docs/data.md, counted from the corpus itself.

`python -m traitlab.opinions.card` renews them.
"""
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean, median

import pandas as pd

from traitlab.opinions.corpus import read_corpus
from traitlab.opinions.expectations import words
from traitlab.opinions.rows import Record, batches, topic_key
from traitlab.opinions.splits import SPLITS, assign_topics, distinct_topics
from traitlab.params import Params, load
from traitlab.traits import FACETS, LABELS, POLES, REGISTERS

BEGIN, END = "<!-- statistics: begin (python -m traitlab.opinions.card) -->", "<!-- statistics: end -->"
FIRST_PERSON = re.compile(r"\b(?:I|me|my|mine|myself|we|us|our|ours|ourselves)\b")


def statistics(records: Iterable[Record]) -> dict:
    """Count the rows of a corpus.

    Returns:
        rows, topics, domains (domain -> topics), groups (one per register, pole and trait: rows, topics, least, median,
        mean and most words of an answer, distinct words, share of answers in the first person, the commonest opening
        of three words and its share) and facets (trait -> facet -> rows).
    """
    records = list(records)
    groups = {}
    for register in REGISTERS:
        for pole in (*POLES, "none"):
            for trait in LABELS:
                own = [r for r in records if (r.register, r.pole, r.trait) == (register, pole, trait)]
                if own:
                    groups[register, pole, trait] = _group(own)
    facets = Counter((r.trait, r.facet) for r in records)
    return {
        "rows": len(records),
        "topics": len({r.topic for r in records}),
        "domains": {d: len({r.topic for r in records if r.domain == d}) for d in sorted({r.domain for r in records})},
        "groups": groups,
        "facets": {t: {f: facets[t, f] for f in FACETS[t]} for t in LABELS},
    }


def _group(records: list[Record]) -> dict:
    said = [words(r.answer) for r in records]
    lengths = [len(w) for w in said]
    openings = Counter(" ".join(w[:3]) for w in said)
    opening, times = min(openings.items(), key=lambda item: (-item[1], item[0]))
    return {"rows": len(records), "topics": len({r.topic for r in records}), "least": min(lengths),
            "median": median(lengths), "mean": fmean(lengths), "most": max(lengths),
            "distinct": len({w for answer in said for w in answer}),
            "first_person": fmean(bool(FIRST_PERSON.search(r.answer)) for r in records),
            "opening": opening, "opening_share": times / len(records)}


def tables(counted: dict) -> str:
    """The statistics as the Markdown that stands in the data card."""
    lines = [f"{counted['rows']:,} rows about {counted['topics']:,} topics.", "",
             "| register | pole | trait | rows | topics | words: least, median, mean, most | distinct words "
             "| first person | commonest opening |", "|---|---|---|--:|--:|---|--:|--:|---|"]
    for (register, pole, trait), g in counted["groups"].items():
        lines.append(f"| {register} | {pole} | {trait} | {g['rows']:,} | {g['topics']:,} "
                     f"| {g['least']}, {g['median']:g}, {g['mean']:.1f}, {g['most']} | {g['distinct']:,} "
                     f"| {g['first_person']:.1%} | \"{g['opening']}\" {g['opening_share']:.1%} |")
    lines += ["", "| domain | topics |", "|---|--:|"]
    lines += [f"| {domain} | {n:,} |" for domain, n in counted["domains"].items()]
    lines += ["", "| trait | rows per facet |", "|---|---|"]
    lines += [f"| {trait} | {', '.join(f'{facet} {n:,}' for facet, n in facets.items())} |"
              for trait, facets in counted["facets"].items()]
    return "\n".join(lines)


def split_table(records: Iterable[Record], test_topics: int, validation_topics: int, seed: int) -> str:
    """How the default profile divides the corpus, as Markdown: topics, and rows by register, of every split."""
    parts = [batch.to_pandas() for batch in batches(records, ("paper",))]
    frame = pd.concat(parts, ignore_index=True)
    chosen = assign_topics(distinct_topics(parts), test_topics, validation_topics, seed)
    lines = [f"| split | topics | rows | {' | '.join(REGISTERS)} |", "|---|" + "--:|" * (2 + len(REGISTERS))]
    for split in SPLITS:
        rows = frame[frame["edit_topic"].map(lambda topic: chosen[topic_key(topic)]) == split]
        per_register = rows["register"].value_counts()
        lines.append(f"| {split} | {rows['edit_topic'].nunique():,} | {len(rows):,} | "
                     + " | ".join(f"{per_register.get(register, 0):,}" for register in REGISTERS) + " |")
    return "\n".join(lines)


def renewed(text: str, tables: str) -> str:
    """A text with what stands between its two marks replaced."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{tables}\n{END}{rest.split(END)[1]}"


def current(folder: str | Path, params: Params) -> dict[str, str]:
    """What stands between the marks of either page: {"README.md": ..., "docs/data.md": ...}."""
    records = list(read_corpus(folder))
    p = params.split
    return {"README.md": tables(statistics(records)),
            "docs/data.md": split_table(records, p.test_topics, p.validation_topics, params.seed)}


def main(folder: str = "data/corpus") -> None:
    found = current(folder, load("params.yaml"))
    for path, text in ((Path(folder) / "README.md", found["README.md"]), (Path("docs/data.md"), found["docs/data.md"])):
        path.write_text(renewed(path.read_text(encoding="utf-8"), text), encoding="utf-8")


if __name__ == "__main__":
    main()
