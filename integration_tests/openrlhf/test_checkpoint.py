"""The loader's state carries the allocator's, through torch's own files; what does not fit is refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchdata.stateful_dataloader import StatefulDataLoader

from cero_api import CeroConfig, make_allocator
from cero_api.adapting import said_rule
from cero_api.errors import CheckpointError, ConfigurationError
from cero_api.rewards import SuccessRule
from cero_openrlhf.books import Books
from cero_openrlhf.checkpoint import KEY, LoaderWithBooks
from cero_openrlhf.config import read_settings
from cero_openrlhf.early import check_files, keep_settings
from integration_tests.openrlhf import made, tiny

# torchdata 0.11 still calls what torch 2.13 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")


SIZE: dict[str, Any] = {"num_prompts": 8, "rounds": 8, "budget": 128}


def loader(
    pool: str = "this", fresh_start: bool = False, rule: SuccessRule | None = None, key: str = "reward", **changes: Any
) -> tuple[LoaderWithBooks, Books]:
    books = Books(make_allocator("cero", **SIZE | changes), rule=rule, success_key=key)
    return LoaderWithBooks(StatefulDataLoader(range(8), batch_size=1), books, pool, fresh_start), books


def used() -> tuple[LoaderWithBooks, Books]:
    """After one batch of four prompts."""
    mine, books = loader()
    drawn = iter(mine)
    rows = [int(next(drawn)[0]) for _ in range(4)]
    books.begin()
    for i, (uid, count) in enumerate(books.deal(rows, 4)):
        for _ in range(count):
            books.report(uid, float(i % 2))
    return mine, books


def saved(state: Any) -> Any:
    """Through a file, as DeepSpeed saves it."""
    file = io.BytesIO()
    torch.save({"client": state}, file)
    return torch.load(io.BytesIO(file.getvalue()), weights_only=True)["client"]


def test_both_states_are_restored() -> None:
    mine, books = used()
    state = saved(mine.state_dict())
    other, others_books = loader()
    other.load_state_dict(state)
    assert [int(row[0]) for row in other] == [4, 5, 6, 7]
    for name, value in books.allocator.state_dict().items():
        np.testing.assert_array_equal(value, others_books.allocator.state_dict()[name])


def test_stock_openrlhf_resumes_it() -> None:
    mine, _ = used()
    stock = StatefulDataLoader(range(8), batch_size=1)
    stock.load_state_dict(mine.state_dict())
    assert [int(row[0]) for row in stock] == [4, 5, 6, 7]


def test_the_log_of_a_restored_state_is_short() -> None:
    assert len(repr(used()[0].state_dict()[KEY])) < 300


def test_it_is_the_loader_in_every_other_way() -> None:
    mine, _ = loader()
    assert (len(mine), mine.batch_size, mine.dataset) == (8, 1, range(8))


def test_a_state_without_the_allocators_is_refused() -> None:
    state = StatefulDataLoader(range(8), batch_size=1).state_dict()
    with pytest.raises(CheckpointError, match=r"resume one that was; or pass --cero\.fresh_start"):
        loader()[0].load_state_dict(state)
    mine, books = loader(fresh_start=True)
    mine.load_state_dict(state)
    assert books.metrics()["budget_spent"] == 0


def test_another_dataset_is_refused_unless_a_fresh_start_is_asked_for() -> None:
    state = used()[0].state_dict()
    with pytest.raises(CheckpointError, match=r"resume with those of that run; or pass --cero\.fresh_start"):
        loader(pool="another")[0].load_state_dict(state)
    mine, books = loader(pool="another", fresh_start=True)
    mine.load_state_dict(state)
    assert books.metrics()["budget_spent"] == 0
    assert [int(row[0]) for row in mine] == [4, 5, 6, 7]


def test_a_longer_training_goes_on_with_what_was_learned() -> None:
    mine, books = used()
    longer, others_books = loader(rounds=20, budget=320)
    longer.load_state_dict(mine.state_dict())
    mine_now, theirs_now = books.allocator, others_books.allocator
    np.testing.assert_array_equal(mine_now.exposure(), theirs_now.exposure())
    np.testing.assert_array_equal(mine_now.success_rate(), theirs_now.success_rate())
    assert others_books.metrics()["budget_remaining"] == 320 - 16


def test_other_settings_are_refused_by_their_difference() -> None:
    with pytest.raises(CheckpointError, match=r"saturation=1\.0 \(now 2\.0\);") as refusal:
        loader(saturation=2.0)[0].load_state_dict(used()[0].state_dict())
    assert "num_prompts" not in str(refusal.value)


def test_other_successes_are_refused_unless_a_fresh_start_is_asked_for() -> None:
    state = saved(used()[0].state_dict())
    other = SuccessRule(success_threshold=0.5)
    with pytest.raises(CheckpointError, match=r"success_threshold=1\.0 \(now 0\.5\).*--cero\.fresh_start"):
        loader(rule=other)[0].load_state_dict(state)
    loader(rule=other, fresh_start=True)[0].load_state_dict(state)
    with pytest.raises(CheckpointError, match=r"success_key=reward \(now score\)"):
        loader(key="score")[0].load_state_dict(state)
    del state[KEY]["judged_by"]["success_key"]  # as an earlier version wrote it
    loader(key="score")[0].load_state_dict(state)
    del state[KEY]["judged_by"]  # as an earlier version wrote it
    loader(rule=other)[0].load_state_dict(state)


def test_a_torn_state_is_refused_unless_a_fresh_start_is_asked_for() -> None:
    state = saved(used()[0].state_dict())
    del state[KEY]["next"]
    with pytest.raises(CheckpointError, match=r"is torn, it has no next.*--cero\.fresh_start"):
        loader()[0].load_state_dict(state)
    loader(fresh_start=True)[0].load_state_dict(state)


@pytest.mark.parametrize(
    ("told", "now", "differing"),
    [
        ({"features": np.arange(8.0)[:, None]}, {"features": np.arange(8.0)[::-1, None]}, "features"),
        ({"offline_rates": np.arange(8) / 8}, {"offline_rates": np.arange(8) / 9}, "offline rates"),
        ({"offline_rates": np.arange(8) / 8}, {}, "offline rates"),
    ],
)
def test_other_knowledge_of_the_prompts_is_refused(told: dict[str, Any], now: dict[str, Any], differing: str) -> None:
    config = CeroConfig(**SIZE, belief="features" if "features" in told else "pooled")

    def loader_told(fresh_start: bool = False, **known: Any) -> LoaderWithBooks:
        books = Books(make_allocator("cero", config, **known))
        return LoaderWithBooks(StatefulDataLoader(range(8), batch_size=1), books, "this", fresh_start)

    state = saved(loader_told(**told).state_dict())
    loader_told(**told).load_state_dict(state)
    with pytest.raises(CheckpointError, match=rf"was told other {differing} of its prompts.*--cero\.fresh_start"):
        loader_told(**now).load_state_dict(state)
    loader_told(fresh_start=True, **now).load_state_dict(state)


def test_settings_are_kept_beside_the_checkpoint_and_judged_before_a_model_loads(tmp_path: Path) -> None:
    prompts = tiny.make_prompts(tmp_path / "prompts.jsonl", tiny.LABELS)
    kept = make_allocator("cero", num_prompts=12, rounds=3, budget=48, max_rollouts_per_prompt=8, capacity=16)
    keep_settings(tmp_path / "checkpoints", kept, said_rule(SuccessRule(), success_key="reward"))

    def check(**changes: Any) -> str | None:
        files = {"ckpt__load_enable": True, "ckpt__path": str(tmp_path / "checkpoints")}
        args = made.args(**made.reading(prompts) | files | changes)
        return check_files(args, *read_settings(args))

    check(train__num_episodes=2, cero__max_rollouts_per_prompt="6")  # nothing but settings is there to be resumed
    (tmp_path / "checkpoints" / "_actor").mkdir()
    with pytest.warns(UserWarning, match="every prompt is visited once"):
        check()
    check(train__num_episodes=2)
    with pytest.raises(ConfigurationError, match=r"max_rollouts_per_prompt=8 \(now 6\).*or pass --cero\.fresh_start"):
        check(train__num_episodes=2, cero__max_rollouts_per_prompt="6")
    check(train__num_episodes=2, cero__max_rollouts_per_prompt="6", cero__fresh_start=True)
    with pytest.raises(ConfigurationError, match=r"success_threshold=1\.0 \(now 0\.5\).*--cero\.fresh_start"):
        check(train__num_episodes=2, cero__success_threshold="0.5")
    check(train__num_episodes=2, cero__success_threshold="0.5", cero__fresh_start=True)
    with pytest.raises(ConfigurationError, match="ends before the training, which generates 96"):
        check(train__num_episodes=2, cero__budget="80")
    with pytest.raises(ConfigurationError, match=r"success_key=reward \(now score\).*--cero\.fresh_start"):
        check(train__num_episodes=2, cero__success_key="score")

    keep_settings(tmp_path / "checkpoints", kept, {}, check(train__num_episodes=2))
    check(train__num_episodes=2)
    others = tiny.make_prompts(tmp_path / "others.jsonl", tiny.LABELS[::-1])
    for changes in ({"data__prompt_dataset": str(others)}, {"data__input_template": "{}!"}):
        with pytest.raises(ConfigurationError, match=r"with another train dataset or template.*--cero\.fresh_start"):
            check(train__num_episodes=2, **changes)


def test_settings_that_cannot_be_kept_end_no_training(caplog: pytest.LogCaptureFixture) -> None:
    _, books = loader()
    mine = LoaderWithBooks(StatefulDataLoader(range(8), batch_size=1), books, "this", folder="/dev/null/checkpoints")
    assert KEY in mine.state_dict()
    assert KEY in mine.state_dict()
    assert caplog.text.count("the next start cannot judge early") == 1


def test_a_template_that_says_the_same_of_two_rows_is_no_other_dataset(tmp_path: Path) -> None:
    """Many trim what they are given; what is one prompt then is two in the file."""
    prompts = tiny.make_prompts(tmp_path / "prompts.jsonl", [*tiny.LABELS, tiny.LABELS[0]])
    files = {"ckpt__load_enable": True, "ckpt__path": str(tmp_path), "train__num_episodes": 2}
    args = made.args(**made.reading(prompts) | files)
    (tmp_path / "_actor").mkdir()
    kept = make_allocator("cero", num_prompts=12, rounds=8, budget=104, max_rollouts_per_prompt=8, capacity=16)
    keep_settings(tmp_path, kept, {}, check_files(args, *read_settings(args)))
    check_files(args, *read_settings(args))
