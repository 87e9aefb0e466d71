"""Let a language model write rows: data/teacher/rows.jsonl, which dataset.source teacher reads.

It is no stage of the graph. What a model wrote cannot be made again: it is a source, like the corpus, and DVC watches
it as one (through dataset.path). And the classifier that screens it is trained further down the graph.
"""
import os
import sys
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from traitlab.errors import InputError
from traitlab.opinions.corpus import numbered_lines, read_corpus
from traitlab.opinions.rows import UNSPECIFIED, topic_key
from traitlab.opinions.teacher.collect import Progress, collect
from traitlab.opinions.teacher.prompts import Examples, wanted
from traitlab.opinions.teacher.screen import Screen
from traitlab.params import Params


def run(params: Params) -> None:
    p = params.teacher
    known = list(read_corpus(p.examples))
    plan = wanted(_topics(params, known), p.registers, p.poles, p.facets)
    with Progress(p.path) as progress:
        there = [row["answer"] for row in progress.accepted.rows()]
        screen = Screen([*(r.answer for r in known), *there], p.near_duplicate, _classifier(params))
        others = len(progress.done - {row.key for row in plan})  # of other plans
        with tqdm(desc="teacher", total=len(plan), initial=len(progress.done) - others, unit="row",
                  mininterval=1) as bar:

            def show() -> None:
                bar.set_postfix_str(_figures(progress, params), refresh=False)
                bar.update(len(progress.done) - others - bar.n)

            collect(plan, progress, _teacher(params), screen, Examples(known), p.shots, p.attempts, show)
    missing = sum(row.key not in progress.done for row in plan)
    given_up = f", given up after {p.attempts} attempts (teacher.attempts)" if missing else ""
    print(f"teacher: {progress.account}; {_figures(progress, params)}; "
          f"{missing} of the plan's {len(plan)} rows missing{given_up}", file=sys.stderr)


def _figures(progress: Progress, params: Params) -> str:
    spent = progress.spent
    cost = spent.cost(params.teacher.prompt_price, params.teacher.answer_price)
    return (f"{progress.account.dropped.total()} refused, {spent.prompt_tokens:,} tokens read, "
            f"{spent.answer_tokens:,} written, cost {cost:.2f}")


def _topics(params: Params, known) -> list[tuple[str, str]]:
    """(topic, domain): of the given file, or of the corpus, spread over its domains."""
    p = params.teacher
    if p.topics is None:
        found = {topic_key(r.topic): (r.topic, r.domain) for r in known}
        by_domain: dict[str, list] = {}
        for topic in found.values():
            by_domain.setdefault(topic[1], []).append(topic)
        longest = max(map(len, by_domain.values()))
        topics = [group[i] for i in range(longest) for group in by_domain.values() if i < len(group)]
    else:
        if not Path(p.topics).is_file():
            raise InputError(f"{p.topics}: no such file; set teacher.topics in params.yaml to one, or to null")
        lines = [line.strip().rpartition("\t") for _, line in numbered_lines(Path(p.topics)) if line.strip()]
        topics = list({topic_key(topic): (topic.strip(), domain.strip() or UNSPECIFIED)
                       for domain, _, topic in lines}.values())
    return list(islice(topics, p.most_topics or None))


def _classifier(params: Params):
    """What the trained trait classifier sees in an answer; None where there is none."""
    folder = params.teacher.classifier
    if folder is None or not Path(folder).is_dir():
        return None
    from traitlab.metric_models.classifier import TraitClassifier
    from traitlab.traits import LABELS

    classifier = TraitClassifier.load(folder)
    return lambda answer: LABELS[classifier.probabilities([answer])[0].argmax()]


def _teacher(params: Params):
    p = params.teacher
    if p.backend == "local":
        from traitlab.language_model.generation import Sampling
        from traitlab.opinions.teacher.local import Local

        return Local(p.model, params.compute, Sampling(p.temperature, p.top_p, p.max_new_tokens), p.concurrency)
    from traitlab.endpoint import Endpoint

    return Endpoint("teacher", p.base_url, p.model, os.environ.get(p.key_variable) or "none", temperature=p.temperature,
                    top_p=p.top_p, max_new_tokens=p.max_new_tokens, concurrency=p.concurrency, timeout=p.timeout,
                    retries=p.retries)
