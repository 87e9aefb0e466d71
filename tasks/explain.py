"""Find where QLoRA moves the emoji probability, and test what causes it: metrics/explain.json, plots/explain/*.csv."""
import hashlib
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from tasks.files import read_parquet, replacing, write_json
from traitlab.emoji.automaton import EmojiAutomaton, vocabulary_bytes
from traitlab.errors import InputError
from traitlab.explain.activations import Rows
from traitlab.explain.emoji_tokens import emoji_tokens
from traitlab.explain.explanation import Explanation, Subject
from traitlab.explain.in_context import EMOJI_QUESTIONS, WORD_QUESTIONS, agreement, most_frequent, of_the_questions
from traitlab.language_model.generation import Sampling, generate
from traitlab.language_model.low_rank import load_adapter
from traitlab.language_model.model import LanguageModel
from traitlab.metric_models.classifier import TraitClassifier
from traitlab.params import Params
from traitlab.personas.persona import Persona, ask, cast
from traitlab.traits import TRAITS


def run(params: Params) -> None:
    settings = params.explain
    responses = {m: read_parquet(f"data/responses/{m}.parquet") for m in ("base", "qlora")}
    lm = LanguageModel.load("models/nf4", params.compute, training=True)  # gradients tell which neurons matter
    classifier = TraitClassifier.load("models/trait_classifier", str(lm.device))
    tokens = emoji_tokens(EmojiAutomaton(vocabulary_bytes(lm.tokenizer)))
    if not tokens:
        raise InputError("models/nf4: no token of its vocabulary announces an emoji; leave the stage explain out")
    personas = {trait: Persona("qlora", trait, ask, load_adapter(Path("models/personas/qlora") / trait))
                for trait in settings.traits}
    traits, tables = {}, {"lens": [], "adapter": [], "neurons": [], "causes": []}
    for trait in tqdm(settings.traits, desc="explain", unit="trait"):
        explanation = Explanation(_subject(lm, tokens, personas[trait], responses, settings), settings,
                                  params.score.bootstrap, params.seed)
        hits = {}
        for condition, texts in explanation.trials():
            predicted = classifier.probabilities(texts)[:, : len(TRAITS)].argmax(axis=1)
            hits[condition] = (predicted == TRAITS.index(trait)).astype(float)
        neurons = explanation.found_neurons()
        traits[trait] = {
            "shift": explanation.shift(), "neurons": neurons, "stream": explanation.stream(),
            "adapter": explanation.adapter(), "causes": explanation.causes(), "alignment": explanation.alignment(hits)}
        _note(tables, trait, explanation.lens(), traits[trait])
    write_json("metrics/explain.json", {
        "emoji_tokens": [lm.tokenizer.convert_ids_to_tokens(t) for t in tokens],
        "layers": len(lm.model.get_decoder().layers), "neurons": settings.neurons,
        "random_sets": settings.random_sets, "traits": traits,
        "in_context": _in_context(lm, personas, params, responses, traits)})
    with replacing("plots/explain") as new:
        new.mkdir()
        for name, rows in tables.items():
            pd.DataFrame(rows).to_csv(new / f"{name}.csv", index=False)


def _subject(lm, tokens, persona, responses, settings) -> Subject:
    """Answers of the base model and of the persona in turn, a topic each, halved into topics to find and to test on."""
    mine = responses["qlora"][responses["qlora"].target_personality == persona.trait]
    base = responses["base"][responses["base"].target_personality == persona.trait].set_index("question_id")
    mine = mine[mine.question_id.isin(base.index)].head(settings.topics)
    if len(mine) < 4:
        raise InputError(f"data/responses: {len(mine)} topics that base and qlora both answered for {persona.trait}, "
                         "fewer than 4; raise respond.topics")
    prompts = [lm.prompt_ids(ask(question)) for question in mine.question]
    texts = [row.response if k % 4 < 2 else base.response[row.question_id] for k, row in enumerate(mine.itertuples())]
    answers = [lm.answer_ids(text, end=False)[: settings.max_tokens] or [lm.tokenizer.eos_token_id] for text in texts]
    rows = Rows(prompts, answers, mine.question_id.tolist())
    halves = (rows.part(range(first, len(prompts), 2)) for first in (0, 1))
    return Subject(lm, tokens, persona.adapter, *halves, prompts, rows.topics)


def _in_context(lm, personas, params, responses, traits) -> dict:
    """What each persona, and the base model as control, names when asked, and how it agrees with what was measured."""
    everyone = {"base": Persona("base", None, ask), **personas}
    asked = [(name, kind, question, sample) for name in everyone
             for kind, questions in (("words", WORD_QUESTIONS), ("emoji", EMOJI_QUESTIONS))
             for question in questions for sample in range(params.explain.samples)]
    rows = cast(lm, [(everyone[name], question) for name, _, question, _ in asked])
    sampling = Sampling(params.respond.temperature, params.respond.top_p, 2 * params.explain.answer_tokens)
    seeds = [_seed(params.seed, *key) for key in asked]
    answers = generate(lm, rows.prompts, sampling, seeds, rows.adapters, rows.mixes)
    said: dict[str, dict[str, list[str]]] = {name: {"words": [], "emoji": []} for name in everyone}
    for (name, kind, _, _), answer in zip(asked, answers):
        said[name][kind].append(lm.decode(answer.ids))
    result = {}
    for name in everyone:
        named = most_frequent([*said[name]["words"], *said[name]["emoji"]], leave_out=of_the_questions())
        result[name] = {"named": named, "answers": sum(map(len, said[name].values())),
                        "examples": {kind: texts[:2] for kind, texts in said[name].items()}}
    base_named = [word for word, _ in result["base"]["named"]]
    for name in personas:
        written = responses["qlora"].query("target_personality == @name").response
        used = [word for word, _ in most_frequent(written.tolist())]
        named = [word for word, _ in result[name]["named"]]
        promoted = traits[name]["neurons"]["promoted"]
        result[name] |= {
            "used": used, "with_used": agreement(named, used), "with_promoted": agreement(named, promoted),
            "control_with_used": agreement(base_named, used),
            "control_with_promoted": agreement(base_named, promoted)}
    return result


def _note(tables, trait, lens, found) -> None:
    tables["lens"] += [{"trait": trait} | row for row in lens]
    tables["adapter"] += [{"trait": trait, "cut": cut, "part": part, "way": way, **share}
                          for cut, parts in found["adapter"].items() for part, ways in parts.items()
                          for way, share in ways.items()]
    tables["neurons"] += [{"trait": trait} | {k: n[k] for k in ("layer", "neuron", "attributed", "direct")}
                          | {f"z_{kind}": z for kind, z in n["z"].items()} for n in found["neurons"]["top"]]
    for name, outcome in found["causes"].items():
        tables["causes"].append({"trait": trait, "intervention": name, "neurons": "found", **outcome["found"]})
        tables["causes"] += [{"trait": trait, "intervention": name, "neurons": f"random {k}", "value": value}
                             for k, value in enumerate(outcome["random"])]


def _seed(*parts) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big")
