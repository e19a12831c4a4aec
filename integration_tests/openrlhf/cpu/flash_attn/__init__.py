"""Stands in for flash-attn, which needs CUDA to install; OpenRLHF imports these names and does not call them here."""

import no_cuda  # noqa: F401
