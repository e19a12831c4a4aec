"""Frozen hyper-parameters, one model per allocator; what changes during training is state and lives elsewhere.

More than 400 lines: all settings in one place, where the fields of one method can be compared with another's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from cero_api.errors import ConfigurationError
from cero_api.frozen import FrozenConfig as FrozenConfig
from cero_api.rewards import SuccessRule as SuccessRule  # a configuration too, and known under this address


def _not_tiny(value: float) -> float:
    if value < 1e-9:
        raise ValueError("Input should be at least 1e-9")
    return value


# Bounds that nobody meets on purpose, and within which no formula here overflows.
Count = Annotated[int, Field(gt=0, lt=2**53)]
Positive = Annotated[float, Field(gt=0, le=1e9), AfterValidator(_not_tiny)]
Share = Annotated[float, Field(gt=0, le=1)]

_GROUP, _LARGE_GROUP = 8, 128  # rollouts of a prompt: the paper's, and the largest that any default allows

Pacing = Literal["adaptive", "fixed"] | tuple[Annotated[int, Field(ge=0)], ...]
Selection = Literal["dual", "marginal"]
Scope = Literal["batch", "window", "pool"]  # of a trainer's prompts, from which a round is dealt


class AllocatorConfig(FrozenConfig):
    """What every allocator needs to know. All sizes are in rollouts (responses).

    Args:
        num_prompts: prompts in the pool ($M$).
        rounds: allocation opportunities in the whole training ($K$), usually its steps.
        budget: rollouts for the whole training ($gB$).
        prior: Beta prior of a prompt's success rate, `(successes, failures)` as pseudo-counts ($a_0, b_0$).
        seed: of whatever the allocator decides by chance, ties above all.
        offer: among whom a round without candidates chooses: "pool" is everybody (or the walk of a method that shares
            out batches); "window" is `window` times as many prompts as the round has room for at full groups, from a
            seeded walk that offers each prompt once an epoch. A window's prompts get a full group or nothing, in order
            of what a group there is worth.
        window: W of that.
        variety: what a wider window must add, as a power of its width: a round looks at no more of its window than
            pays, at less where prompts are worth nearly the same, and so comes back to the same ones later. 0 looks at
            all of it.
        belief: what is expected of a prompt: "beta" by its own past alone, as in the papers; "pooled" by a prior that
            is fitted to the pool; "features" also by what its features say, which must be given; "gp" by VIP's Gaussian
            process over these.
        offline_strength: rollouts that an offline pass rate is worth; None finds it, or is the method's own number.
        cost: of a rollout: "tokens" divides what a group is worth by its expected length.
        token_budget: tokens for the whole training, kept by the size of rounds of which no total is given: what is
            left is spread over the rounds left, by what recent rollouts took. `budget` is then the most rollouts, whose
            even share the first round deals. None counts rollouts alone.
        hopeless: a window does not offer prompts of a lower expected success for a while; None offers all.
        mastered: nor those of a higher one; None offers all.
        rest_rounds: for how many rounds.
        look_again: share of a round's groups for those that rest.
        pilot: rollouts of each prompt in a first wave, after whose rewards `commit` deals the rest of the round; None
            deals a round in one wave.
        pilot_share: of a round's rollouts that go to the pilot, where a window is offered; candidates that are passed
            all get it.

    Raises:
        ConfigurationError: a value is missing, unknown, or out of range.
    """

    # In how many waves a round is dealt where the configuration says nothing of a pilot.
    waves: ClassVar[int] = 1

    # What may differ where a saved training goes on with another length; see cero_api.continued.
    replanned: ClassVar[frozenset[str]] = frozenset({"rounds", "budget", "token_budget"})
    # Who may be chosen in a trainer, where its user does not say; see cero_api.adapting.scope_of.
    usual_scope: ClassVar[Scope] = "batch"
    # Whether a window can be narrowed by what its prompts are worth.
    narrows: ClassVar[bool] = True
    # Whether whole groups go to prompts in order of worth also where there is no window.
    ranks: ClassVar[bool] = False

    num_prompts: Annotated[int, Field(gt=0, lt=2**31)]
    rounds: Count
    budget: Count
    prior: tuple[Positive, Positive] = (1.0, 1.0)
    seed: Annotated[int, Field(ge=0)] = 0
    offer: Literal["pool", "window"] = "pool"
    window: Annotated[int, Field(ge=1, le=4096)] = 4
    variety: Annotated[float, Field(ge=0, lt=1)] = 0.0
    belief: Literal["beta", "pooled", "features", "gp"] = "beta"
    offline_strength: Positive | None = None
    cost: Literal["rollouts", "tokens"] = "rollouts"
    token_budget: Count | None = None
    hopeless: Annotated[float, Field(ge=0, lt=1)] | None = None
    mastered: Annotated[float, Field(gt=0, le=1)] | None = None
    rest_rounds: Count = 50
    look_again: Annotated[float, Field(ge=0, lt=1)] = 0.05
    pilot: Count | None = None
    pilot_share: Annotated[float, Field(gt=0, lt=1)] = 0.5

    @property
    def group(self) -> int:
        """Rollouts of a full group, of which a window's prompts get one or none."""
        size: int | None = getattr(self, "rollouts_per_prompt", None)
        return self.limits()[1] if size is None else size

    @model_validator(mode="after")
    def _window_in_pool(self) -> Self:
        if self.offer == "window":
            room = math.ceil(self.budget / self.rounds / self.group)
            if room * self.window > self.num_prompts:
                most = self.num_prompts // room
                raise ValueError(
                    f"window={self.window} offers {room * self.window} prompts a round (the {room} that fit, times "
                    f"{self.window}), and the pool has {self.num_prompts}; "
                    + (f"lower it to {most}" if most else "choose offer='pool'")
                )
        return self

    @model_validator(mode="after")
    def _narrow_window(self) -> Self:
        if self.variety > 0 and (self.offer != "window" or not self.narrows or self.pilot is not None):
            if self.offer != "window":
                why = "narrows a window, and there is none; choose offer='window'"
            elif not self.narrows:
                why = f"narrows a window by what prompts are worth, and a {type(self).__name__} draws among them"
            else:
                why = "narrows a window by what is known before a pilot, which is there to find out"
            raise ValueError(f"variety={self.variety} {why}, or leave it out")
        return self

    @model_validator(mode="after")
    def _cost_of_ranked(self) -> Self:
        if self.cost == "tokens" and self.offer != "window" and self.pilot is None and not self.ranks:
            raise ValueError(
                "cost='tokens' ranks prompts by what a group is worth for its length, and none are ranked over the "
                "pool or candidates, so it would decide nothing; choose offer='window', or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _rest_in_window(self) -> Self:
        if self.offer != "window" and (self.hopeless is not None or self.mastered is not None):
            raise ValueError("hopeless and mastered prompts rest where a window is offered; choose offer='window'")
        if self.hopeless is not None and self.mastered is not None and self.hopeless >= self.mastered:
            raise ValueError(f"hopeless={self.hopeless} must be below mastered={self.mastered}")
        return self

    @model_validator(mode="after")
    def _pilot_in_group(self) -> Self:
        if self.pilot is None:
            return self
        group, floor = self.group, self.limits(candidates=1)[0]
        if self.pilot >= group:
            raise ValueError(
                f"pilot={self.pilot} leaves nothing to commit of a full group of {group}; lower it, or raise the group "
                "(rollouts_per_prompt, or max_rollouts_per_prompt where there is no other)"
            )
        if self.pilot < floor and self.offer != "window":  # a window's prompts may get nothing
            raise ValueError(
                f"pilot={self.pilot} is below min_rollouts_per_prompt={floor}, and is all that most prompts get; raise "
                "it, or lower the floor"
            )
        if self.offer == "window":
            self._pilots_in_window(self.pilot, group)
        return self

    def _pilots_in_window(self, pilot: int, group: int) -> None:
        fits = self.pilot_share * group / pilot  # pilots for each full group that a round has room for
        if fits <= 1:
            raise ValueError(
                f"pilot_share={self.pilot_share} of a round is no more pilots of {pilot} than it has full groups of "
                f"{group}, so nothing would be left to choose; raise it above {pilot / group:g}, or lower pilot"
            )
        if fits > self.window:
            raise ValueError(
                f"pilot_share={self.pilot_share} of a round is {fits:g} pilots of {pilot} for each full group of "
                f"{group}, and window={self.window} offers fewer; raise it to {math.ceil(fits)}, or lower pilot_share"
            )

    def _refuse_unspendable(self, most: int) -> None:
        """Raise ValueError for a budget that rounds of so many rollouts a prompt do not hold."""
        if self.budget > self.rounds * self.num_prompts * most:
            raise ValueError(
                f"budget={self.budget} cannot be spent: {self.rounds} rounds of {self.num_prompts} prompts x {most} "
                "rollouts hold fewer; lower budget or raise rounds"
            )

    # Settings by the name of their source, such as "paper"; see `preset`.
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    @classmethod
    def preset(cls, name: str, /, **fields: Any) -> Self:
        """A configuration with the settings of a preset, where `fields` say nothing else.

        Args:
            name: one of `presets`.
            **fields: of the configuration.

        Raises:
            ConfigurationError: there is no such preset, or a field is wrong.

        >>> config = CeroConfig.preset("paper", num_prompts=8958, rounds=500, budget=256_000)
        >>> config.rollouts_per_unit, config.max_rollouts_per_prompt
        (4, 8)
        """
        if name not in cls.presets:
            known = ", ".join(sorted(cls.presets)) or "none"
            raise ConfigurationError(f"{cls.__name__} has no preset {name!r}; there are: {known}")
        return cls(**{**cls.presets[name], **fields})

    def limits(self, candidates: int | None = None, rollouts: float | None = None) -> tuple[int, int]:
        """Least and most rollouts of a prompt in one round.

        Args:
            candidates: among which the round is shared; None is the whole pool.
            rollouts: of the round; None is the mean over the budget.

        >>> UniformConfig(num_prompts=4, rounds=2, budget=64).limits(candidates=2)
        (0, 64)
        """
        least: int | None = getattr(self, "min_rollouts_per_prompt", None)
        most: int | None = getattr(self, "max_rollouts_per_prompt", None)
        return least or 0, self.budget if most is None else most


class UniformConfig(AllocatorConfig):
    """The same number of rollouts for every prompt: what GRPO-style trainers do by default.

    Args:
        rollouts_per_prompt: size of a group, a trainer's `rollout.n` or `num_generations`.

    >>> UniformConfig(num_prompts=8958, rounds=500, budget=256_000).rollouts_per_prompt
    8
    """

    rollouts_per_prompt: Count = 8

    @model_validator(mode="after")
    def _feasible(self) -> Self:
        self._refuse_unspendable(self.rollouts_per_prompt)
        return self


class BatchConfig(AllocatorConfig):
    """What the methods that share out one batch need to know.

    Args:
        rollouts_per_prompt: mean count of a batch whose total is not given.
        min_rollouts_per_prompt: floor; a group of one has no contrast.
        max_rollouts_per_prompt: cap.
    """

    rollouts_per_prompt: Count = 8
    min_rollouts_per_prompt: Annotated[int, Field(ge=0)] = 2
    max_rollouts_per_prompt: Count = 128

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        low, mean, high = self.min_rollouts_per_prompt, self.rollouts_per_prompt, self.max_rollouts_per_prompt
        if not low <= mean <= high:
            raise ValueError(
                f"min_rollouts_per_prompt={low}, rollouts_per_prompt={mean} and max_rollouts_per_prompt={high} "
                "must be in this order"
            )
        self._refuse_unspendable(high)
        return self


class KnapsackConfig(BatchConfig):
    """Hyper-parameters of Knapsack RL; the counts' range is the paper's, 2 to 128, and the preset "paper"."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {"min_rollouts_per_prompt": 2, "max_rollouts_per_prompt": 128}
    }


class HoraConfig(BatchConfig):
    """Hyper-parameters of HORA; the uniform prior is the preset "paper"."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {"prior": (1.0, 1.0)}}


class VipConfig(BatchConfig):
    """Hyper-parameters of VIP; the preset "paper" has its authors' settings, and its belief needs features.

    Args:
        estimator: whose gradient variance is predicted; "dr_grpo" needs a floor of 3, below which its variance is
            not convex in the count and no rounding is safe.

    Source: arXiv 2602.01601, the authors' scripts: RLOO, 8 rollouts of a prompt on average, 4 to 32 of each, log-odds
    of -1 expected at first.

    >>> config = VipConfig.preset("paper", num_prompts=512, rounds=9, budget=4096)
    >>> config.belief, config.limits()
    ('gp', (4, 32))
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {
            "estimator": "rloo",
            "rollouts_per_prompt": 8,
            "min_rollouts_per_prompt": 4,
            "max_rollouts_per_prompt": 32,
            "belief": "gp",
            "prior": (1.0, math.e),
        }
    }

    estimator: Literal["dr_grpo", "rloo"] = "dr_grpo"
    min_rollouts_per_prompt: Annotated[int, Field(ge=2)] = 3

    @model_validator(mode="after")
    def _convex(self) -> Self:
        if self.estimator == "dr_grpo" and self.min_rollouts_per_prompt < 3:
            raise ValueError("min_rollouts_per_prompt must be at least 3 with estimator='dr_grpo', or use 'rloo'")
        return self


class GvmConfig(BatchConfig):
    r"""Hyper-parameters of GVM.

    Args:
        alpha: $\alpha$, weight of the penalty that keeps hopeless prompts from taking everything.
        beta: $\beta$, its exponent.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {"alpha": 1e-3, "beta": 2.0}}

    alpha: Positive = 1e-3
    beta: Annotated[float, Field(ge=1, le=10)] = 2.0


