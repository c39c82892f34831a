"""Questions beside the paper's claims: unknown groups, early warning, language models, causes, rounding."""
