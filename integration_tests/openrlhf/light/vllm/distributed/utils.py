"""A process group beside torch's, over a TCP store."""

from __future__ import annotations

from datetime import timedelta

from torch.distributed import TCPStore


class StatelessProcessGroup:
    """Rank 0 keeps the store."""

    def __init__(self, store: TCPStore, rank: int) -> None:
        self.store = store
        self.rank = rank

    @classmethod
    def create(cls, host: str, port: int, rank: int, world_size: int) -> StatelessProcessGroup:
        return cls(TCPStore(host, port, world_size, is_master=rank == 0, timeout=timedelta(seconds=120)), rank)
