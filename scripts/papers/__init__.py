"""The rows of docs/papers.md: what was published, measured again."""
