"""Counts into generation: OpenRLHF's sample generator, whose prompts carry how many rollouts each was dealt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ray
from openrlhf.trainer.ppo_utils.samples_generator import SamplesGenerator

from cero_api.errors import ConfigurationError
from cero_openrlhf.books import Books
from cero_openrlhf.config import OpenRLHFAllocatorConfig
from cero_openrlhf.feedback import Verdicts, generated
from cero_openrlhf.missing import left_out, levelled, usable
from cero_openrlhf.prompts import DatasetIndex
from cero_openrlhf.shares import divisor, evened
from cero_openrlhf.tickets import Batch, Ticket


class AllocatedSamplesGenerator(SamplesGenerator):
    """Generates as OpenRLHF does, with as many rollouts of each training prompt as it was dealt.

    Counts are dealt per training batch, whose total stays `rollout.batch_size * rollout.n_samples_per_prompt`. What a
    generation returns is ordered by those batches, so that wherever OpenRLHF cuts its buffer, it cuts between groups.
    Evaluation passes through, but for rollouts that have no reward: they are left out of its means.

    Args:
        stock: OpenRLHF's own generator, whose place this one takes.
        loader: the prompt loader that carries the allocator's books.
        books: of the allocator.
        index: of the train dataset.
        settings: the adapter's.
    """

    def __init__(
        self,
        stock: SamplesGenerator,
        loader: Any,
        books: Books,
        index: DatasetIndex,
        settings: OpenRLHFAllocatorConfig,
    ) -> None:
        self.vllm_engines: list[Any]
        super().__init__(stock.strategy, loader, stock.eval_dataloader, stock.tokenizer, stock.vllm_engines)
        self.books = books
        self._index = index
        self._settings = settings
        self._verdicts = Verdicts(settings.success_key)
        self._mean = int(self.args.rollout.n_samples_per_prompt)
        self._scored_later = not self.args.reward.remote_url  # by a reward model
        self._training = False
        self._dispatched = False  # whether this generation has sent its first prompts: what follows are refills
        self._latest: Ticket | None = None  # of the group that OpenRLHF is looking at

    def generate_samples(self, **generate_kwargs: Any) -> tuple[Batch, float | None, int, bool]:
        """One training batch, as OpenRLHF's; it is even over the training processes also at the end of an episode."""
        self._training = True
        try:
            made = self._left_over() or super().generate_samples(**generate_kwargs)
        finally:
            self._training = False
        samples, pass_rate, consumed, exhausted = made
        if not samples:
            self.books.begin()  # before 0.11.1 filtering that runs out of prompts cancels what is under way
        samples = evened(samples, divisor(self.args))
        if not self._scored_later:
            levelled(samples)
        metrics = self.books.metrics() if samples and self.args.train.async_enable else {}
        return Batch(samples, metrics), pass_rate, consumed, exhausted

    def generate_eval_samples(self, **generate_kwargs: Any) -> list[Any]:
        """As OpenRLHF's."""
        samples: list[Any] = super().generate_eval_samples(**generate_kwargs)
        left_out(samples)
        return samples

    def _left_over(self) -> tuple[list[Any], None, int, bool] | None:
        """The next batch of what waits in the buffer when an episode has no more prompts; None if nothing does.

        Before 0.11.1 OpenRLHF empties the buffer then and begins the episode anew, in some sizes without end; from then
        on it does what this does.
        """
        waiting = getattr(self, "_sample_buffer", None)
        if not waiting or self._dataloader_iter is not None:
            return None
        size = self.args.rollout.batch_size * self._mean
        self._sample_buffer = waiting[size:]
        return waiting[:size], None, 0, not self._sample_buffer

    def _generate_vllm(
        self, dataloader_iter: Any, num_prompts: int, dynamic_filtering: bool, **generate_kwargs: Any
    ) -> tuple[list[Any], int, bool]:
        if self._training:
            self.books.begin({sample.prompts[0].uid for sample in self._sample_buffer})
            self._dispatched = False
        samples, consumed, exhausted = super()._generate_vllm(
            dataloader_iter, num_prompts, dynamic_filtering, **generate_kwargs
        )
        if self._training:
            size = self.args.rollout.batch_size * self._mean
            samples = in_batches(samples, size, len(self._sample_buffer))
        return samples, consumed, exhausted

    def _dispatch_prompts_to_vllm(
        self, prompts: list[str], labels: list[Any], *, images: list[Any] | None = None, **generate_kwargs: Any
    ) -> list[Any]:
        if not self._training:
            return super()._dispatch_prompts_to_vllm(prompts, labels, images=images, **generate_kwargs)
        images = [None] * len(prompts) if images is None else images
        deal = self._refills if self._dispatched else self._deals
        self._dispatched = True
        sent = [entry for entry in deal(prompts, labels, images) if entry[0].rollouts]
        tickets, labels, images = map(list, zip(*sent, strict=True))
        engines, self.vllm_engines = self.vllm_engines, [_Switchboard(self.vllm_engines, tickets)]
        try:
            return super()._dispatch_prompts_to_vllm(tickets, labels, images=images, **generate_kwargs)
        finally:
            self.vllm_engines = engines

    def _process_response_into_experience(self, response: dict[str, Any], **generate_kwargs: Any) -> Any:
        experience = super()._process_response_into_experience(usable(response), **generate_kwargs)
        if not self._training:
            return experience
        ticket = response["prompt"]
        if not isinstance(ticket, Ticket):
            raise ConfigurationError(
                "the agent's response has another object than the prompt that it was given under 'prompt', and the "
                "group of a rollout is known by it; return the very prompt, as OpenRLHF's own executors do"
            )
        self._latest = ticket
        if not self._scored_later:
            [tokens] = generated(experience)
            self.books.reward(ticket.uid, self._verdicts.of(response), ticket, tokens)
        return experience

    def _deals(self, prompts: list[str], labels: list[Any], images: list[Any]) -> list[tuple[Ticket, Any, Any]]:
        """The prompts of a generation, dealt batch by batch; over the pool, prompts of the allocator's choice."""
        size, waiting = int(self.args.rollout.batch_size), len(self._sample_buffer) // self._mean
        rows = self._index.rows(prompts, labels, images)
        entries: list[tuple[Ticket, Any, Any]] = []
        for chunk, place in enumerate(batches(len(prompts), size, waiting)):
            dealt = self.books.deal_pool((place.stop - place.start) * self._mean) if self._over_pool else None
            if dealt is not None:
                for uid, row, count in dealt:
                    prompt, label, image = self._index.prompt(row)
                    entries.append((Ticket(prompt, uid, row, count, chunk), label, image))
                continue
            drawn = zip(prompts[place], labels[place], images[place], rows[place], strict=True)
            for (prompt, label, image, row), (uid, count) in zip(
                drawn, self.books.deal(rows[place], self._mean), strict=True
            ):
                entries.append((Ticket(prompt, uid, row, count, chunk), label, image))
        return entries

    def _refills(self, prompts: list[str], labels: list[Any], images: list[Any]) -> list[tuple[Ticket, Any, Any]]:
        """Prompts in place of the group that was just filtered out, with its count."""
        dropped = self._latest
        assert dropped is not None  # OpenRLHF refills after it has looked at a group
        rows = self._index.rows(prompts, labels, images)
        return [
            (
                Ticket(prompt, self.books.refill(row, dropped.rollouts), row, dropped.rollouts, dropped.chunk),
                label,
                image,
            )
            for prompt, label, image, row in zip(prompts, labels, images, rows, strict=True)
        ]

    @property
    def _over_pool(self) -> bool:
        return self._settings.scope != "batch"


