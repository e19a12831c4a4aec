"""The training without a trainer library is TRL's: logits, samples, gradients, steps, and what is learned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig

from cero_api import RolloutOutcomes, UniformAllocator, UniformConfig
from cero_api.errors import BudgetError, ConfigurationError
from cero_lab import history
from cero_lab.evaluate import expected
from cero_lab.fast.chances import chances
from cero_lab.fast.driver import Answer, Ask
from cero_lab.fast.drivers import Dealt, DynamicSampling, Loader
from cero_lab.fast.generate import Completions, generate
from cero_lab.fast.learner import Learner, Wave
from cero_lab.fast.network import Network
from cero_lab.fast.questions import Questions
from cero_lab.fast.training import Training, train
from cero_lab.fast.weights import Shape, joined, parted
from cero_lab.model import make_model, make_tokenizer
from cero_lab.run import train as train_by_trl
from cero_lab.settings import EvalSettings, ModelSettings, RunSettings, TrainSettings, WarmstartSettings
from cero_lab.tasks import Puzzle, heldout, pool, solved
from cero_lab.vocabulary import VOCABULARY, encode
from cero_lab.warmstart import cached_checkpoint, learn
from cero_trl.trainer import CeroGRPOTrainer

SIZES = TrainSettings(prompts=12, rounds=8, prompts_per_round=3, group_size=4, warmup=2, learning_rate=3e-3)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model, whose weights are large enough that it is sure of something."""
    folder = tmp_path_factory.mktemp("start")
    model = make_model(ModelSettings(width=16, mlp_width=24, layers=2, heads=2), seed=0)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.2 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel()))
    model.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def reference(start: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32).eval()


def questions(count: int, seed: int = 0) -> Questions:
    return Questions.of(pool("hard", count, seed))


# The model


def test_every_token_is_the_tokenizers() -> None:
    tokenizer = make_tokenizer()
    assert tokenizer.get_vocab() == VOCABULARY
    assert all(tokenizer(p.prompt + p.answer)["input_ids"] == encode(p.prompt + p.answer) for p in pool("mixed", 9, 0))


def test_logits_are_those_of_transformers(start: Path, reference: Any) -> None:
    network, asked = Network.load(start), questions(6)
    weights = network.weights()
    prompts, lengths = asked.prompts(torch.arange(6))
    assert len(lengths.unique()) > 1
    width = prompts.shape[1]
    first, memory = network.read(weights, prompts, torch.arange(6) * width + lengths - 1)
    owner = torch.tensor([4, 0, 0, 3, 5, 1, 2, 2])
    said = torch.randint(2, len(VOCABULARY), (8, 7), generator=torch.Generator().manual_seed(0))
    rest = network.follow(weights, said, torch.arange(8 * 7), memory, lengths, owner).view(8, 7, -1)
    for row, prompt in enumerate(owner.tolist()):
        whole = torch.cat([prompts[prompt, : lengths[prompt]], said[row]])[None]
        wanted = reference(input_ids=whole).logits[0, lengths[prompt] - 1 :]
        torch.testing.assert_close(torch.cat([first[prompt, None], rest[row]]), wanted, rtol=0, atol=2e-5)


def test_weights_go_over_and_come_back(start: Path, reference: Any) -> None:
    network = Network.load(start)
    state = parted(network.vector, network.shape)
    theirs = reference.state_dict()
    assert set(theirs) - set(state) == {"lm_head.weight"}  # it is the embedding
    assert all(torch.equal(theirs[name], value) for name, value in state.items())
    assert torch.equal(joined(state, network.shape), network.vector.detach())


def test_another_kind_of_model_is_refused(start: Path) -> None:
    config = json.loads((start / "config.json").read_text())
    with pytest.raises(ConfigurationError, match="hidden_act"):
        Shape.of(config | {"hidden_act": "gelu"})


# What it says


