"""The arithmetic of text encoders: bfloat16 on float32 weights where the hardware multiplies it, else float32."""
import torch


def mixed_precision(device: torch.device) -> torch.autocast:
    native = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=native)
