"""Emoji: segmentation, statistics, sentiment, and the probability that one comes next."""
