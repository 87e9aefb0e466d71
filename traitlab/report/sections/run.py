"""What was run: model, data and the parameters that matter."""
from traitlab.report.numbers import number
from traitlab.report.results import Results, in_order, method_name

ID, TITLE = "run", "What was run"


def context(results: Results) -> dict:
    p = results.params
    q, r = p.train_qlora, p.respond
    modules = q.target_modules if isinstance(q.target_modules, str) else ", ".join(q.target_modules)
    facts = [
        ("Chat model", f"{p.base_model.id}, from a {p.base_model.source}"
         + (f", revision {p.base_model.revision}" if p.base_model.revision else "")
         + (f" (file {p.base_model.file})" if p.base_model.file else "")),
        ("Weights", "NF4, 4 bits" + (", scales quantized too" if p.quantize.double_quantization else "")),
        ("Classifier starts from", f"{p.encoder.id}, from a {p.encoder.source}"),
        ("Data", f"Opinion QA from {p.dataset.path}; registers {', '.join(p.dataset.registers)}; "
                 f"{p.split.test_topics} topics held out for testing"),
        ("QLoRA", f"rank {q.r}, alpha {q.alpha}, dropout {q.dropout:g} on {modules}; {q.epochs} "
                  f"epoch{'s' if q.epochs > 1 else ''}, batch {q.batch_size} × {q.accumulate}, learning rate "
                  f"{q.learning_rate:g} ({q.schedule}); register {', '.join(q.registers)}; loss on the answer only"
                  + ("" if q.train_eos else ", end token left out")),
        ("Generation", f"temperature {r.temperature:g}, top-p {r.top_p:g}, at most {r.max_new_tokens} tokens"),
    ]
    if results.responses:
        topics = max(frame.question_id.nunique() for frame in results.responses.values())
        answers = sum(len(frame) for frame in results.responses.values())
        facts.append(("Methods", f"{', '.join(method_name(m) for m in in_order(results.responses))}; {topics} held-out "
                                 f"topics × 5 traits, {number(answers, 'count')} answers"))
    facts += [("Intervals", f"95%, bootstrap over topics, {number(p.score.bootstrap, 'count')} resamples"),
              ("Seed", str(p.seed)),
              ("Commit", results.commit or "not known (not run in a git checkout)")]
    return {"facts": facts}
