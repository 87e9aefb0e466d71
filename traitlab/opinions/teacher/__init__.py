"""Rows written by a language model: prompts, requests, screening, the journal of what was bought."""
