"""The logit lens (nostalgebraist, 2020): what the model would say if it stopped after a layer."""
import torch

from traitlab.explain.emoji_tokens import log_mass
from traitlab.language_model.model import LanguageModel


@torch.no_grad()
def lens(lm: LanguageModel, stream: torch.Tensor, tokens: list[int]) -> torch.Tensor:
    """Log-mass of `tokens` by final norm and unembedding of the stream after each layer: (positions, layers).

    Args:
        stream: (positions, layers, hidden), as of `activations.states_at`.
    """
    norm = lm.model.get_decoder().norm
    return torch.stack([log_mass(lm, norm(stream[:, layer].to(lm.device, lm.model.dtype)), tokens).cpu()
                        for layer in range(stream.shape[1])], dim=1)
