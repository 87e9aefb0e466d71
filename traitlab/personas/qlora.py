"""QLoRA (Dettmers et al., 2305.14314): a LoRA adapter trained on the frozen NF4 base, loss on the answers only."""
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

from traitlab.errors import InputError
from traitlab.language_model.batches import padded, prefix_cache, shared_prefix
from traitlab.language_model.model import LanguageModel
from traitlab.params import TrainQlora
from traitlab.personas.checkpoint import Checkpoint, fingerprint

Row = tuple[list[int], list[int]]  # token ids of the prompt, of the answer


def tokenize(lm: LanguageModel, frame, params: TrainQlora) -> list[Row]:
    """Token ids of every row's question, as user, and answer, as assistant.

    Args:
        frame: rows with question_id, question and answer.

    Raises:
        InputError: a row is longer than `max_length`; it is named.
    """
    rows = []
    for row in frame.itertuples():
        prompt = lm.prompt_ids([{"role": "user", "content": row.question}])
        answer = lm.answer_ids(row.answer, end=params.train_eos)
        if len(prompt) + len(answer) > params.max_length:
            raise InputError(f"row {row.question_id}: {len(prompt) + len(answer)} tokens, more than "
                             f"train_qlora.max_length = {params.max_length}; raise it or shorten the answer")
        rows.append((prompt, answer))
    return rows


