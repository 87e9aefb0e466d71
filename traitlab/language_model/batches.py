r"""Batches that waste little: rows of like length and persona together, and the tokens they share computed once.

    one batch   <system> You are helpful <user> Thinking about | jazz, what are ...   each row its own
                \____________ shared prefix: one row a mix ___/  Arras, what are ...
"""
from os.path import commonprefix

import torch

PASS = 64  # tokens that take as long as starting a forward pass: measured with 135M parameters on two cores


def grouped(lengths: list[int], groups: list, batch_size: int) -> list[list[int]]:
    """Row numbers in batches: rows of one group together, short rows with short rows."""
    order = sorted(range(len(lengths)), key=lambda i: (groups[i], lengths[i], i))
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


def cheapest(
    rows: list[list[int]], sharable: list[int], groups: list, batch_size: int
) -> list[tuple[list[int], int]]:
    """Batches of the least work: (row numbers, how many first tokens they share and need run but once).

    Work is counted in tokens, padding included. Rows of like length waste little padding, rows of one prompt share the
    most; so both orders are tried, each cut where it costs least (by dynamic programming), and the cheaper is taken.

    Args:
        rows: token ids.
        sharable: of each row, how many first tokens may be shared; fewer than it has.
        groups: rows of different groups share nothing.
        batch_size: rows in a batch, at the most.
    """
    by_length = sorted(range(len(rows)), key=lambda i: (groups[i], len(rows[i]), rows[i]))
    by_prompt = sorted(range(len(rows)), key=lambda i: (groups[i], rows[i][: sharable[i]], len(rows[i])))
    plans = [_cut(order, rows, sharable, groups, batch_size) for order in (by_length, by_prompt)]
    return min(plans)[1] if rows else []


def _cut(order, rows, sharable, groups, batch_size) -> tuple[int, list[tuple[list[int], int]]]:
    """The cheapest cuts of an order, and their cost."""
    common = [0, *(len(commonprefix([rows[i], rows[k]])) if groups[i] == groups[k] else 0
                   for i, k in zip(order, order[1:]))]  # of a row and the one before it
    best = [(0, 0, 0)]  # of the first rows: their cost, where their last batch begins, what it shares
    for end in range(1, len(order) + 1):
        shared, width, found = len(rows[order[end - 1]]), 0, []
        for begin in range(end - 1, max(-1, end - 1 - batch_size), -1):
            row = order[begin]
            shared, width = min(shared, sharable[row]), max(width, len(rows[row]))
            count, once = end - begin, shared if end - begin > 1 else 0
            cost = PASS + count * (width - once) + (once + PASS if once else 0)
            found.append((best[begin][0] + cost, begin, once))
            shared = min(shared, common[begin])
        best.append(min(found))
    batches, end = [], len(order)
    while end:
        _, begin, shared = best[end]
        batches.append((order[begin:end], shared))
        end = begin
    return best[-1][0], batches[::-1]


def shared_prefix(rows: list[list[int]]) -> int:
    """How many first tokens all rows share, leaving each row at least one token of its own."""
    return min(len(commonprefix(rows)), min(map(len, rows)) - 1)


def padded(rows: list[list[int]], filler: int) -> torch.Tensor:
    """Token ids (rows, tokens). Padding stands on the right, where causal attention hides it from a row's own tokens,
    so that no mask is needed."""
    ids = torch.full((len(rows), max(map(len, rows))), filler)
    for k, row in enumerate(rows):
        ids[k, : len(row)] = torch.tensor(row)
    return ids


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
