"""Measures of an edit beside the model before it: ES, DD, TPEI and PAE of Mao et al. (2310.02168)."""
import numpy as np
import torch


def edit_success(edit_positive: float, edit_negative: float, pre_positive: float) -> float:
    """ES = sigmoid(lp_edit(pos) - lp_edit(neg)) * min(1, exp(lp_edit(pos) - lp_pre(pos))).

    Args:
        edit_positive, edit_negative: mean log-probability per answer token (nats) under the edited model, of reference
            answers of the target trait and of the other traits.
        pre_positive: the target trait's under the model before the edit.
    """
    gap = edit_positive - edit_negative
    preference = 1 / (1 + np.exp(-gap)) if gap >= 0 else np.exp(gap) / (1 + np.exp(gap))
    return float(preference * np.exp(min(0.0, edit_positive - pre_positive)))


def drawdown(pre_log_probs: torch.Tensor, edit_log_probs: torch.Tensor) -> float:
    """DD = mean over answer tokens of KL(p_pre || p_edit), in nats, on another topic's question and answer.

    Args:
        pre_log_probs, edit_log_probs: (answer tokens, vocabulary) next-token log-probabilities.
    """
    possible = pre_log_probs.isfinite()  # a token that cannot be drawn adds nothing: 0 log 0 = 0
    terms = torch.where(possible, pre_log_probs.exp() * (pre_log_probs - edit_log_probs), 0.0)
    return float(terms.sum(dim=-1).double().mean())


def target_personality_edit_index(pre: np.ndarray, edit: np.ndarray, target: np.ndarray) -> np.ndarray:
    """TPEI = CE(classifier(pre text), target) - CE(classifier(edited text), target), in nats: (texts,).

    Args:
        pre, edit: (texts, labels) class probabilities.
        target: (texts,) index of the target label.
    """
    rows = np.arange(len(target))
    floor = np.finfo(float).tiny  # a probability that has underflowed to 0 would make the mean infinite
    return np.log(np.maximum(edit[rows, target], floor)) - np.log(np.maximum(pre[rows, target], floor))


def personality_adjective_evaluation(edit_rating: np.ndarray, pre_rating: np.ndarray) -> np.ndarray:
    """PAE = rating(edited text) - rating(pre text), a judge's ratings from 1 to 5: (texts,), from -4 to 4."""
    ratings = np.stack([edit_rating, pre_rating]).astype(float)
    if not ((ratings >= 1) & (ratings <= 5)).all():
        raise ValueError("ratings lie between 1 and 5")
    return ratings[0] - ratings[1]
