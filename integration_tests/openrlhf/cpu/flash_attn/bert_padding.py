"""Names that OpenRLHF imports."""

from einops import rearrange

index_first_axis = pad_input = unpad_input = None

__all__ = ["index_first_axis", "pad_input", "rearrange", "unpad_input"]
