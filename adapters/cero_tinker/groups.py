"""A group of rollouts as the cookbook builds it, which tells the books what it earned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from tinker_cookbook.rl.types import Env, EnvGroupBuilder, Metrics, Trajectory

from cero_api.errors import ConfigurationError
from cero_tinker.books import Books
from cero_tinker.rounds import Round


class AllocatedGroup(EnvGroupBuilder):
    """A user's group builder, resized to what its prompt was dealt.

    The cookbook asks it for environments and for group rewards, and cleans up after the last rollout, whatever became
    of them: there the group is over.

    Args:
        inner: the user's, resized.
        count: rollouts.
        round: in which it was dealt.
        place: among the groups of the round.
        books: of the allocator.
    """

    def __init__(self, inner: Any, count: int, round: Round, place: int, books: Books) -> None:
        self.inner = inner
        self.count = count
        self._round = round
        self._place = place
        self._books = books

    async def make_envs(self) -> Sequence[Env]:
        """As many environments as rollouts were dealt.

        Raises:
            ConfigurationError: the user's builder makes another number.
        """
        envs: Sequence[Env] = await self.inner.make_envs()
        if len(envs) != self.count:
            error = ConfigurationError(
                f"a {type(self.inner).__name__} made {len(envs)} environments where {self.count} were dealt to its "
                "prompt; pass resize=, a function of a builder and a count, or where only multiples of some number "
                'can be made, allocator_config={"rollouts_per_unit": ...}'
            )
            self._books.failed(error)  # a tolerant rollout strategy would but skip the group
            raise error
        return envs

    async def compute_group_rewards(
        self, trajectory_group: list[Trajectory], env_group: Sequence[Env]
    ) -> list[tuple[float, Metrics]]:
        """The user's own, passed on to the books."""
        rewards = list(await self.inner.compute_group_rewards(trajectory_group, env_group))
        if not rewards:
            return rewards
        # The first rollout's metrics carry what the round says of itself into the cookbook's log.
        numbers = dict(rewards[0][1])
        self._books.scored(self._round, self._place, trajectory_group, rewards, numbers)
        return [(rewards[0][0], numbers), *rewards[1:]]

    async def cleanup(self) -> None:
        """The user's own; then the group is over."""
        try:
            await self.inner.cleanup()
        finally:
            self._books.closed(self._round, self._place)

    def logging_tags(self) -> list[str]:
        """The user's own."""
        tags: list[str] = self.inner.logging_tags()
        return tags

    def __reduce__(self) -> NoReturn:
        raise ConfigurationError(
            "rewards are read where groups are rolled out, and a rollout executor with processes of its own would take "
            "them elsewhere; leave rollout_executor out, or give a ThreadPoolExecutor"
        )