def test_a_completion_is_drawn_by_its_own_numbers(start: Path, reference: Any) -> None:
    network, asked = Network.load(start), questions(5)
    owner = torch.arange(5).repeat_interleave(torch.tensor([9, 1, 4, 20, 6]))
    chance = torch.rand(40, 11, generator=torch.Generator().manual_seed(1))
    prompts, lengths = asked.prompts(torch.arange(5))
    said = generate(network, prompts, lengths, owner, chance)
    assert len(said.lengths.unique()) > 4  # rows end, and are cleared away, at different times
    for row, (tokens, size) in enumerate(zip(said.tokens, said.lengths, strict=True)):
        length = int(lengths[owner[row]])
        whole = torch.cat([prompts[owner[row], :length], tokens[:size]])[None]
        shares = reference(input_ids=whole).logits[0, length - 1 : -1].softmax(-1).cumsum(-1)
        picked = tokens[:size, None]
        above, below = shares.gather(1, picked)[:, 0], (shares - shares.diff(dim=-1, prepend=torch.zeros(size, 1)))
        assert bool((chance[row, :size] < above + 1e-5).all())
        assert bool((chance[row, :size] > below.gather(1, picked)[:, 0] - 1e-5).all())
        ended = VOCABULARY["<eos>"] in tokens[:size]
        assert ended == (tokens[size - 1] == VOCABULARY["<eos>"])
        assert ended or size == 11
        assert not tokens[size:].any()


def test_chances_are_the_exact_evaluation(start: Path, reference: Any) -> None:
    puzzles = heldout("hard", 150, seed=0)  # more than are computed at once
    rates, _ = expected(reference, AutoTokenizer.from_pretrained(start, padding_side="left"), puzzles)
    network, asked = Network.load(start), Questions.of(puzzles)
    np.testing.assert_allclose(chances(network, asked), rates, rtol=2e-4, atol=1e-12)
    rows = np.array([7, 3, 141])
    np.testing.assert_allclose(chances(network, asked, rows), np.array(rates)[rows], rtol=2e-4)


@pytest.mark.parametrize("task", ["spell_backward", "caesar_cipher"])
def test_the_judge_is_the_tasks(task: str) -> None:
    puzzle = next(p for p in pool("easy", 30, 0) if p.task == task and "r" in p.answer)
    asked, eos, pad = Questions.of([puzzle]), VOCABULARY["<eos>"], VOCABULARY["<pad>"]
    answer = encode(puzzle.answer)
    capital = [VOCABULARY["R"] if token == VOCABULARY["r"] else token for token in answer]
    tries = [
        [*answer, eos], answer, [*answer, pad, eos], [pad, *answer, eos], [*capital, eos], [*answer[:-1], eos],
        [*answer, answer[0], eos], [*answer[::-1], eos], [eos], [pad, pad, pad],
    ]  # fmt: skip
    tokenizer = make_tokenizer()
    for said in tries:
        text = tokenizer.decode(said, skip_special_tokens=True)
        reward = asked.rewards(np.array([0]), torch.tensor([said]), torch.tensor([len(said)]))
        assert reward[0] == solved(puzzle, text), text


# What it learns from


class Spy(TrainerCallback):
    """TRL's training, as it went: what was said, and the gradient and the weights of each step."""

    def __init__(self, trainer: Any, shape: Shape) -> None:
        self.waves: list[dict[str, Any]] = []
        self.gradients: list[torch.Tensor] = []
        self.weights: list[torch.Tensor] = []
        self._trainer, self._shape = trainer, shape
        inner = trainer._generate_and_score_completions

        def generate(inputs: Any) -> Any:
            output = inner(inputs)
            self.waves.append(dict(output))
            return output

        setattr(trainer, "_generate_and_score_completions", generate)  # noqa: B010  # TRL is Any to mypy, or is not

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        gradients = {name: weight.grad for name, weight in self._trainer.model.named_parameters()}
        self.gradients.append(joined(gradients, self._shape))

    def on_optimizer_step(self, *_: Any, **__: Any) -> None:
        self.weights.append(joined(self._trainer.model.state_dict(), self._shape))


