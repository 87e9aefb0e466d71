"""Make persona vectors, and choose layer and strength on validation topics: models/personas/steering/ and the sweep."""
import pandas as pd
import torch

from tasks.answers import answers_of
from tasks.files import read_parquet, replacing, write_json
from traitlab.errors import InputError
from traitlab.language_model.generation import Sampling, generate
from traitlab.language_model.model import LanguageModel
from traitlab.measures.text import n_gram_entropy
from traitlab.metric_models.classifier import TraitClassifier
from traitlab.params import Params
from traitlab.personas import steering
from traitlab.personas.persona import Persona, ask, cast
from traitlab.traits import LABELS, TRAITS


def run(params: Params) -> None:
    settings = params.steering
    lm = LanguageModel.load("models/nf4", params.compute)
    last = len(lm.model.get_decoder().layers) - 1
    if max(settings.layers) > last:
        raise InputError(f"params.yaml: steering.layers = {list(settings.layers)}: the model has layers 0 to {last}")
    vectors = {trait: _vector(lm, settings, trait) for trait in TRAITS}  # (layers, hidden)
    questions = read_parquet("data/opinion_qa/validation.parquet").drop_duplicates("edit_topic").question
    questions = questions.sample(min(settings.validation_topics, len(questions)), random_state=params.seed).tolist()
    candidates = [(trait, layer, strength) for trait in TRAITS for layer in settings.layers
                  for strength in settings.strengths]
    rows = []
    for trait, layer, strength in candidates:
        persona = Persona("steering", trait, ask, steering.steer(lm, layer, strength * vectors[trait][layer]))
        rows += [(persona, question) for question in questions]
    ready = cast(lm, rows)
    sampling = Sampling(0.0, 1.0, settings.max_new_tokens)
    answers = generate(lm, ready.prompts, sampling, [0] * len(rows), ready.adapters, ready.mixes,
                       params.respond.batch_size)
    texts = [lm.decode(answer.ids) for answer in answers]
    probabilities = TraitClassifier.load("models/trait_classifier", str(lm.device)).probabilities(texts)
    sweep = pd.DataFrame([c for c in candidates for _ in questions], columns=["trait", "layer", "strength"])
    sweep["coherence"] = [float(n_gram_entropy(text) >= params.score.min_entropy) for text in texts]
    sweep["alignment"] = [p[LABELS.index(t)] for p, t in zip(probabilities, sweep.trait)]
    sweep = sweep.groupby(["trait", "layer", "strength"], sort=False, as_index=False).mean()
    chosen = {}
    with replacing("models/personas/steering") as new:
        new.mkdir()
        for trait in TRAITS:
            own = sweep[sweep.trait == trait].reset_index(drop=True)
            best = own.loc[steering.choose(own.alignment.to_numpy(), own.coherence.to_numpy(), settings.min_coherence)]
            layer, strength = int(best.layer), float(best.strength)
            steering.save(new / f"{trait}.safetensors", layer, strength * vectors[trait][layer])
            chosen[trait] = {"layer": layer, "strength": strength, "alignment": float(best.alignment),
                             "coherence": float(best.coherence)}
    write_json("metrics/steering.json", chosen)
    with replacing("plots/steering.csv") as new:
        sweep.to_csv(new, index=False)


def _vector(lm, settings, trait) -> torch.Tensor:
    """High minus low pole on the training topics that have both: (layers, hidden)."""
    low = answers_of("train", settings.registers, trait, "low")
    high = answers_of("train", settings.registers, trait)
    means = []
    for frame in (high[high.edit_topic.isin(low.edit_topic)], low):
        prompts = [lm.prompt_ids(ask(question)) for question in frame.question]
        means.append(steering.mean_activations(lm, prompts, [lm.answer_ids(a, end=False) for a in frame.answer]))
    return steering.persona_vector(*means)