def train(
    lm: LanguageModel,
    rows: list[Row],
    validation: list[Row],
    params: TrainQlora,
    seed: int,
    checkpoint: Path,
    on_step: Callable[[dict], None] = lambda record: None,
):
    """Train an adapter; a run that was killed goes on from its last checkpoint and ends in the same weights.

    Args:
        lm: loaded with `training=True`; its linear layers are wrapped in place.
        rows: training rows.
        validation: rows for the loss reported at the end.
        checkpoint: folder for the state of an unfinished run; left for the caller to remove.
        on_step: called after each step with its record.

    Returns:
        (PEFT model, one record a step: {"step", "steps", "loss": nats per answer token, "learning_rate", "tokens":
        without padding, "seconds"}, validation loss).
    """
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    targets = params.target_modules if params.target_modules == "all-linear" else list(params.target_modules)
    try:
        model = get_peft_model(lm.model, LoraConfig(
            r=params.r, lora_alpha=params.alpha, lora_dropout=params.dropout, target_modules=targets,
            task_type="CAUSAL_LM"))
    except ValueError as e:
        raise InputError(f"params.yaml: train_qlora.target_modules = {targets!r}: {e}") from e
    for config in model.peft_config.values():
        config.target_modules = sorted(config.target_modules)  # PEFT's set would be saved in an order of chance
    model.train()
    if params.gradient_checkpointing:
        model.gradient_checkpointing_enable()
        model.enable_input_require_grads()
    weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = _optimizer(params, weights)
    steps = math.ceil(len(rows) / (params.batch_size * params.accumulate)) * params.epochs
    state = Checkpoint(checkpoint, weights, optimizer, fingerprint(rows, params.model_dump(), seed))
    records = state.restore()
    for step, batch in enumerate(batches(rows, params, seed)):
        if step < len(records):
            continue
        started = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = params.learning_rate * schedule(step, steps, params)
        answer_tokens = sum(len(answer) for _, answer in batch)
        total = 0.0
        for i in range(0, len(batch), params.batch_size):
            loss = answer_nll(lm, batch[i : i + params.batch_size], prefix=not params.gradient_checkpointing)
            (loss / answer_tokens).backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(weights.values(), params.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        record = {"step": step + 1, "steps": steps, "loss": total / answer_tokens,
                  "learning_rate": optimizer.param_groups[0]["lr"],
                  "tokens": sum(len(prompt) + len(answer) for prompt, answer in batch),
                  "seconds": time.perf_counter() - started}
        records.append(record)
        on_step(record)
        if (step + 1) % params.checkpoint_steps == 0 and step + 1 < steps:
            state.save(records)
    model.eval()
    return model, records, mean_loss(lm, validation, params.batch_size)


def answer_nll(lm: LanguageModel, rows: list[Row], prefix: bool = True) -> torch.Tensor:
    """Summed negative log-likelihood (nats) of the answers' tokens, given their prompts.

    Only what the loss needs is computed: the prompt tokens that all rows share run once, in one row, and the vocabulary
    projection runs at answer positions alone.

        row 1   <system> ... Thinking about | jazz, what are your thoughts on jazz? <assistant> It wakes me up <end>
        row 2        (shared prefix)        | rain, ...                             <assistant> Rain makes ...
        loss                                |                                       ^^^^^^^^^^^^^^^^^^^^^^^^^^
    """
    body = lm.model.get_decoder()
    whole = [[*prompt, *answer] for prompt, answer in rows]
    start = min(shared_prefix(whole), min(len(prompt) for prompt, _ in rows) - 1) if prefix else 0
    ids = padded([row[start:] for row in whole], lm.tokenizer.eos_token_id)
    counts = torch.zeros(ids.shape, dtype=torch.bool)  # position predicts an answer token
    for k, (prompt, answer) in enumerate(rows):
        counts[k, len(prompt) - 1 - start : len(prompt) + len(answer) - 1 - start] = True
    ids, counts = ids.to(lm.device), counts.to(lm.device)
    with _mixed_precision(lm):
        cache = prefix_cache(body, whole[0][:start], len(rows), lm.device) if prefix else None
        hidden = body(input_ids=ids, past_key_values=cache, use_cache=prefix).last_hidden_state
        logits = lm.logits(hidden[counts])
    target = ids.roll(-1, dims=1)[counts]
    return cross_entropy(logits, target, reduction="sum")


def _mixed_precision(lm):
    """float32 adapters in bfloat16 arithmetic: without the cast of every layer's input that PEFT would make."""
    from contextlib import ExitStack

    from peft.helpers import disable_input_dtype_casting

    stack = ExitStack()
    if lm.model.dtype == torch.bfloat16:
        stack.enter_context(torch.autocast(lm.device.type, dtype=torch.bfloat16))
        stack.enter_context(disable_input_dtype_casting(lm.model))
    return stack


@torch.no_grad()
def mean_loss(lm: LanguageModel, rows: list[Row], batch_size: int) -> float:
    """Mean negative log-likelihood (nats) per answer token."""
    rows = sorted(rows, key=lambda row: len(row[0]) + len(row[1]))
    total = sum(answer_nll(lm, rows[i : i + batch_size]).item() for i in range(0, len(rows), batch_size))
    return total / sum(len(answer) for _, answer in rows)


def batches(rows: list[Row], params: TrainQlora, seed: int):
    """Yield the rows of one optimizer step after the other: drawn at random, rows of like length together."""
    size = params.batch_size * params.accumulate
    for epoch in range(params.epochs):
        draw = torch.Generator().manual_seed(seed + epoch)
        order = torch.randperm(len(rows), generator=draw).tolist()
        pools = [order[i : i + 16 * size] for i in range(0, len(order), 16 * size)]
        order = [i for pool in pools for i in sorted(pool, key=lambda i: len(rows[i][0]) + len(rows[i][1]))]
        steps = [order[i : i + size] for i in range(0, len(order), size)]
        for i in torch.randperm(len(steps), generator=draw).tolist():
            yield [rows[k] for k in steps[i]]


def schedule(step: int, steps: int, params: TrainQlora) -> float:
    """Share of the peak learning rate at `step` (from 0): linear warm-up, then cosine or linear to 0, or constant."""
    warmup = math.ceil(params.warmup * steps)
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return {"cosine": 0.5 * (1 + math.cos(math.pi * done)), "linear": 1 - done, "constant": 1.0}[params.schedule]


def _optimizer(params: TrainQlora, weights: dict):
    if params.optimizer == "adamw":
        return torch.optim.AdamW(weights.values(), lr=params.learning_rate, weight_decay=0.0)
    if not torch.cuda.is_available():
        raise InputError("params.yaml: train_qlora.optimizer = 'paged_adamw_8bit' needs a CUDA device; set it to adamw")
    from bitsandbytes.optim import PagedAdamW8bit

    return PagedAdamW8bit(weights.values(), lr=params.learning_rate, weight_decay=0.0)
