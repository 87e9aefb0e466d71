"""Runs that differ in their seed, as commits of a real repository."""
import json
import subprocess

import pytest
import yaml

from tasks import seeds
from traitlab.errors import InputError
from traitlab.measures.seeds import over_seeds


def table(value):
    return {"qlora": {"all": {"ta": {"value": value, "low": 0.0, "high": 1.0, "n": 300}, "es": {"value": None}}}}


def test_mean_and_spread_against_a_hand_computation():
    found = over_seeds({0: table(0.9), 1: table(0.8), 2: table(1.0)})
    assert found == {"qlora": {"all": {"ta": {"mean": pytest.approx(0.9), "standard_deviation": pytest.approx(0.1),
                                              "low": 0.8, "high": 1.0, "n": 3}}}}


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    git = lambda *words: subprocess.run(  # noqa: E731
        ["git", "-c", "user.name=t", "-c", "user.email=t@t", *words], check=True, capture_output=True)
    git("init", "-q")
    (tmp_path / "metrics").mkdir()

    def commit(name, seed, value, **settings):
        (tmp_path / "params.yaml").write_text(yaml.safe_dump({"seed": seed, "train_qlora": {"r": 16} | settings}))
        (tmp_path / "metrics/scores.json").write_text(json.dumps(table(value)))
        git("add", ".")
        git("commit", "-qm", name)
        git("tag", name)

    commit("zero", 0, 0.9)
    commit("one", 1, 0.8)
    commit("again", 0, 0.9)
    commit("wider", 2, 0.7, r=32)
    return tmp_path


def test_runs_are_put_together(repository):
    seeds.run(None, ["zero", "one"])
    found = json.loads((repository / "metrics/seeds.json").read_text())
    assert found["seeds"] == [0, 1]
    assert found["scores"]["qlora"]["all"]["ta"]["standard_deviation"] == pytest.approx(0.1 / 2**0.5)


@pytest.mark.parametrize(("revisions", "complaint"), [
    (["zero", "again"], "again: has seed 0, as zero has"),
    (["zero", "wider"], "wider: differs from zero in train_qlora.r,"),
    (["zero", "nowhere"], "nowhere: git shows no params.yaml of it"), (["zero"], "one run has no spread")])
def test_runs_that_cannot_be_compared_are_named(repository, revisions, complaint):
    with pytest.raises(InputError, match=complaint):
        seeds.run(None, revisions)
    assert not (repository / "metrics/seeds.json").exists()
