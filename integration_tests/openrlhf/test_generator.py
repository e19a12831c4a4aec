"""OpenRLHF's own generator, with counts: what engines are asked for, what filtering replaces, where buffers are cut."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from openrlhf.trainer.ppo_utils import samples_generator

from cero_api import make_allocator
from cero_api.errors import ConfigurationError
from cero_openrlhf import counts
from cero_openrlhf.books import Books
from cero_openrlhf.config import OpenRLHFAllocatorConfig, allocator_config, schedule_of
from cero_openrlhf.prompts import DatasetIndex
from cero_openrlhf.tickets import Ticket
from integration_tests.openrlhf import made


class FakeRay:
    """References that are ready at once and come back in a random order."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.cancelled: list[Any] = []

    def put(self, value: Any) -> list[Any]:
        return [value]

    def get(self, reference: Any) -> Any:
        # A reference is a list of one; a list of references is a list of those.
        return [one[0] for one in reference] if reference and isinstance(reference[0], list) else reference[0]

    def cancel(self, reference: Any) -> None:
        self.cancelled.append(reference[0][0]["prompt"])

    def wait(self, references: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        left = list(references)
        return [left.pop(self.rng.randrange(len(left)))], left


class Reference(list[Any]):
    """Of a remote call's result."""


def length(prompt: Any, i: int) -> int:
    """Tokens of a response's first turn; its second has one, and one of the environment is between them."""
    return 1 + random.Random(f"{prompt}{i} length").randrange(5)


class Engine:
    """Answers as OpenRLHF's executors do; of a prompt labelled n, n in 8 rollouts succeed, always the same ones."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, int]] = []
        self.get_num_unfinished_requests = SimpleNamespace(remote=lambda: Reference([0]))
        self.generate_responses = SimpleNamespace(remote=self._generate)

    def _generate(self, *, prompt: Any, label: Any, num_samples: int, **_: Any) -> Reference:
        self.asked.append((prompt, num_samples))
        return Reference([tuple(self.response(prompt, label, i) for i in range(num_samples))])

    def response(self, prompt: Any, label: Any, i: int) -> dict[str, Any]:
        reward = float(random.Random(f"{prompt}{i}").random() * 8 < int(label))
        return {
            "prompt": prompt,
            "label": label,
            "images": None,
            "observation_tokens": [1, *range(2 + length(prompt, i))],
            "action_ranges": [(1, 1 + length(prompt, i)), (2 + length(prompt, i), 3 + length(prompt, i))],
            "rollout_log_probs": None,
            "reward": reward,
            "scores": reward,
            "truncated": False,
            "extra_logs": {"double": 2 * reward},
        }


class Loader:
    """An epoch of prompts, one by one, in order."""

    def __init__(self, labels: list[int]) -> None:
        prompts = [f"{i}=" for i in range(len(labels))]
        self.dataset = SimpleNamespace(
            prompts=prompts, labels=[str(label) for label in labels], images=[None] * len(labels)
        )

    def __iter__(self) -> Any:
        columns = zip(self.dataset.prompts, self.dataset.labels, self.dataset.images, strict=True)
        return ((["default"], [prompt], [label], [image]) for prompt, label, image in columns)


class Setup:
    """A generator over fake engines."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        labels: list[int],
        *,
        seed: int = 0,
        engines: int = 1,
        settings: dict[str, Any] | None = None,
        fields: dict[str, Any] | None = None,
        engine: type[Engine] = Engine,
        **changes: Any,
    ) -> None:
        self.ray = FakeRay(seed)
        for module in (samples_generator, counts):
            monkeypatch.setattr(module, "ray", self.ray)
        args = made.args(
            vllm__enable_sleep=False,
            algo__advantage__is_correction_enable=False,  # 0.11.1's name for the next
            algo__advantage__is_correction_level="off",
            algo__dynamic_filtering_range=(0.0, 1.0),
            **{"rollout__vllm_generate_batch_size": None, **changes},
        )
        self.engines = [engine() for _ in range(engines)]
        loader = Loader(labels)
        stock = samples_generator.SamplesGenerator(SimpleNamespace(args=args), loader, loader, None, self.engines)
        own = OpenRLHFAllocatorConfig(**(settings or {}))
        index = DatasetIndex(loader.dataset)
        schedule = schedule_of(args, len(labels), len(index))
        self.books = Books(make_allocator(own.allocator, allocator_config(own, fields or {}, schedule)), rule=own)
        self.numbers: dict[str, float] = {}  # after the latest batch
        self.generator = counts.AllocatedSamplesGenerator(stock, loader, self.books, index, own)

    def generated(self) -> list[tuple[Any, int]]:
        """Every rollout that was looked at; before 0.11.1 what is under way is cancelled where prompts run out."""
        cancelled = {prompt.uid for prompt in self.ray.cancelled}
        asked = [entry for engine in self.engines for entry in engine.asked if entry[0].uid not in cancelled]
        return [(prompt, i) for prompt, count in asked for i in range(count)]

    def epoch(self) -> list[list[Any]]:
        """All training batches of an epoch."""
        made_batches = []
        while True:
            samples, _, _, exhausted = self.generator.generate_samples(max_len=16)
            if samples:
                made_batches.append(list(samples))
                self.numbers = self.books.metrics()
            if exhausted:
                return made_batches


