"""A chat model on its NF4 weights: loading, batches, generation, likelihoods, low-rank deltas."""
