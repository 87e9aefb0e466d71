"""Sample answers: the same questions for every method and trait, chosen by a rule and not by eye."""
from traitlab.report.results import Results, in_order, traits_of

ID, TITLE = "samples", "Sample answers"
SHOWN = 2  # questions


def context(results: Results) -> dict | None:
    if not results.responses:
        return None
    methods = in_order(results.responses)
    common = sorted(set.intersection(*(set(f.question_id) for f in results.responses.values())))
    if not common:
        return None
    chosen = list(dict.fromkeys(common[i * len(common) // SHOWN] for i in range(SHOWN)))
    return {"questions": [_question(results, methods, question_id) for question_id in chosen]}


def _question(results, methods, question_id) -> dict:
    """The answers to one question: those that do not depend on the trait first, the others trait by trait."""
    same, by_trait, question, topic = [], {}, None, None
    for method in methods:
        rows = results.responses[method]
        rows = rows[rows.question_id == question_id].drop_duplicates("target_personality")
        rows = rows.set_index("target_personality")
        question, topic = rows.question.iloc[0], rows.edit_topic.iloc[0]
        answers = {t: {"method": method, "text": rows.response[t].strip(), "finished": bool(rows.finished[t])}
                   for t in traits_of(rows.index)}
        if len({answer["text"] for answer in answers.values()}) == 1:
            same.append(next(iter(answers.values())))
        else:
            for trait, answer in answers.items():
                by_trait.setdefault(trait, []).append(answer)
    return {"question": question, "topic": topic, "same": same,
            "by_trait": {t: by_trait[t] for t in traits_of(by_trait)}}
