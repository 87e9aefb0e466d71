"""traitlab changes the Big Five personality of a chat language model and measures what came along with it."""
