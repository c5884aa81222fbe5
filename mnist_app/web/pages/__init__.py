"""The pages, one module each, rendered by its ``page()``."""
