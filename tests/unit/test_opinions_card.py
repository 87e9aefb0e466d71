"""The data card's numbers equal a recount of the corpus that shares no code with the card's own."""
import json
import re
from collections import Counter, defaultdict
from pathlib import Path

from traitlab import params
from traitlab.opinions.card import BEGIN, END, current, renewed, statistics, tables

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "data/corpus"
PAGE = (ROOT / "docs/data.md").read_text(encoding="utf-8")
CARD = (CORPUS / "README.md").read_text(encoding="utf-8")
ROWS = [json.loads(line) for path in CORPUS.glob("*.jsonl") for line in path.read_text(encoding="utf-8").splitlines()]


def table_rows(heading):
    """Cells of the rows of the card's table whose first column is `heading`."""
    lines = CARD[CARD.index(BEGIN):CARD.index(END)].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    rows = []
    for line in lines[start + 2:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_the_card_is_what_the_corpus_gives_now():
    found = current(CORPUS, params.load(ROOT / "params.yaml"))
    assert renewed(CARD, found["README.md"]) == CARD and renewed(PAGE, found["docs/data.md"]) == PAGE
    assert renewed(renewed(CARD, "nothing"), found["README.md"]) == CARD


def test_the_cards_groups_equal_a_recount():
    groups = defaultdict(list)
    for r in ROWS:
        groups[r["register"], r["pole"], r["trait"]].append(r)
    table = table_rows("register")
    assert {tuple(cells[:3]) for cells in table} == set(groups)
    for *key, rows, topics, lengths, distinct, first, opening in table:
        own = groups[tuple(key)]
        texts = [re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*", r["answer"].lower()) for r in own]
        assert rows == f"{len(own):,}"
        assert topics == f"{len({r['topic'] for r in own}):,}"
        n = sorted(map(len, texts))
        middle = (n[len(n) // 2] + n[(len(n) - 1) // 2]) / 2
        assert lengths == f"{n[0]}, {middle:g}, {sum(n) / len(n):.1f}, {n[-1]}"
        assert distinct == f"{len(set().union(*texts)):,}"
        share = 100 * sum(bool(re.search(r"\b(I|me|my|mine|myself|we|us|our|ours|ourselves)\b", r["answer"]))
                          for r in own) / len(own)
        assert first == f"{share:.1f}%"
        phrase, times = re.fullmatch(r'"(.*)" ([\d.]+)%', opening).groups()
        openings = Counter(" ".join(t[:3]) for t in texts)
        assert openings[phrase] == max(openings.values()) and times == f"{100 * openings[phrase] / len(own):.1f}"


def test_the_cards_domains_facets_and_totals_equal_a_recount():
    assert f"{len(ROWS):,} rows about {len({r['topic'] for r in ROWS}):,} topics." in CARD
    for domain, n in table_rows("domain"):
        assert n == f"{len({r['topic'] for r in ROWS if r['domain'] == domain}):,}"
    assert {d for d, _ in table_rows("domain")} == {r["domain"] for r in ROWS}
    counted = Counter((r["trait"], r["facet"]) for r in ROWS)
    said = {(trait, part.rsplit(" ", 1)[0]): int(part.rsplit(" ", 1)[1].replace(",", ""))
            for trait, cell in table_rows("trait") for part in cell.split(", ")}
    assert said == dict(counted)


def test_what_the_card_claims_in_words():
    topics = {r["topic"] for r in ROWS}
    traits = {"openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism"}
    per_topic = Counter((r["topic"], r["register"]) for r in ROWS if r["pole"] == "high")
    assert all(per_topic[t, register] == len(traits) for t in topics for register in ("plain", "rich"))
    neutral = Counter(r["topic"] for r in ROWS if r["trait"] == "none")
    assert neutral and set(neutral.values()) == {2}
    assert set(neutral) == {r["topic"] for r in ROWS if r["register"] == "assistant"}
    assert 5 * len({r["topic"] for r in ROWS if r["pole"] == "low"}) == len(topics)


def test_statistics_of_nothing_make_empty_tables():
    assert "0 rows about 0 topics." in tables(statistics([]))