def batches(prompts: int, size: int, waiting: int) -> list[slice]:
    """The training batches into which a generation's prompts fall.

    Args:
        prompts: of the generation.
        size: prompts of a training batch.
        waiting: prompts whose rollouts are left in the buffer; the first batch is but what they lack.

    >>> batches(7, 4, 1)
    [slice(0, 3, None), slice(3, 7, None)]
    """
    starts = [0, *range(size - waiting, prompts, size)]
    return [slice(start, stop) for start, stop in zip(starts, [*starts[1:], prompts], strict=True)]


def in_batches(samples: Sequence[Any], size: int, waiting: int) -> list[Any]:
    """Rollouts in an order in which every multiple of `size` falls between two groups.

    Where batches are complete, that is the order in which they were dealt. Where filtering has run out of prompts, what
    is left is put together group by group, and of a group that does not fit, only what fits is kept.

    Args:
        samples: of one generation, those of a group adjacent.
        size: rollouts of a training batch.
        waiting: rollouts already in the buffer, fewer than `size`.
    """
    groups: dict[tuple[int, int], list[Any]] = {}
    for sample in samples:
        ticket = sample.prompts[0]
        groups.setdefault((ticket.chunk, ticket.uid), []).append(sample)
    ordered: list[Any] = []
    left = [groups[key] for key in sorted(groups)]
    while left:
        room = size - (waiting + len(ordered)) % size
        # The next group in order that fits; if none does, of the next one what fits.
        fitting = next((place for place, group in enumerate(left) if len(group) <= room), 0)
        ordered += left.pop(fitting)[:room]
    return ordered


def assigned(counts: Sequence[int], loads: Sequence[int]) -> list[int]:
    """Engine of each group: large groups first, each to the engine with least to do.

    >>> assigned([2, 8, 4, 2], [0, 0])
    [1, 0, 1, 1]
    """
    load, engine = list(loads), [0] * len(counts)
    for group in sorted(range(len(counts)), key=lambda group: -counts[group]):
        least = min(range(len(load)), key=load.__getitem__)
        engine[group] = least
        load[least] += counts[group]
    return engine


class _Remote:
    """Something that is called as a method of a Ray actor is."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.remote = call


class _Switchboard:
    """Stands in for OpenRLHF's engines while it dispatches: puts each prompt through, with the count it was dealt."""

    def __init__(self, engines: list[Any], tickets: Sequence[Ticket]) -> None:
        loads = ray.get([engine.get_num_unfinished_requests.remote() for engine in engines])
        chosen = assigned([ticket.rollouts for ticket in tickets], loads)
        self._engines = {ticket.uid: engines[i] for ticket, i in zip(tickets, chosen, strict=True)}
        self.get_num_unfinished_requests = _Remote(lambda: ray.put(0))
        self.generate_responses = _Remote(self._generate)

    def _generate(self, *, prompt: Ticket, num_samples: int, **arguments: Any) -> Any:
        engine = self._engines[prompt.uid]
        return engine.generate_responses.remote(prompt=prompt, num_samples=prompt.rollouts, **arguments)
