"""Networks and language models that run on cores."""