def parity(completion_ids: list[list[int]], **_: Any) -> list[float]:
    """A reward that an untrained model earns now and then."""
    return [float(sum(ids) % 3 == 0) for ids in completion_ids]


@pytest.mark.parametrize("allocator", ["uniform", "cero"])
def test_a_step_is_trls(allocator: str, start: Path, tmp_path: Path) -> None:
    puzzles = pool("hard", SIZES.prompts, 0)
    model = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
    rounds: list[Any] = []
    trainer = CeroGRPOTrainer(
        model=model,
        reward_funcs=parity,
        args=GRPOConfig(
            output_dir=str(tmp_path), max_steps=SIZES.rounds, per_device_train_batch_size=12, num_generations=4,
            max_completion_length=SIZES.max_new_tokens, learning_rate=SIZES.learning_rate,
            lr_scheduler_type="constant_with_warmup", warmup_steps=SIZES.warmup, top_k=0, seed=0, use_cpu=True,
            bf16=False, gradient_checkpointing=False, save_strategy="no", report_to=[], disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list([{"prompt": p.prompt} for p in puzzles]),
        processing_class=AutoTokenizer.from_pretrained(start, padding_side="left"),
        allocator=allocator, scope="batch",
        on_round=rounds.append,
    )  # fmt: skip
    network = Network.load(start)
    spy = Spy(trainer, network.shape)
    trainer.add_callback(spy)
    trainer.train()

    learner = Learner(network, Questions.of(puzzles), SIZES, seed=0)
    before = network.vector.detach().clone()
    for wave, record, gradient, weights in zip(spy.waves, rounds, spy.gradients, spy.weights, strict=True):
        tokens, mask = wave["completion_ids"], wave["completion_mask"]
        dealt = np.repeat(record.prompt_ids, record.counts)
        rewards = np.array(parity([row[keep.bool()].tolist() for row, keep in zip(tokens, mask, strict=True)]))
        tokens = torch.nn.functional.pad(tokens, (0, SIZES.max_new_tokens - tokens.shape[1]))
        learner.step([Wave(dealt, Completions(tokens, mask.sum(1)), rewards)])
        assert network.vector.grad is not None
        torch.testing.assert_close(network.vector.grad, gradient, rtol=1e-4, atol=1e-6)
        # Adam divides by the size of a gradient, so a number that is nearly 0 may step either way.
        assert float((network.vector.detach() - weights).abs().mean()) < 1e-3 * SIZES.learning_rate
    assert float((network.vector.detach() - before).abs().mean()) > SIZES.learning_rate
    assert len({len(record.counts) for record in rounds}) == 1
    assert (allocator == "uniform") == all((record.counts == 4).all() for record in rounds)


def test_two_waves_are_one_group(start: Path) -> None:
    rows, asked = np.array([2, 2, 2, 5, 5, 5, 2, 2, 5, 5]), questions(8)
    tokens = torch.randint(2, 30, (10, 11), generator=torch.Generator().manual_seed(0))
    rewards = np.array([1, 1, 1, 0, 0, 0, 0, 0, 1, 0], dtype=np.float64)  # the first wave alone has no contrast
    lengths = torch.arange(1, 11)
    after = []
    for parts in ([slice(0, 10)], [slice(0, 6), slice(6, 10)]):
        learner = Learner(Network.load(start), asked, SIZES.model_copy(update={"warmup": 0}), seed=0)
        learner.step([Wave(rows[at], Completions(tokens[at], lengths[at]), rewards[at]) for at in parts])
        after.append(learner.network.vector.detach())
    assert not torch.equal(after[0], Network.load(start).vector)
    assert torch.equal(after[0], after[1])


def test_rollouts_that_are_not_kept_count_in_nothing(start: Path) -> None:
    rows, asked = np.array([2, 2, 2, 5, 5, 5]), questions(8)
    tokens = torch.randint(2, 30, (6, 11), generator=torch.Generator().manual_seed(0))
    rewards, lengths = np.array([1, 0, 1, 0, 1, 0], dtype=np.float64), torch.arange(1, 7)
    after = []
    for part, kept in ((slice(3, 6), None), (slice(0, 6), np.array([5])), (slice(0, 6), None)):
        learner = Learner(Network.load(start), asked, SIZES.model_copy(update={"warmup": 0}), seed=0)
        learner.step([Wave(rows[part], Completions(tokens[part], lengths[part]), rewards[part])], kept)
        after.append(learner.network.vector.detach())
    assert torch.equal(after[0], after[1])
    assert not torch.equal(after[0], after[2])


def test_a_round_without_contrast_moves_by_the_optimizers_memory_alone(start: Path) -> None:
    learner = Learner(Network.load(start), questions(8), SIZES.model_copy(update={"warmup": 0}), seed=0)
    tokens, lengths = torch.full((4, 11), 5), torch.full((4,), 3)
    before = learner.network.vector.detach().clone()
    for rewards, moves in (([1, 1, 1, 1], False), ([1, 0, 0, 1], True), ([0, 0, 0, 0], True)):
        learner.step([Wave(np.zeros(4, dtype=np.int64), Completions(tokens, lengths), np.array(rewards, dtype=float))])
        assert torch.equal(before, learner.network.vector) != moves
        before = learner.network.vector.detach().clone()


def test_a_warm_start_learns_from_the_answers_alone(start: Path, reference: Any) -> None:
    puzzles = pool("hard", 70, 0)  # more than are computed at once
    rows = [[*encode(p.prompt + p.answer), VOCABULARY["<eos>"]] for p in puzzles]
    ids = torch.tensor([row + [0] * (24 - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (24 - len(row)) for row in rows])
    asked = torch.arange(24) < torch.tensor([[len(p.prompt)] for p in puzzles])
    reference.zero_grad()
    reference(input_ids=ids, attention_mask=mask, labels=ids.masked_fill(asked | (mask == 0), -100)).loss.backward()
    network = Network.load(start)
    learn(network, Questions.of(puzzles))
    gradients = {name: weight.grad for name, weight in reference.named_parameters()}
    reference.zero_grad()
    torch.testing.assert_close(network.vector.grad, joined(gradients, network.shape), rtol=1e-4, atol=1e-6)


# A training


class Twice:
    """Three prompts twice, then the first of them again: what a pilot does."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []

    def play(self, ask: Ask) -> None:
        self.answers.append(ask(np.array([4, 1, 7]), np.array([2, 0, 2])))
        self.answers.append(ask(np.array([7]), np.array([4])))


def test_a_round_may_come_in_waves_and_is_booked_once(start: Path) -> None:
    sizes = SIZES.model_copy(update={"rounds": 3})
    driver = Twice()
    training = train(Learner(Network.load(start), questions(12), sizes, 0), driver, questions(20, 1), sizes, every=2)
    assert training.rollouts == [0, 16, 24]
    assert [(r.prompts, r.counts) for r in training.rounds] == [([4, 7], [2, 6])] * 3
    first, second = driver.answers[:2]
    assert first.outcomes.prompt_ids.tolist() == [4, 1, 7]
    assert first.outcomes.rollouts.tolist() == [2, 0, 2]
    assert training.rounds[0].tokens == [first.tokens[0], first.tokens[2] + second.tokens[0]]
    assert training.tokens == [0, *np.cumsum([sum(r.tokens) for r in training.rounds])[[1, 2]]]
    short = TrainSettings(prompts=12, rounds=5, prompts_per_round=1, group_size=4)
    learner = Learner(Network.load(start), questions(12), short, 0)
    with pytest.raises(BudgetError, match="budget of 20"):
        train(learner, Twice(), questions(20, 1), short, every=2)


def test_dynamic_sampling_pays_for_what_it_throws_away() -> None:
    """Prompts 0 to 3 of eight have contrast: of two batches of four, four groups at least are thrown away."""
    asked: list[int] = []

    def ask(rows: NDArray[np.int64], counts: NDArray[np.int64]) -> Answer:
        asked.append(int(counts.sum()))
        won = np.where(rows < 4, counts // 2, counts)
        return Answer(RolloutOutcomes(rows, won, counts - won), counts)

    driver = DynamicSampling(Loader(8, 4, 0), groups=4, size=2, budget=40)
    assert sorted(driver.play(ask).tolist()) == [0, 1, 2, 3]
    assert asked == [8, 8]  # a whole epoch
    assert driver.play(ask).size == 4
    assert driver.play(ask).size < 4  # the budget ended within the round
    assert sum(asked) == 40
    assert driver.play(ask).size == 0
    patient = DynamicSampling(Loader(8, 4, 0), groups=5, size=2, budget=400, most=1)
    assert patient.play(ask).size < 5


def fast(sizes: TrainSettings, start: Path, puzzles: list[Puzzle], held: Questions, seed: int, every: int) -> Training:
    learner = Learner(Network.load(start), Questions.of(puzzles), sizes, seed)
    config = UniformConfig(num_prompts=sizes.prompts, rounds=sizes.rounds, budget=sizes.budget, seed=seed)
    loader = Loader(sizes.prompts, sizes.prompts_per_round, seed)
    total = sizes.prompts_per_round * sizes.group_size
    return train(learner, Dealt(UniformAllocator(config), total, loader), held, sizes, every)


def test_the_same_seed_is_the_same_training(start: Path) -> None:
    puzzles, held = pool("hard", SIZES.prompts, 0), questions(20, 1)
    one, again, other = (fast(SIZES, start, puzzles, held, seed, 2) for seed in (0, 0, 1))
    assert (one.accuracy, one.rounds) == (again.accuracy, again.rounds)
    assert one.rounds != other.rounds


# Sure of most answers but for its slips, which is quickly unlearned.
LEARNS = WarmstartSettings(
    model=ModelSettings(width=32, mlp_width=96, layers=2, heads=2), batch=64, learning_rate=1e-2, max_steps=300,
    longest=4, slips=0.25,
)  # fmt: skip
CURVE = TrainSettings(
    prompts=48, rounds=24, prompts_per_round=8, group_size=8, warmup=2, learning_rate=1e-3, save_every=10**9
)


def test_the_mean_curve_is_trls(tmp_path: Path) -> None:
    """Everything together, the order of the prompts and the samples among it: as much is learned, and as fast."""
    start, evaluation = cached_checkpoint(LEARNS, tmp_path), EvalSettings(prompts=96, samples=0, every=8)
    held = Questions.of(heldout("easy", evaluation.prompts, evaluation.seed))
    mine = np.array([fast(CURVE, start, pool("easy", 48, s), held, s, every=8).accuracy for s in range(10)])
    theirs = []
    for seed in range(4):
        run = RunSettings(allocator="uniform", seed=seed, pool="easy", start=start, train=CURVE, evaluation=evaluation)
        assert train_by_trl(run, tmp_path / str(seed))
        theirs.append([e.sampled for e in history.read(tmp_path / str(seed)).evaluations])
    other = np.array(theirs)
    np.testing.assert_allclose(other[:, 0], mine[0, 0], atol=1e-6)
    spread = np.concatenate([mine - mine.mean(0), other - other.mean(0)]).std(0)
    errors = spread * np.sqrt(1 / len(mine) + 1 / len(other))
    assert mine.mean(0)[-1] - mine[0, 0] > 3 * errors[-1]  # there is something to differ in
    assert (np.abs(mine.mean(0) - other.mean(0))[1:] < 3.5 * errors[1:]).all()