class CobaRlConfig(BatchConfig):
    r"""Hyper-parameters of CoBA-RL; the preset "paper" has its authors' settings, which are mostly the defaults.

    Args:
        shape: sum of the two parameters of the Beta whose density is the value ($\alpha + \beta$).
        recent: visits of a prompt that its success rate is of, and rounds that the pool's failure rate is of.
        scale: how fast the value of a prompt's rollouts saturates, where all of a batch are alike and where they differ
            most ($\tau_{\min}, \tau_{\max}$).
        by_value: share of what is above the floors that goes by the value where most of a batch neither nearly always
            fail nor always succeed, and less where they are fewer; the rest goes to those that nearly always fail. 1
            keeps nothing back.

    Source: arXiv 2602.03048, the published code: sum of 7, windows of 3, 2 to 32 rollouts, groups of 16 on
    average, $\tau$ of 3 to 12 ("paper"); and what it keeps back from the value ("paper_reserve").

    >>> CobaRlConfig.preset("paper", num_prompts=512, rounds=9, budget=4096).limits()
    (2, 32)
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        name: {
            "rollouts_per_prompt": 16,
            "min_rollouts_per_prompt": 2,
            "max_rollouts_per_prompt": 32,
            "shape": 7.0,
            "recent": 3,
            "scale": (3.0, 12.0),
            "by_value": by_value,
        }
        for name, by_value in (("paper", 1.0), ("paper_reserve", 0.8))
    }

    max_rollouts_per_prompt: Count = 32
    shape: Annotated[float, Field(gt=2, le=1e3)] = 7.0
    recent: Annotated[int, Field(ge=1, le=64)] = 3
    scale: tuple[Positive, Positive] = (3.0, 12.0)
    by_value: Annotated[float, Field(ge=0.6, le=1)] = 1.0


class GroupConfig(AllocatorConfig):
    """What the methods that choose prompts, and give a full group to each, need to know.

    Args:
        rollouts_per_prompt: size of a group, a trainer's `rollout.n` or `num_generations`.
    """

    narrows: ClassVar[bool] = False  # what it chooses by is drawn
    ranks: ClassVar[bool] = True

    rollouts_per_prompt: Count = 8

    def limits(self, candidates: int | None = None, rollouts: float | None = None) -> tuple[int, int]:
        """Least and most rollouts of a prompt in one round: none, or a group; or what more of them comes to."""
        share = 0 if candidates is None or rollouts is None else math.ceil(rollouts / max(candidates, 1))
        return 0, max(self.rollouts_per_prompt, share)

    @model_validator(mode="after")
    def _feasible(self) -> Self:
        self._refuse_unspendable(self.rollouts_per_prompt)
        return self


class MoppsConfig(GroupConfig):
    r"""Hyper-parameters of MoPPS; the defaults are the preset "paper".

    Args:
        target: success rate that is looked for ($\gamma^*$).
        forgetting: share of a prompt's evidence that is kept at each of its visits ($\lambda$); 1 forgets nothing.

    Source: arXiv 2507.04632, the authors' recipe in verl: a target of ½ and a prior of (1, 1) everywhere; on Countdown
    and Geometry3K half of the evidence is kept and 8 times as many prompts are offered as fit ("paper"), on MATH all of
    it and 16 times as many ("paper_math").

    >>> config = MoppsConfig.preset("paper_math", num_prompts=7500, rounds=100, budget=204_800)
    >>> config.offer, config.window, config.forgetting
    ('window', 16, 1.0)
    """

    usual_scope: ClassVar[Scope] = "window"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        name: {
            "rollouts_per_prompt": 8,
            "offer": "window",
            "window": window,
            "target": 0.5,
            "forgetting": forgetting,
            "prior": (1.0, 1.0),
        }
        for name, window, forgetting in (("paper", 8, 0.5), ("paper_math", 16, 1.0))
    }

    offer: Literal["pool", "window"] = "window"
    window: Annotated[int, Field(ge=1, le=4096)] = 8
    target: Annotated[float, Field(ge=0, le=1)] = 0.5
    forgetting: Share = 0.5

    @model_validator(mode="after")
    def _window_in_pool(self) -> Self:
        return self  # by default there is a window here, and in a small pool it is all of it


class GresoConfig(GroupConfig):
    """Hyper-parameters of GRESO; the preset "paper" has its authors' settings, which are the defaults.

    Args:
        easy_exploration: chance of a prompt whose last group was all right, at first; that of a run of k such groups
            is the kth power.
        hard_exploration: the same of those that were all wrong.
        easy_target: share of a round's groups that may be all right.
        hard_target: share that may be all wrong.
        step: by which a chance falls in a round that reaches its target, and rises in one that does not.
        exploration_range: within which the chances stay.
        least_chance: of any prompt, however long its run.

    Source: arXiv 2506.02177, the authors' scripts: chances of ½ at first, between 0.05 and 0.95, steps of 0.01; a
    quarter of all groups may be without contrast, a third of them easy.

    >>> GresoConfig(num_prompts=512, rounds=9, budget=4096).easy_target
    0.08333333333333333
    """

    usual_scope: ClassVar[Scope] = "pool"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {
            "rollouts_per_prompt": 8,
            "offer": "pool",
            "easy_exploration": 0.5,
            "hard_exploration": 0.5,
            "easy_target": 0.25 / 3,
            "hard_target": 0.25 * 2 / 3,
            "step": 0.01,
            "exploration_range": (0.05, 0.95),
            "least_chance": 0.01,
        }
    }

    easy_exploration: Share = 0.5
    hard_exploration: Share = 0.5
    easy_target: Annotated[float, Field(ge=0, le=1)] = 0.25 / 3
    hard_target: Annotated[float, Field(ge=0, le=1)] = 0.25 * 2 / 3
    step: Annotated[float, Field(ge=0, le=1)] = 0.01
    exploration_range: tuple[Share, Share] = (0.05, 0.95)
    least_chance: Share = 0.01

    @model_validator(mode="after")
    def _range_in_order(self) -> Self:
        least, most = self.exploration_range
        if least > most:
            raise ValueError(f"exploration_range={self.exploration_range} must be (least, most); swap them")
        return self


class PilotCommitConfig(GroupConfig):
    """Hyper-parameters of Pilot-Commit; the presets have its authors' settings, by the size of their groups.

    Args:
        pilot: rollouts of each prompt in the first wave; None is a quarter of a group, as in the paper.
        band: success rates in the pilot of the prompts that are committed to.
        solved: success rate in the pilot from which on a prompt is evicted; None evicts nobody.

    Source: arXiv 2605.26606, the authors' scripts: groups of 128 with a pilot of 32 ("paper"), of 64 with one of 16
    ("paper_64"); for 128 prompts that are committed to 384 get a pilot, so half of the rollouts are the pilot's. The
    upper end of the band is 0.75: in their code the threshold of 0.25 is of failures.

    >>> config = PilotCommitConfig.preset("paper", num_prompts=8000, rounds=100, budget=2_457_600)
    >>> config.pilot, config.group, config.band
    (32, 128, (0.125, 0.75))
    """

    waves: ClassVar[int] = 2
    usual_scope: ClassVar[Scope] = "window"

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        name: {
            "rollouts_per_prompt": group,
            "pilot": group // 4,
            "pilot_share": 0.5,
            "offer": "window",
            "window": 2,
            "band": (0.125, 0.75),
            "solved": 1.0,
        }
        for name, group in (("paper", 128), ("paper_64", 64))
    }

    offer: Literal["pool", "window"] = "window"
    window: Annotated[int, Field(ge=1, le=4096)] = 2
    band: tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]] = (0.125, 0.75)
    solved: Annotated[float, Field(gt=0, le=1)] | None = 1.0

    @model_validator(mode="before")
    @classmethod
    def _quarter(cls, fields: Any) -> Any:
        if isinstance(fields, Mapping) and fields.get("pilot") is None:
            group = fields.get("rollouts_per_prompt", _GROUP)
            if isinstance(group, int):  # else the field's own check says so
                return {**fields, "pilot": -(-group // 4)}
        return fields

    @model_validator(mode="after")
    def _window_in_pool(self) -> Self:
        return self  # by default there is a window here, and in a small pool it is all of it

    @model_validator(mode="after")
    def _band_in_order(self) -> Self:
        if self.band[0] > self.band[1]:
            raise ValueError(f"band={self.band} must be (least, most); swap them")
        return self


class CeroConfig(AllocatorConfig):
    r"""Hyper-parameters of CERO; the preset "paper" has all of the paper's, and most defaults are its.

    Args:
        rollouts_per_unit: rollouts that are always dealt together ($g$); the paper's is 4. Sizes below are
            multiples of it. The method is invariant to it but for the granularity of its counts.
        max_rollouts_per_prompt: cap per prompt and round ($g N_{\max}$). None is 8 over the pool, one group as in the
            paper; where the mean round takes more of every prompt, it is twice that, up to 128. Over candidates it is
            twice the round's rollouts per candidate, since at one group each all would get the same.
        min_rollouts_per_prompt: floor per *candidate* and round; None is 2 (a group of one has no contrast),
            in whole units. 0 lets a candidate be passed over. The whole pool knows no floor.
        capacity: cap per round ($gC$); None is 132/128 of the mean round, in whole groups, as in the paper.
        saturation: how fast the value of a prompt's exposure saturates ($\lambda$).
        forgetting: share of a prompt's evidence that is kept ($\rho$); 1 forgets nothing.
        forgetting_clock: "round" is the paper's, where every prompt forgets in every round. A prompt of a large
            pool is visited once in M*N_max/C rounds, and $\rho^{140}$ is nothing: "visit" forgets at visits.
        initial_price: of the budget, normalised ($\nu_1$).
        step_size: of both duals ($\gamma$); None is $1/\sqrt K$.
        pacing: "adaptive" lets the price decide when to spend; "fixed" spends the mean round in each
            ($\nu = 0$); a sequence of `rounds` sizes in rollouts is a given schedule.
        selection: "dual" ranks by the prompt's dual, "marginal" by the exact gain in utility (the paper's
            greedy); None is dual over the pool and marginal over candidates.

    Source: arXiv 2610.09679, section "Experiments" and Algorithm 1.

    >>> config = CeroConfig(num_prompts=8958, rounds=500, budget=256_000, rollouts_per_unit=4)
    >>> config.round_capacity, config.mean_round, round(config.step, 4)
    (528, 512.0, 0.0447)
    >>> config.limits(), config.limits(candidates=64), config.limits(candidates=64, rollouts=1024)
    ((0, 8), (4, 16), (4, 32))
    """

    replanned: ClassVar[frozenset[str]] = AllocatorConfig.replanned | {"capacity", "pacing"}
    usual_scope: ClassVar[Scope] = "window"  # what it knows of prompts tells which to choose, from the first round

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {
            "rollouts_per_unit": 4,
            "max_rollouts_per_prompt": 8,
            "saturation": 1.0,
            "forgetting": 1.0,
            "initial_price": 0.5,
            "pacing": "adaptive",
            "selection": "dual",
            "prior": (1.0, 1.0),
        }
    }

    rollouts_per_unit: Count = 1
    max_rollouts_per_prompt: Count | None = None
    min_rollouts_per_prompt: Annotated[int, Field(ge=0)] | None = None
    capacity: Count | None = None
    saturation: Positive = 1.0
    forgetting: Share = 1.0
    forgetting_clock: Literal["round", "visit"] = "round"
    initial_price: Annotated[float, Field(ge=0, le=1)] = 0.5
    step_size: Positive | None = None
    pacing: Pacing = "adaptive"
    selection: Selection | None = None

    @property
    def round_capacity(self) -> int:
        r"""Rollouts that one round may take ($gC$)."""
        return self.capacity_for(self.budget, self.rounds)

    def capacity_for(self, budget: int, rounds: int) -> int:
        r"""Rollouts that one round may take ($gC$) while so much budget is planned for so many rounds."""
        if self.capacity is not None:
            return self.capacity
        _, cap = self.limits()
        groups = math.ceil(Fraction(budget * 132, rounds * 128 * cap))
        return min(groups, self.num_prompts) * cap

    @property
    def mean_round(self) -> float:
        r"""Rollouts per round if they were spread evenly ($g\bar B$)."""
        return self.budget / self.rounds

    @property
    def floor(self) -> int:
        """Rollouts that every candidate gets."""
        if self.min_rollouts_per_prompt is not None:
            return self.min_rollouts_per_prompt
        smallest = self._whole_units(2)
        return smallest if self.max_rollouts_per_prompt is None else min(smallest, self.max_rollouts_per_prompt)

    def limits(self, candidates: int | None = None, rollouts: float | None = None) -> tuple[int, int]:
        """Least and most rollouts of a prompt in one round; see `AllocatorConfig.limits`."""
        floor = 0 if candidates is None else self.floor
        if self.max_rollouts_per_prompt is not None:
            return floor, self.max_rollouts_per_prompt
        if candidates is not None:
            mean = (self.mean_round if rollouts is None else rollouts) / max(candidates, 1)
            return floor, max(floor, self._whole_units(2 * math.ceil(mean)))
        mean, group = self.mean_round / self.num_prompts, self._whole_units(_GROUP)
        return floor, group if mean <= group else self._whole_units(min(2 * math.ceil(mean), _LARGE_GROUP))

    def _whole_units(self, rollouts: int) -> int:
        return -(-rollouts // self.rollouts_per_unit) * self.rollouts_per_unit

    @property
    def step(self) -> float:
        r"""Step of the projected gradient ($\gamma$)."""
        return self.step_size if self.step_size is not None else 1 / math.sqrt(self.rounds)

    @model_validator(mode="after")
    def _feasible(self) -> Self:
        unit = self.rollouts_per_unit
        for name in ("budget", "max_rollouts_per_prompt", "min_rollouts_per_prompt", "capacity", "pilot"):
            size = getattr(self, name)
            if size is not None and size % unit:
                raise ValueError(f"{name}={size} is not a multiple of rollouts_per_unit={unit}; change either")
        if self.max_rollouts_per_prompt is not None and self.floor > self.max_rollouts_per_prompt:
            raise ValueError(
                f"min_rollouts_per_prompt={self.floor} exceeds max_rollouts_per_prompt="
                f"{self.max_rollouts_per_prompt}; lower the floor or raise the cap"
            )
        most = self.num_prompts * self.limits()[1]
        if self.round_capacity > most:
            raise ValueError(
                f"capacity={self.round_capacity} exceeds num_prompts x max_rollouts_per_prompt = {most}; "
                "lower capacity or raise the cap"
            )
        if self.budget > self.rounds * self.round_capacity:
            raise ValueError(
                f"budget={self.budget} cannot be spent in {self.rounds} rounds of at most "
                f"{self.round_capacity} rollouts; lower budget, or raise rounds, capacity or "
                "max_rollouts_per_prompt"
            )
        if not isinstance(self.pacing, str):
            self._check_schedule(self.pacing)
        return self

    def _check_schedule(self, sizes: tuple[int, ...]) -> None:
        if len(sizes) != self.rounds:
            raise ValueError(f"pacing has {len(sizes)} sizes for rounds={self.rounds}; give one per round")
        if any(size % self.rollouts_per_unit for size in sizes):
            raise ValueError(f"pacing must be in multiples of rollouts_per_unit={self.rollouts_per_unit}")
        if max(sizes) > self.round_capacity:
            raise ValueError(f"pacing asks for {max(sizes)} in a round; raise capacity={self.round_capacity}")
        if sum(sizes) > self.budget:
            raise ValueError(f"pacing asks for {sum(sizes)} rollouts in all; raise budget={self.budget}")


class RandomMatchedConfig(CeroConfig):
    """Hyper-parameters of the control: CERO's own, whose sizes and timing it takes."""

    narrows: ClassVar[bool] = False  # its choice is a draw
