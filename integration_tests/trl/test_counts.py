import numpy as np
import pytest

from cero_api import Allocation
from cero_api.errors import BudgetError, PromptError
from cero_trl.counts import candidates, check_filled, checksum, group_sizes, share_of_rank


def dealt(ids: list[int], counts: list[int]) -> Allocation:
    return Allocation(0, np.array(ids, dtype=np.int64), np.array(counts, dtype=np.int64))


def test_candidates_are_the_runs_in_order() -> None:
    assert candidates([9, 9, 9, 2, 2, 2], 3).tolist() == [9, 2]


def test_a_row_handed_out_twice_is_one_candidate() -> None:
    assert candidates([9, 9, 2, 2, 9, 9], 2).tolist() == [9, 2]


@pytest.mark.parametrize("rows", [[9, 2, 9, 2], [9, 9, 2], [9, 9, 2, 2, 2, 9]])
def test_a_batch_that_is_not_made_of_runs_is_refused(rows: list[int]) -> None:
    with pytest.raises(PromptError, match="runs of num_generations=2 equal dataset rows"):
        candidates(rows, 2)


def test_the_ranks_share_the_rows_and_a_group_may_straddle_them() -> None:
    allocation = dealt([7, 3, 5], [3, 0, 5])
    shares = [share_of_rank(allocation, rank, 4) for rank in range(4)]
    assert shares == [[7, 7], [7, 5], [5, 5], [5, 5]]
    assert group_sizes(allocation).tolist() == [3, 5]


def test_checksum_tells_prompts_and_counts_apart() -> None:
    rounds = [dealt([1, 2], [4, 4]), dealt([2, 1], [4, 4]), dealt([1, 2], [5, 3])]
    assert len({checksum(allocation) for allocation in rounds}) == 3
    assert checksum(dealt([1, 2], [4, 4])) == checksum(rounds[0])


@pytest.mark.parametrize(("counts", "total"), [([4, 3], 7), ([4, 5], 9), ([9, -1], 8)])
def test_an_allocation_must_fill_the_batch(counts: list[int], total: int) -> None:
    with pytest.raises(BudgetError, match=f"gave {total} rollouts, the trainer generates 8"):
        check_filled(dealt([1, 2], counts), 8, num_prompts=12)


@pytest.mark.parametrize("ids", [[1, 12], [-1, 1], [1, 1]])
def test_an_allocation_must_name_rows_once(ids: list[int]) -> None:
    with pytest.raises(PromptError, match=r"\(0 to 11\), each once"):
        check_filled(dealt(ids, [4, 4]), 8, num_prompts=12)
