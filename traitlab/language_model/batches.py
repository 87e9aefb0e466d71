r"""Batches that waste little: rows of like length and persona together, and the tokens they share computed once.

    one batch   <system> You are helpful <user> Thinking about | jazz, what are ...   each row its own
                \____________ shared prefix: one row a mix ___/  Arras, what are ...
"""
from os.path import commonprefix

import torch


def grouped(lengths: list[int], groups: list, batch_size: int) -> list[list[int]]:
    """Row numbers in batches: rows of one group together, short rows with short rows."""
    order = sorted(range(len(lengths)), key=lambda i: (groups[i], lengths[i], i))
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


def shared_prefix(rows: list[list[int]]) -> int:
    """How many first tokens all rows share, leaving each row at least one token of its own."""
    return min(len(commonprefix(rows)), min(map(len, rows)) - 1)


def prefix_cache(body, prefix: list[int], count: int, device):
    """Run `prefix` once; return its key-value cache repeated for `count` rows. Gradients flow through it."""
    from transformers import DynamicCache

    cache = DynamicCache(config=body.config)
    if prefix:
        body(input_ids=torch.tensor([prefix], device=device), past_key_values=cache, use_cache=True)
        cache.batch_repeat_interleave(count)
    return cache


def part_of_cache(body, cache, rows: torch.Tensor, length: int):
    """A new cache of the first `length` tokens of some rows; a row may be named more than once."""
    from transformers import DynamicCache

    part = DynamicCache(config=body.config)
    for number, layer in enumerate(cache.layers):
        part.update(layer.keys[rows, :, :length], layer.values[rows, :, :length], number)
    return part
