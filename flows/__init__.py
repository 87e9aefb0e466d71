"""Prefect flows: they run the graph of dvc.yaml and show it; they add no edge of their own."""
from tasks.environment import quiet

quiet()
