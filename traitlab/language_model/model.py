"""A chat language model on its NF4 weights: loading, devices and number formats, chat formatting."""
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from traitlab.errors import InputError
from traitlab.language_model.packing import pack
from traitlab.params import Compute


@dataclass
class LanguageModel:
    """A causal language model with its tokenizer.

    Attributes:
        model: a `transformers` causal language model in eval mode.
        tokenizer: its tokenizer, with a chat template.
    """

    model: torch.nn.Module
    tokenizer: object

    @classmethod
    def load(cls, path: str | Path, compute: Compute, *, training: bool = False) -> "LanguageModel":
        """Load a saved model, NF4 or not, ready for inference or for training adapters on it.

        Args:
            path: a folder written by `save_pretrained`.
            compute: device, number format and what becomes of NF4 weights in memory.
            training: keep weights that have a backward pass and may be changed. On a CPU with AVX-512 bf16,
                bitsandbytes repacks NF4 weights at the first forward in eval mode into a layout whose gradients are
                silently wrong.

        Raises:
            InputError: there is no model at `path`, or no CUDA device where one is asked for.
        """
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        if not (Path(path) / "config.json").is_file():
            raise InputError(f"{path}: holds no model (config.json is missing); run `dvc repro`")
        if compute.threads:
            torch.set_num_threads(compute.threads)
        device = pick_device(compute)
        dtype = pick_dtype(compute, device)
        try:
            model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype, device_map={"": device},
                                                         use_safetensors=True)
            tokenizer = AutoTokenizer.from_pretrained(path)
        except (OSError, ValueError, RuntimeError) as e:
            raise InputError(f"{path}: not a readable model ({e}); remove it and run `dvc repro`") from e
        if tokenizer.chat_template is None:
            raise InputError(f"{path}: the tokenizer has no chat template; choose a chat model as base_model")
        if getattr(model, "is_loaded_in_4bit", False):
            _set_dtype(model, dtype)
            if compute.weights == "dequantized" or (compute.weights == "auto" and _fits_dequantized(model, device)):
                model = model.dequantize(dtype=dtype)
            elif training:
                keep_backward(model)
        model.requires_grad_(False)
        if device.type == "cpu" and not training:
            pack(model)
        return cls(model.eval(), tokenizer)

    @property
    def device(self) -> torch.device:
        return self.model.device

    @cached_property
    def end_ids(self) -> frozenset[int]:
        """Tokens that end an answer."""
        ids = self.model.generation_config.eos_token_id
        ids = ids if isinstance(ids, list) else [] if ids is None else [ids]
        return frozenset([*ids, self.tokenizer.eos_token_id])

    def prompt_ids(self, messages: list[dict]) -> list[int]:
        """Token ids of a conversation up to where the assistant begins to answer."""
        text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return self.tokenizer(text, add_special_tokens=False).input_ids

    def answer_ids(self, answer: str, *, end: bool = True) -> list[int]:
        """Token ids of an answer, with the token that ends it."""
        ids = self.tokenizer(answer, add_special_tokens=False).input_ids
        return [*ids, self.tokenizer.eos_token_id] if end else ids

    def decode(self, ids) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=True).strip()

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Next-token logits `(..., vocabulary)` in float32 of last hidden states `(..., hidden)`."""
        head = self.model.get_output_embeddings()
        return head(hidden.to(head.weight.dtype)).float()


def pick_device(compute: Compute) -> torch.device:
    if compute.device == "cuda" and not torch.cuda.is_available():
        raise InputError("params.yaml: compute.device = 'cuda': no CUDA device is visible; set it to auto or cpu")
    return torch.device("cuda" if compute.device != "cpu" and torch.cuda.is_available() else "cpu")


def pick_dtype(compute: Compute, device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it, else float32, unless the parameters say which."""
    if compute.dtype != "auto":
        return getattr(torch, compute.dtype)
    native = torch.cuda.is_bf16_supported() if device.type == "cuda" else torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if native else torch.float32


def keep_backward(model: torch.nn.Module) -> None:
    """Keep bitsandbytes from repacking NF4 weights on the CPU into its inference layout, which has no backward."""
    from bitsandbytes.nn import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False


def _set_dtype(model: torch.nn.Module, dtype: torch.dtype) -> None:
    """Compute in `dtype`; a serialized NF4 model otherwise comes back in the formats that it was saved in."""
    from bitsandbytes.nn import Linear4bit, Params4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.compute_dtype = module.weight.quant_state.dtype = dtype
    for parameter in model.parameters():
        if not isinstance(parameter, Params4bit):
            parameter.data = parameter.data.to(dtype)


def _fits_dequantized(model, device) -> bool:
    """On a CPU, unpacked weights are faster and cost two to four bytes a weight; take at most half of what is free."""
    if device.type != "cpu":
        return False
    import psutil

    return 4 * model.num_parameters() < psutil.virtual_memory().available / 2
