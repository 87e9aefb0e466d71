"""What judges an answer: the trait classifier, the adjective rater, a chat model."""
