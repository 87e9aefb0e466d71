"""Where MEND's edits break fluency: answers to validation questions, edits growing: plots/mend_strength.csv."""
import pandas as pd

from tasks.files import read_parquet, replacing
from tasks.personas import personas
from traitlab.language_model.generation import Sampling, generate
from traitlab.language_model.likelihood import answer_log_probs
from traitlab.language_model.low_rank import Delta
from traitlab.language_model.model import LanguageModel
from traitlab.measures.text import n_gram_entropy
from traitlab.metric_models.classifier import TraitClassifier
from traitlab.params import Params
from traitlab.personas.persona import Persona, ask, cast
from traitlab.traits import LABELS


def run(params: Params) -> None:
    settings = params.mend_strength
    lm = LanguageModel.load("models/nf4", params.compute)
    questions = read_parquet("data/opinion_qa/validation.parquet").drop_duplicates("edit_topic")
    questions = questions.sample(min(settings.topics, len(questions)), random_state=params.seed)
    text = dict(zip(questions.question_id, questions.question))
    edited = personas("mend", params, lm, questions[["question_id", "question"]])
    rows = [(strength, trait, question, _times(persona, strength)) for strength in settings.strengths
            for (trait, question), persona in edited.items()]
    ready = cast(lm, [(persona, text[question]) for _, _, question, persona in rows])
    answers = generate(lm, ready.prompts, Sampling(0.0, 1.0, settings.max_new_tokens), [0] * len(rows),
                       ready.adapters, ready.mixes, params.respond.batch_size)
    log_probs = answer_log_probs(lm, ready.prompts, [list(answer.ids) for answer in answers])
    texts = [lm.decode(answer.ids) for answer in answers]
    probabilities = TraitClassifier.load("models/trait_classifier", str(lm.device)).probabilities(texts)
    table = pd.DataFrame([(strength, trait) for strength, trait, _, _ in rows], columns=["strength", "trait"])
    table["coherence"] = [float(n_gram_entropy(text) >= params.score.min_entropy) for text in texts]
    table["alignment"] = [p[LABELS.index(trait)] for p, trait in zip(probabilities, table.trait)]
    table["base_loss"] = [-values.mean() if len(values) else None for values in log_probs]
    curve = table.groupby("strength", as_index=False)[["coherence", "alignment", "base_loss"]].mean()
    with replacing("plots/mend_strength.csv") as new:
        curve.to_csv(new, index=False)


def _times(persona: Persona, strength: float) -> Persona:
    """The persona with its edit multiplied by `strength`."""
    adapter = {name: Delta(delta.a, strength * delta.b) for name, delta in persona.adapter.items()}
    return Persona("mend", persona.trait, ask, adapter)
