"""A key-value cache for generation that copies nothing it need not copy."""
import torch
from transformers.cache_utils import DynamicCache, DynamicLayer


class RoomyLayer(DynamicLayer):
    """Keys and values with room behind them: a step writes its token in place, where `DynamicLayer` copies all that
    came before; and of a selection of rows only those that change their place are copied.

    Args:
        layer: the filled layer whose place this one takes.
        room: tokens that fit in before the whole is copied to a larger place.
    """

    def __init__(self, layer: DynamicLayer, room: int):
        super().__init__()
        self.dtype, self.device, self.is_initialized = layer.keys.dtype, layer.keys.device, True
        self.keys, self.values, self._room = layer.keys, layer.values, room
        self._move()

    def _move(self) -> None:
        self._places = [torch.nn.functional.pad(x, (0, 0, 0, self._room)) for x in (self.keys, self.values)]

    def update(self, key_states, value_states, *args, **kwargs):
        rows, length = len(self.keys), self.keys.shape[-2]
        end = length + key_states.shape[-2]
        if end > self._places[0].shape[-2]:
            self._move()
        for place, new in zip(self._places, (key_states, value_states)):
            place[:rows, :, length:end] = new
        self.keys, self.values = (place[:rows, :, :end] for place in self._places)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        moved = indices != torch.arange(len(indices), device=indices.device)
        length = self.keys.shape[-2]
        for place in self._places:
            place[: len(indices), :, :length][moved] = place[indices[moved], :, :length]
        self.keys, self.values = (place[: len(indices), :, :length] for place in self._places)


def make_room(cache: DynamicCache, tokens: int) -> None:
    """Let `tokens` more tokens be appended without a copy, in layers whose attention has no window."""
    cache.layers = [RoomyLayer(layer, tokens) if type(layer) is DynamicLayer else layer for layer in cache.layers]
