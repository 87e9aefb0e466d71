"""The answers that a method learns from: rows of one split, trait and pole."""
import pandas as pd

from tasks.files import read_parquet
from traitlab.errors import InputError


def answers_of(split: str, registers, trait: str, pole: str = "high") -> pd.DataFrame:
    """Rows of a split that show a pole of a trait, in the given registers.

    Raises:
        InputError: there are none.
    """
    path = f"data/opinion_qa/{split}.parquet"
    frame = read_parquet(path)
    frame = frame[(frame.target_personality == trait) & (frame.pole == pole) & frame.register.isin(registers)]
    if frame.empty:
        raise InputError(f"{path}: no rows of pole {pole} for {trait} in registers {', '.join(registers)}; "
                         "change the registers in params.yaml or the data set")
    return frame
