"""Shared fixtures: a tiny random llama with a tokenizer and chat template of its own, in float32 and in NF4.

Tiers: tests/unit needs no model; tests/model the tiny one made here; tests/served starts real servers on loopback;
tests/pipeline runs the real graph on the real model in a tiny profile.
"""
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHAT_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|start|>system\nBe kind<|end|>\n"
    "{% endif %}<|start|>{{ message['role'] }}\n{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="session")
def compute():
    """float32 on the CPU, with NF4 weights unpacked: comparisons to 1e-5 need both."""
    from traitlab.params import Compute

    return Compute(device="cpu", dtype="float32", weights="dequantized", threads=0)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory) -> Path:
    """A saved random llama: 3 layers, hidden 64, 4 heads over 2 key-value heads, byte-level BPE of about 600 tokens."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny")
    lines = (ROOT / "data/corpus/arts.plain.jsonl").read_text(encoding="utf-8").splitlines()[:300]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(
        [json.loads(line)["answer"] for line in lines],
        trainers.BpeTrainer(vocab_size=600, special_tokens=["<|start|>", "<|end|>"], show_progress=False,
                            initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|end|>", pad_token="<|end|>")
    tokenizer.chat_template = CHAT_TEMPLATE
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.eos_token_id, initializer_range=0.2, tie_word_embeddings=True))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_nf4_folder(tiny_folder, tmp_path_factory) -> Path:
    import torch

    from traitlab.language_model.quantization import quantize_nf4

    folder = tmp_path_factory.mktemp("tiny-nf4") / "nf4"
    quantize_nf4(tiny_folder, folder, double_quantization=True, dtype=torch.float32)
    return folder


@pytest.fixture
def tiny_lm(tiny_folder, compute):
    """The tiny model, freshly loaded: a test may change it."""
    from traitlab.language_model.model import LanguageModel

    return LanguageModel.load(tiny_folder, compute)


@pytest.fixture(scope="session")
def persona_folder(tiny_nf4_folder, tmp_path_factory) -> Path:
    """A project folder with what `traitlab` needs: params.yaml, the tiny model in NF4, a random LoRA adapter for each
    trait and a random steering vector for openness."""
    import torch
    import yaml
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from traitlab.personas import steering
    from traitlab.traits import TRAITS

    folder = tmp_path_factory.mktemp("personas")
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["compute"] |= {"device": "cpu", "dtype": "float32", "weights": "dequantized"}
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    (folder / "models/personas/steering").mkdir(parents=True)
    (folder / "models/nf4").symlink_to(tiny_nf4_folder)
    torch.manual_seed(1)
    for trait in TRAITS:
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_nf4_folder), LoraConfig(
            r=3, lora_alpha=6, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM"))
        for name, weight in model.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(weight, std=0.2)
        model.save_pretrained(folder / "models/personas/qlora" / trait)
    steering.save(folder / "models/personas/steering/openness.safetensors", 1, torch.randn(64))
    return folder
