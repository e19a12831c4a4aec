"""Names that OpenRLHF imports."""

all_gather = None
