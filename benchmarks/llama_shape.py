"""A workspace with a model of LLaMA-2-7B's shape and random weights, NF4, with five random adapters: speed and memory
need no real weights.

    python -m benchmarks.llama_shape FOLDER [--hidden 4096 --layers 32 ...]    # after `dvc repro quantize split`

The folder gets models/nf4, models/personas/qlora/<trait>, data/ and params.yaml; `benchmarks.speed --workspace` runs in
it.
"""
import argparse
import shutil
import tempfile
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from benchmarks.pages import ROOT
from tasks.environment import quiet
from traitlab.language_model.quantization import quantize_nf4
from traitlab.traits import TRAITS


def main() -> None:
    quiet()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hidden", type=int, default=4096)
    parser.add_argument("--intermediate", type=int, default=11008)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--heads", type=int, default=32)
    parser.add_argument("--rank", type=int, default=64)
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    models = options.folder / "models"
    tokenizer = AutoTokenizer.from_pretrained("models/nf4")
    with tempfile.TemporaryDirectory(dir=options.folder.parent) as scratch, torch.device(device):
        model = LlamaForCausalLM._from_config(LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=options.hidden, intermediate_size=options.intermediate,
            num_hidden_layers=options.layers, num_attention_heads=options.heads, num_key_value_heads=options.heads,
            eos_token_id=tokenizer.eos_token_id, tie_word_embeddings=False), dtype=torch.bfloat16)
        model.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        del model
        models.mkdir(parents=True, exist_ok=True)
        quantize_nf4(Path(scratch), models / "nf4", double_quantization=True, dtype=torch.bfloat16)
    model = AutoModelForCausalLM.from_pretrained(models / "nf4", device_map={"": device})
    for trait in TRAITS:
        tuned = get_peft_model(model, LoraConfig(r=options.rank, lora_alpha=options.rank, target_modules="all-linear",
                                                 init_lora_weights="gaussian", task_type="CAUSAL_LM"))
        for name, weight in tuned.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=1e-3)
        tuned.save_pretrained(models / "personas/qlora" / trait)
        model = tuned.unload()
    shutil.copytree(ROOT / "data/opinion_qa", options.folder / "data/opinion_qa", dirs_exist_ok=True)
    shutil.copy(ROOT / "params.yaml", options.folder)


if __name__ == "__main__":
    main()
