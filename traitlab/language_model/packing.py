"""Weights in the layout in which the CPU multiplies them: laid out once, where torch does it anew at each product."""
import torch
from torch import nn

ROWS = 64  # of the products that the layout is made for; others give the same results


def pack(model: nn.Module) -> None:
    """Let the bfloat16 linear layers of a CPU model whose weights stay as they are multiply by packed weights.

    The results are the same to the bit. The gain is a fifth of the time of products with 60 rows, as in a batch that
    writes token by token, and two fifths with 8. Where gradients are recorded, the layers compute as before: the packed
    product has no backward. It takes another copy of the weights.
    """
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return
    for module in model.modules():
        if type(module) is nn.Linear and module.bias is None and module.weight.dtype == torch.bfloat16:
            module.forward = _packed(module)


def _packed(module: nn.Linear):
    plain, packed = module.forward, torch.ops.mkldnn._reorder_linear_weight(module.weight.detach(), ROWS)

    def forward(x: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled():
            return plain(x)
        return torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], "")

    return forward
