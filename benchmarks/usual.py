"""The usual stack, written plainly: TRL's SFTTrainer with PEFT on NF4, and `generate` for one prompt at a time.

The other side of what `benchmarks.speed` measures. Where it needs a trained part (an editor, a vector, demonstrations)
it takes the same as ours; what it does with it is the common way.
"""
import tempfile
from contextlib import contextmanager

import pandas as pd
import torch

from tasks.personas import FOLDER, personas
from traitlab.language_model.model import LanguageModel
from traitlab.params import Params


def load(folder: str, device: str, dequantized: bool = False):
    """The NF4 model as `from_pretrained` gives it, and its tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, device_map={"": device})
    if dequantized:
        model = model.dequantize(dtype=torch.bfloat16)
    return model, AutoTokenizer.from_pretrained(folder)


def train(model, tokenizer, rows: pd.DataFrame, params: Params):
    """SFTTrainer on prompt-completion rows; its defaults, but for what both sides share (adapter, rate, batch)."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    settings = params.train_qlora
    data = Dataset.from_list([{"prompt": [{"role": "user", "content": row.question}],
                               "completion": [{"role": "assistant", "content": row.answer}]}
                              for row in rows.itertuples()])
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model, train_dataset=data, processing_class=tokenizer,
            peft_config=LoraConfig(r=settings.r, lora_alpha=settings.alpha, lora_dropout=settings.dropout,
                                   target_modules=settings.target_modules, task_type="CAUSAL_LM"),
            args=SFTConfig(folder, num_train_epochs=settings.epochs, learning_rate=settings.learning_rate,
                           per_device_train_batch_size=settings.batch_size, lr_scheduler_type=settings.schedule,
                           seed=params.seed, use_cpu=model.device.type == "cpu", save_strategy="no", report_to="none",
                           disable_tqdm=True))
        trainer.train()
    return trainer.model


def answers(params: Params, methods: list[str], questions: pd.DataFrame, device: str) -> pd.DataFrame:
    """Every persona asked every question, one after the other, greedily: method, trait, question, response, tokens."""
    model, tokenizer = load("models/nf4", device)
    lm = LanguageModel(model.eval(), tokenizer)
    text = dict(zip(questions.question_id, questions.question))
    table = []

    def ask(method, trait, question, persona, model):
        ids = tokenizer.apply_chat_template(persona.messages(text[question]), add_generation_prompt=True,
                                            return_tensors="pt", return_dict=True).to(model.device)
        with torch.no_grad():
            said = model.generate(**ids, max_new_tokens=params.respond.max_new_tokens, do_sample=False)
        new = said[0, ids.input_ids.shape[1]:]
        table.append({"method": method, "trait": trait, "question": question, "tokens": len(new),
                      "response": tokenizer.decode(new, skip_special_tokens=True).strip()})

    for method in methods:
        if method == "mend":
            _edits(params, questions, device, ask)
            continue
        cast = personas(method, params, lm, questions)
        for trait in dict.fromkeys(trait for trait, _ in cast):
            own = {question: persona for (of, question), persona in cast.items() if of == trait}
            if method == "base" and table:
                continue  # it is the same for every trait
            with _prepared(method, trait, model, own) as ready:
                for question, persona in own.items():
                    ask(method, trait, question, persona, ready)
    return pd.DataFrame(table)


@contextmanager
def _prepared(method, trait, model, own):
    """The model with one trait's adapter loaded or vector added."""
    if method == "qlora":
        from peft import PeftModel

        tuned = PeftModel.from_pretrained(model, FOLDER / "qlora" / trait)
        yield tuned.eval()
        tuned.unload()
    elif method == "steering":
        ((name, delta),) = next(iter(own.values())).adapter.items()
        vector = delta.c.to(model.device, model.dtype)
        handle = model.get_submodule(name).register_forward_hook(lambda module, args, output: output + vector)
        yield model
        handle.remove()
    else:
        yield model


def _edits(params, questions, device, ask):
    """MEND as EasyEdit runs it: make the edit, put it into the weights, generate, put the old weights back."""
    model, tokenizer = load("models/nf4", device, dequantized=True)
    lm = LanguageModel(model.eval(), tokenizer)
    for question in questions.question_id:
        one = questions[questions.question_id == question]
        for (trait, _), persona in personas("mend", params, lm, one).items():
            old = {}
            with torch.no_grad():
                for name, delta in persona.adapter.items():
                    weight = model.get_submodule(name).weight
                    old[name] = weight.data.clone()
                    weight += (delta.b.float() @ delta.a.float()).to(weight)
                ask("mend", trait, question, persona, model)
                for name, data in old.items():
                    model.get_submodule(name).weight.data.copy_(data)
