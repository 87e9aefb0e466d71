"""NF4 quantization (QLoRA, Dettmers et al., 2305.14314) through bitsandbytes, and what it cost, layer by layer."""
from pathlib import Path

import torch


def quantize_nf4(source: Path, into: Path, double_quantization: bool, dtype: torch.dtype) -> dict:
    """Quantize every linear layer but the output head of the model at `source` to NF4 and save it, serialized.

    Returns:
        {"bytes_bf16", "bytes_nf4": of all weights, "mean_relative_error", "layers": {module: {"relative_error":
        Frobenius norm of (W - W_nf4) over that of W, "bits_per_weight": scales included}}}.
    """
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype,
                                bnb_4bit_use_double_quant=double_quantization)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.bfloat16, quantization_config=config,
                                                 device_map={"": device}, use_safetensors=True)
    original = AutoModelForCausalLM.from_pretrained(source, dtype=torch.bfloat16, use_safetensors=True)
    weights = dict(original.named_modules())
    layers = {}
    for name, module in model.named_modules():
        if isinstance(module, Linear4bit):
            packed, state = module.weight.data, module.weight.quant_state
            exact = weights[name].weight.float()
            error = dequantize_4bit(packed, state).float().cpu() - exact
            bits = 8 * (packed.nbytes + _state_bytes(state)) / exact.numel()
            layers[name] = {"relative_error": round((error.norm() / exact.norm()).item(), 6),
                            "bits_per_weight": round(bits, 4)}
    model.save_pretrained(into)
    AutoTokenizer.from_pretrained(source).save_pretrained(into)
    return {
        "bytes_bf16": 2 * original.num_parameters(),
        "bytes_nf4": sum(file.stat().st_size for file in Path(into).glob("*.safetensors")),
        "mean_relative_error": round(sum(x["relative_error"] for x in layers.values()) / len(layers), 6),
        "layers": layers,
    }


def _state_bytes(state) -> int:
    """Bytes of the quantization scales, with their own scales when they are quantized too."""
    nested = state.state2.absmax.nbytes if state.nested else 0
    return state.absmax.nbytes + nested
