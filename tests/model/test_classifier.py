"""The trait classifier on tiny random encoders: learning, determinism, saving, calibration."""
import json

import numpy as np
import pytest
import torch
from scipy.special import softmax

from traitlab.errors import InputError
from traitlab.metric_models.classifier import (
    TraitClassifier,
    _batches,
    calibrate,
    calibration_bins,
    expected_calibration_error,
    train,
)
from traitlab.params import MetricModel
from traitlab.traits import LABELS

WORDS = ("paint", "list", "party", "help", "worry", "fact")  # the word that gives each label away
PARAMS = MetricModel(epochs=8, batch_size=16, learning_rate=3e-3, max_length=32, frames=0)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Models this small are slower on two threads than on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=["bert", "roberta"])
def encoder(request, tmp_path_factory):
    """A saved random encoder of two layers with a word tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, RobertaConfig, RobertaModel

    folder = tmp_path_factory.mktemp(request.param)
    special = ["<pad>", "<s>", "</s>", "<unk>"]
    vocabulary = special + [*WORDS, *(f"w{i}" for i in range(40))]
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", cls_token="<s>", sep_token="</s>",
                                        unk_token="<unk>", model_max_length=64)
    config, model = {"bert": (BertConfig, BertModel), "roberta": (RobertaConfig, RobertaModel)}[request.param]
    torch.manual_seed(0)
    model(config(vocab_size=len(vocabulary), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                 num_attention_heads=2, max_position_embeddings=70, pad_token_id=0)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def examples(n: int, seed: int) -> tuple[list[str], list[str]]:
    draw = np.random.default_rng(seed)
    labels = draw.integers(len(LABELS), size=n)
    texts = []
    for label in labels:
        words = [f"w{i}" for i in draw.integers(40, size=draw.integers(3, 20))]
        words[draw.integers(len(words))] = WORDS[label]
        texts.append(" ".join(words))
    return texts, [LABELS[label] for label in labels]


@pytest.fixture(scope="module")
def trained(encoder):
    classifier = TraitClassifier.fresh(encoder, seed=0)
    losses = []
    train(classifier, *examples(600, seed=1), PARAMS, seed=0, on_step=lambda step, steps, loss: losses.append(loss))
    return classifier, losses


def test_it_learns_and_reports_every_step(trained):
    classifier, losses = trained
    assert len(losses) == 8 * 38
    assert np.mean(losses[-10:]) < 0.3 * np.mean(losses[:10])
    texts, labels = examples(200, seed=2)
    predicted = np.array(LABELS)[classifier.probabilities(texts).argmax(axis=1)]
    assert (predicted == labels).mean() > 0.9


def test_probabilities_do_not_depend_on_neighbours_in_the_batch(trained):
    classifier, _ = trained
    texts, _ = examples(50, seed=3)
    together = classifier.probabilities(texts, batch_size=16)
    alone = np.concatenate([classifier.probabilities([text]) for text in texts])
    assert together == pytest.approx(alone, abs=1e-5)
    assert together.sum(axis=1) == pytest.approx(np.ones(50))
    assert classifier.probabilities([]).shape == (0, 6)


def test_what_was_saved_gives_the_same_probabilities(trained, tmp_path):
    classifier, _ = trained
    calibrate(classifier, *examples(100, seed=4))
    classifier.save(tmp_path / "c")
    texts, _ = examples(20, seed=5)
    again = TraitClassifier.load(tmp_path / "c")
    assert (again.probabilities(texts) == classifier.probabilities(texts)).all()
    config = json.loads((tmp_path / "c/config.json").read_text())
    assert [config["id2label"][str(i)] for i in range(6)] == list(LABELS)
    assert config["calibration_temperature"] == classifier.model.config.calibration_temperature
    assert not [p for p in (tmp_path / "c").iterdir() if p.suffix not in (".json", ".safetensors")]


def test_same_seed_same_bytes(encoder, tmp_path):
    texts, labels = examples(64, seed=6)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        classifier = TraitClassifier.fresh(encoder, seed)
        train(classifier, texts, labels, PARAMS.model_copy(update={"epochs": 1}), seed)
        calibrate(classifier, texts, labels)
        classifier.save(tmp_path / name)
    files = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)
    assert (tmp_path / "a/model.safetensors").read_bytes() != (tmp_path / "c/model.safetensors").read_bytes()


def test_the_temperature_is_the_best_of_all(trained):
    classifier, _ = trained
    texts, labels = examples(150, seed=7)
    target = [LABELS.index(label) for label in labels]
    target[::5] = [(t + 1) % 6 for t in target[::5]]  # wrong labels make the classifier overconfident
    best = calibrate(classifier, texts, [LABELS[t] for t in target])
    logits = classifier.logits(texts)
    loss = {t: -np.log(softmax(logits / t, axis=1)[range(150), target]).mean() for t in np.geomspace(0.06, 18, 400)}
    assert best == pytest.approx(min(loss, key=loss.get), rel=0.02)
    assert best > 1


def test_a_folder_that_is_no_trait_classifier(encoder, tmp_path):
    with pytest.raises(InputError, match="no readable trait classifier"):
        TraitClassifier.load(tmp_path)
    with pytest.raises(InputError, match="its labels are not openness"):
        TraitClassifier.load(encoder)


def test_a_long_text_is_cut_not_refused(trained):
    classifier, _ = trained
    assert classifier.probabilities(["w1 " * 500]).shape == (1, 6)


def test_batches_hold_every_row_once_with_like_lengths():
    lengths = np.random.default_rng(0).integers(5, 90, 1000).tolist()
    batches = _batches(lengths, 16, seed=0)
    assert sorted(i for batch in batches for i in batch) == list(range(1000))
    assert max(map(len, batches)) == 16
    padded = sum(max(lengths[i] for i in batch) * len(batch) for batch in batches)
    assert padded < 1.1 * sum(lengths)
    assert batches == _batches(lengths, 16, seed=0) != _batches(lengths, 16, seed=1)


def test_calibration_error_by_hand():
    probabilities = np.array([[0.95, 0.05], [0.92, 0.08], [0.4, 0.6], [1.0, 0.0]])
    correct = np.array([True, False, True, True])
    bins = calibration_bins(probabilities, correct)
    assert [b["n"] for b in bins] == [1, 3]
    assert bins[1]["confidence"] == pytest.approx((0.95 + 0.92 + 1) / 3)
    assert bins[1]["accuracy"] == pytest.approx(2 / 3)
    expected = (1 * abs(1 - 0.6) + 3 * abs(2 / 3 - (0.95 + 0.92 + 1) / 3)) / 4
    assert expected_calibration_error(probabilities, correct) == pytest.approx(expected)
