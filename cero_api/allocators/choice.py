"""What a round could have been: how much of it was there to decide, and why nothing was."""

from __future__ import annotations

from typing import NamedTuple


class Choice(NamedTuple):
    """All rounds that were possible where one was dealt; sizes in rollouts.

    >>> Choice(prompts=8, floor=2, cap=16, least=64, most=64).decidable(64)
    0.75
    >>> Choice(prompts=8, floor=2, cap=8, least=64, most=64).nothing
    True
    """

    prompts: int  # that it was shared among, or chosen from
    floor: int  # of each
    cap: int  # of each
    least: int  # in all
    most: int  # in all: `least` where the size of the round was no choice

    def decidable(self, total: int) -> float:
        r"""Share of a round of this size that could have gone elsewhere, from 0 to 1.

        What could not is what a prompt gets in each of the possible rounds: its floor, or what the others have no room
        for, $P \max(f, T_{\min} - (P - 1) c)$ in all.
        """
        forced = self.prompts * max(self.floor, min(self.least, total) - (self.prompts - 1) * self.cap)
        return 1.0 - min(forced, total) / total if total else 0.0

    @property
    def nothing(self) -> bool:
        """Whether there was one possible round only."""
        return 0 < self.least == self.most and self.decidable(self.least) == 0.0

    @property
    def remedy(self) -> str:
        """Why there was one only, and what to do about it."""
        if self.prompts == 1:
            return "one candidate takes all rollouts; pass all prompts of a step in one call"
        if self.least >= self.prompts * self.cap:
            return (
                f"{self.least} rollouts for {self.prompts} prompts are all that a cap of {self.cap} allows; raise "
                "max_rollouts_per_prompt, where there is one, ask for fewer, or offer more prompts"
            )
        return (
            f"{self.least} rollouts for {self.prompts} prompts are no more than a floor of {self.floor} takes; lower "
            "min_rollouts_per_prompt, or ask for more"
        )
