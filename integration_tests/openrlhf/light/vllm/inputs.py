"""Names that OpenRLHF imports."""

TokensPrompt = dict
