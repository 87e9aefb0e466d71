"""TA, ES, DD, TPEI, PAE, coherence, perplexity, what is kept; intervals and tests."""