def sizes(batch: list[Any]) -> Counter[int]:
    return Counter(sample.prompts[0].uid for sample in batch)


def whole(batch: list[Any]) -> bool:
    """Whether every group in a batch is there with all its rollouts."""
    dealt = {sample.prompts[0].uid: sample.prompts[0].rollouts for sample in batch}
    return sizes(batch) == Counter(dealt)


LABELS = [0, 1, 2, 4, 5, 6, 7, 8, 4, 4, 0, 8]


def test_batches_keep_their_total_and_counts_become_uneven(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = Setup(monkeypatch, LABELS, train__num_episodes=4)
    epochs = [setup.epoch() for _ in range(4)]
    for batch in itertools.chain(*epochs):
        assert len(batch) == 16
        assert whole(batch)
    assert all(set(sizes(batch).values()) == {4} for batch in epochs[0])  # nothing is known yet
    assert any(len(set(sizes(batch).values())) > 1 for batch in epochs[-1])
    assert setup.books.metrics()["budget_remaining"] == 0


@pytest.mark.parametrize("seed", range(3))
def test_evidence_is_what_was_generated_whatever_finishes_first(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    setup = Setup(monkeypatch, LABELS, seed=seed)
    batches = setup.epoch()
    setup.books.metrics()
    for sample in itertools.chain(*batches):
        row = sample.prompts[0].row
        won = sum(random.Random(f"{row}={i}").random() * 8 < LABELS[row] for i in range(4))
        assert setup.books.allocator.success_rate()[row] == pytest.approx((1 + won) / 6)
    generated = sum(length(sample.prompts[0], i % 4) + 1 for batch in batches for i, sample in enumerate(batch))
    assert setup.books.allocator.metrics()["tokens"] == generated


def test_uneven_counts_are_shared_out_by_load(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = Setup(monkeypatch, LABELS, engines=2, train__num_episodes=6)
    for _ in range(6):
        for batch in setup.epoch():
            loads = [sum(count for _, count in engine.asked) for engine in setup.engines]
            assert abs(loads[0] - loads[1]) <= max(sizes(batch).values())
            for engine in setup.engines:
                engine.asked.clear()


@pytest.mark.parametrize("seed", range(8))
def test_refills_inherit_the_dropped_groups_count(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    labels = random.Random(seed).choices(range(9), k=40)
    setup = Setup(
        monkeypatch,
        labels,
        seed=seed,
        algo__dynamic_filtering_enable=True,
        train__num_episodes=3,
        fields={"seed": seed},
    )
    for _ in range(3):
        batches = setup.epoch()
        for batch in batches[:-1]:
            assert len(batch) == 16
        for batch in batches:
            assert whole(batch)
            for uid in sizes(batch):
                rewards = [float(s.rewards) for s in batch if s.prompts[0].uid == uid]
                assert 0 < sum(rewards) < len(rewards)
    numbers = setup.books.metrics()
    # Filtered groups are paid for, and seen.
    assert numbers["budget_spent"] + numbers["unbudgeted"] == len(setup.generated())
    assert numbers["outstanding"] == 0
    evidence = setup.books.allocator.state_dict()
    assert evidence["successes"].sum() + evidence["failures"].sum() == numbers["budget_spent"]
    if not numbers["unbudgeted"]:
        assert numbers["tokens"] == sum(length(prompt, i) + 1 for prompt, i in setup.generated())


@pytest.mark.parametrize("seed", range(8))
def test_the_end_of_filtering_is_even_over_processes(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    labels = random.Random(seed).choices(range(9), k=30)
    setup = Setup(
        monkeypatch,
        labels,
        seed=seed,
        algo__dynamic_filtering_enable=True,
        actor__num_gpus_per_node=2,
        rollout__micro_batch_size=2,
        train__num_episodes=4,
    )
    for _ in range(4):
        for batch in setup.epoch():
            assert len(batch) % 4 == 0


@pytest.mark.parametrize("filtering", [False, True])
@pytest.mark.parametrize("generated", [6, 8, 11])
@pytest.mark.parametrize("seed", range(3))
def test_oversampling_cuts_its_buffer_between_groups(
    monkeypatch: pytest.MonkeyPatch, seed: int, generated: int, filtering: bool
) -> None:
    labels = random.Random(seed).choices(range(9), k=43)
    setup = Setup(
        monkeypatch,
        labels,
        seed=seed,
        rollout__vllm_generate_batch_size=generated,
        train__async_enable=True,
        algo__dynamic_filtering_enable=filtering,
        train__num_episodes=3,
    )
    seen: Counter[int] = Counter()
    for _ in range(3):
        batches = setup.epoch()
        for batch in batches[:-1]:
            assert len(batch) == 16
        for batch in batches:
            seen.update(set(sizes(batch)))
            if not filtering:
                assert whole(batch)
        if not filtering:
            assert sum(map(len, batches)) == 43 * 4
    assert set(seen.values()) == {1}  # no group in two batches


@pytest.mark.parametrize("generated", [None, 3, 6])
def test_rounds_are_planned_as_they_will_be_dealt(monkeypatch: pytest.MonkeyPatch, generated: int | None) -> None:
    setup = Setup(
        monkeypatch,
        [4] * 13,
        settings={"scope": "pool"},
        rollout__vllm_generate_batch_size=generated,
        train__async_enable=True,
    )
    setup.epoch()
    config = setup.books.allocator.config
    assert (setup.numbers["round"], setup.numbers["budget_spent"]) == (config.rounds, config.budget)


def test_the_pool_is_dealt_in_place_of_the_loaders_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = Setup(monkeypatch, LABELS, settings={"scope": "pool"}, train__num_episodes=12)
    tickets = [sample.prompts[0] for _ in range(12) for batch in setup.epoch() for sample in batch]
    assert len(tickets) == 12 * 12 * 4
    assert {ticket.split("=")[0] for ticket in tickets} == {str(ticket.row) for ticket in tickets}
    given = Counter(ticket.row for ticket in tickets)
    assert [given[row] for row in range(12)] == setup.books.allocator.exposure().tolist()
    assert len(set(given.values())) > 1  # the loader would have given every prompt the same


@pytest.mark.parametrize("filtering", [False, True])
@pytest.mark.parametrize("waits", [False, True])
def test_a_window_deals_whole_groups_in_every_mode(
    monkeypatch: pytest.MonkeyPatch, waits: bool, filtering: bool
) -> None:
    """Of the prompts that it offers; those that replace a filtered one are the loader's."""
    labels = [i % 9 for i in range(48)]
    setup = Setup(
        monkeypatch,
        labels,
        settings={"scope": "window"},
        fields={"cost": "tokens", "belief": "pooled"},
        rollout__vllm_generate_batch_size=8 if waits else None,
        train__async_enable=waits,
        algo__dynamic_filtering_enable=filtering,
        train__num_episodes=3,
    )
    batches = [batch for _ in range(3) for batch in setup.epoch()]
    assert all(set(sizes(batch).values()) == {4} for batch in batches)
    numbers = setup.books.metrics()
    asked = setup.generated()
    assert numbers["budget_spent"] + numbers["unbudgeted"] == len(asked)
    assert numbers["outstanding"] == numbers["unbudgeted"] == 0
    assert numbers["tokens"] == sum(length(prompt, i) + 1 for prompt, i in asked)
    if not filtering:
        by_row = Counter(sample.prompts[0].row for batch in batches for sample in batch)
        assert max(by_row.values()) > min(by_row[row] for row in range(48)), "all were served alike"


def test_evaluation_is_stock(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = Setup(monkeypatch, LABELS)
    setup.epoch()
    spent = setup.books.metrics()["budget_spent"]
    setup.engines[0].asked.clear()
    samples = setup.generator.generate_eval_samples(max_len=16, n_samples_per_prompt=3)
    assert len(samples) == 3 * len(LABELS)
    assert {count for _, count in setup.engines[0].asked} == {3}
    assert not any(isinstance(prompt, Ticket) for prompt, _ in setup.engines[0].asked)
    assert setup.books.metrics()["budget_spent"] == spent


@pytest.mark.parametrize(
    ("key", "threshold", "expected"), [("score", 1.0, 0.5), ("double", 2.0, 0.5), ("double", 2.5, 0.0)]
)
def test_what_judges_success(monkeypatch: pytest.MonkeyPatch, key: str, threshold: float, expected: float) -> None:
    setup = Setup(monkeypatch, [8] * 2 + [0] * 2, settings={"success_key": key, "success_threshold": threshold})
    setup.epoch()
    assert setup.numbers["round_success_rate"] == expected


def test_an_unknown_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = Setup(monkeypatch, LABELS, settings={"success_key": "nothing"})
    with pytest.raises(ConfigurationError, match=r"success_key nothing .* which has \['double'\]"):
        setup.epoch()


class Forgetful(Engine):
    """An agent that returns a prompt of its own making."""

    def response(self, prompt: Any, label: Any, i: int) -> dict[str, Any]:
        return {**super().response(prompt, label, i), "prompt": f"{prompt}!"}


def test_an_agent_that_does_not_return_its_prompt_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = Setup(monkeypatch, LABELS, engine=Forgetful)
    with pytest.raises(ConfigurationError, match="return the very prompt"):
        setup.epoch()


class Unscored(Engine):
    """Rewards come later, from a reward model."""

    def response(self, prompt: Any, label: Any, i: int) -> dict[str, Any]:
        return {**super().response(prompt, label, i), "reward": None, "scores": None}


def test_a_reward_service_that_fails_costs_the_evidence_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = Setup(monkeypatch, LABELS, engine=Unscored)
    setup.epoch()
    numbers = setup.books.metrics()
    assert numbers["budget_refunded"] == 48
    assert numbers["outstanding"] == 0
