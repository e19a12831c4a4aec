"""Input that is damaged, foreign or hostile: refused with a CeroError that says what to do, or taken; nothing else."""

import io
import json
import os
import re
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api import (
    AllocatorConfig,
    CeroAllocator,
    CeroError,
    CeroWarning,
    CheckpointError,
    InvalidOutcomeError,
    PromptIndex,
    RolloutAllocator,
    RolloutOutcomes,
    available_allocators,
    group_advantages,
    load_allocator,
    make_allocator,
    save_allocator,
)
from cero_api.allocators import config_type
from cero_ray import DurableDesk
from cero_ray.durable import restored
from tests.faults import lives

# Mutations of each file; CERO_FUZZ=20000 makes a long run of it.
MUTATIONS = int(os.environ.get("CERO_FUZZ", "150"))

every_allocator = pytest.mark.parametrize("name", available_allocators(waves=1))
SIZE: dict[str, Any] = {"num_prompts": 12, "rounds": 20, "budget": 480}
# What a message that helps has in it: something to do.
REMEDY = re.compile(
    r"\b(ask|begins|change|check|choose|convert|copy|correct|cut|drop|dumps|free|give|has|install|leave|load|lower|make|must|name|needs|number"
    r"|pass|quote|raise|reformat|remove|report|restore|resume|round|should|sort|sum|takes?|widen|write|there are)\b",
    re.IGNORECASE,
)


def only_refuses(call: Callable[..., object], *arguments: Any, **options: Any) -> bool:
    """Whether the call went through; what it refuses, it refuses by a CeroError with a remedy."""
    refusal = ""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", CeroWarning)  # such as that one candidate leaves nothing to decide
        try:
            call(*arguments, **options)
        except CeroError as error:
            refusal = str(error)
    assert not refusal or REMEDY.search(refusal), refusal
    return not refusal


def mutations(data: bytes, seed: int) -> Iterator[bytes]:
    """Bytes flipped, overwritten, cut out, cut off, doubled and put in."""
    rng = np.random.default_rng(seed)
    for _ in range(MUTATIONS):
        changed = bytearray(data)
        for _ in range(rng.integers(1, 4)):
            at, width = int(rng.integers(0, len(changed) + 1)), int(rng.choice([1, 1, 2, 4, 8, 64]))
            piece = rng.choice(np.frombuffer(b'\x00\xff{}[]",:09-.eN\n\x80', np.uint8), width).tobytes()
            kind = rng.integers(0, 6)
            if kind == 0:
                changed[at : at + width] = piece
            elif kind == 1:
                changed[at:at] = piece
            elif kind == 2:
                del changed[at : at + width]
            elif kind == 3:
                changed[at:at] = changed[at : at + 10 * width]
            elif kind == 4:
                del changed[at:]
            elif at < len(changed):
                changed[at] ^= 1 << int(rng.integers(8))
        yield bytes(changed)


def played(name: str) -> RolloutAllocator:
    allocator = make_allocator(name, **SIZE)
    for _ in range(4):
        lives.round_of(allocator)
    allocator.allocate([3, 1, 4])
    return allocator


def members_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewritten(path: Path, members: dict[str, bytes], **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def npy(array: Any, allow_pickle: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array), allow_pickle=allow_pickle)
    return buffer.getvalue()


@every_allocator
def test_damaged_checkpoints_are_refused(name: str, tmp_path: Path) -> None:
    path = save_allocator(played(name), tmp_path / "allocator.npz")
    for data in mutations(path.read_bytes(), seed=1):
        path.write_bytes(data)
        only_refuses(load_allocator, path)


@every_allocator
def test_checkpoints_whose_members_were_changed_are_refused(name: str, tmp_path: Path) -> None:
    """With a checksum that fits: what a hostile writer would do, or a careless one."""
    path = save_allocator(played(name), tmp_path / "allocator.npz")
    members, rng = members_of(path), np.random.default_rng(2)
    for member in members:
        for data in list(mutations(members[member], seed=3))[: MUTATIONS // 10]:
            rewritten(path, members | {member: data})
            if only_refuses(load_allocator, path):
                survivor = load_allocator(path)  # then it must be a state that one can go on with
                only_refuses(lives.round_of, survivor)
                only_refuses(survivor.allocate, rng.permutation(12)[:4])


@every_allocator
@given(data=st.data())
def test_states_of_any_values_are_refused_or_played(name: str, data: st.DataObject) -> None:
    allocator = played(name)
    state = allocator.state_dict()
    key = data.draw(st.sampled_from(sorted(state)))
    numbers = st.sampled_from([0, 1, -1, 2**31, 2**53, 2**62, -(2**63), 2**63 - 1])
    floats = st.sampled_from([0.0, -0.0, 1e-320, 0.5, 1.0, 1e15, 1e308, -1.0, np.nan, np.inf])
    if isinstance(state[key], np.ndarray):
        changed = state[key].copy()
        if data.draw(st.booleans()):
            changed = changed[: data.draw(st.integers(0, 3))]
        value = data.draw(numbers if changed.dtype.kind == "i" else floats)
        if changed.size:
            changed[data.draw(st.integers(0, changed.size - 1))] = value
        state[key] = changed
    else:
        state[key] = data.draw(st.one_of(numbers, floats, st.sampled_from([None, "1", True, [1], {}, b"1"])))
    if only_refuses(allocator.load_state_dict, state):
        for _ in range(3):
            only_refuses(lives.round_of, allocator)
        only_refuses(allocator.allocate, [1, 5, 2], total=12)
        rate = allocator.success_rate()
        assert ((rate > 0) & (rate < 1)).all()


def bomb(path: Path, size: int) -> None:
    """A checkpoint whose exposure inflates to `size` zeros from a thousandth of that."""
    members = members_of(path)
    array = npy(np.zeros(size // 8, dtype=np.int64))
    rewritten(path, members | {"exposure.npy": array}, compression=zipfile.ZIP_DEFLATED)


def declared(path: Path, shape: str) -> None:
    """A checkpoint whose exposure has a header that promises more than follows."""
    header = f"{{'descr': '<i8', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (117 - len(header)) + "\n"
    array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
    rewritten(path, members_of(path) | {"exposure.npy": array + bytes(96)})


def huge_pool(path: Path) -> None:
    members = members_of(path)
    metadata = json.loads(members["metadata.json"])
    metadata["config"] |= {"num_prompts": 2**31 - 1, "budget": 480}
    rewritten(path, members | {"metadata.json": json.dumps(metadata).encode()})


def with_metadata(text: bytes) -> Callable[[Path], None]:
    return lambda path: void(rewritten(path, members_of(path) | {"metadata.json": text}))


def with_member(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda path: void(rewritten(path, members_of(path) | {name: content}))


def void(_: object) -> None:
    """For a lambda that has nothing to say."""


def twice(path: Path) -> None:
    members = members_of(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(path, "w") as archive:
            for name in [*members, "exposure.npy"]:
                archive.writestr(name, members[name])


def encrypted(path: Path) -> None:
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 8] |= 1  # the flag of the last member in the directory
    path.write_bytes(data)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


HOSTILE: dict[str, Callable[[Path], None]] = {
    "pickled objects": with_member("exposure.npy", npy(np.array([{}]), allow_pickle=True)),
    "pickled objects beside the state": with_member("more.npy", npy(np.array([{}]), allow_pickle=True)),
    "a zip bomb": lambda path: bomb(path, 1 << 25),
    "an array of 2**62 entries": lambda path: declared(path, f"({2**62},)"),
    "an array of 2**40 entries": lambda path: declared(path, f"({2**40},)"),
    "an array of negative length": lambda path: declared(path, "(-1,)"),
    "an array of many dimensions": lambda path: declared(path, "(" + "1," * 40 + ")"),
    "an array header that is code": lambda path: declared(path, "__import__('os').getpid()"),
    "a pool of 2**31 - 1 prompts": huge_pool,
    "names that leave the folder": with_member("../../exposure.npy", npy(np.zeros(12, dtype=np.int64))),
    "an absolute name": with_member("/etc/exposure.npy", npy(np.zeros(12, dtype=np.int64))),
    "a member twice": twice,
    "an encrypted member": encrypted,
    "metadata nested 100,000 deep": with_metadata(b"[" * 100_000),
    "metadata that is no UTF-8": with_metadata(b"\xff\xfe\x00"),
    "metadata that is a list": with_metadata(b"[]"),
    "metadata with a list as allocator": with_metadata(
        b'{"format": "cero-allocator", "version": 1, "allocator": ["cero"], "config": {}}'
    ),
    "metadata with a list as configuration": with_metadata(
        b'{"format": "cero-allocator", "version": 1, "allocator": "cero", "config": [1]}'
    ),
    "metadata of an unknown allocator": with_metadata(
        b'{"format": "cero-allocator", "version": 1, "allocator": "os", "config": {}}'
    ),
    "a version that is no number": with_metadata(b'{"format": "cero-allocator", "version": {}}'),
    "a number of 5,000 digits": with_metadata(b'{"format": ' + b"9" * 5000 + b"}"),
    "an empty file": lambda path: void(path.write_bytes(b"")),
    "a text file": lambda path: void(path.write_text("epoch,loss\n1,0.5\n")),
    "a folder": folder,
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_checkpoints_are_refused_in_little_memory(hostile: str, tmp_path: Path) -> None:
    path = save_allocator(played("cero"), tmp_path / "allocator.npz")
    HOSTILE[hostile](path)
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError) as refusal:
            load_allocator(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert REMEDY.search(str(refusal.value)), refusal.value
    assert peak < 1 << 23
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["allocator.npz"]


OTHERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "another pool": ("cero", "cero", {"num_prompts": 13}),
    "another budget": ("cero", "cero", {"budget": 481, "rounds": 21}),
    "another allocator": ("knapsack", "cero", {}),
    "an allocator with fewer fields": ("hora", "knapsack", {}),
}


@pytest.mark.parametrize(("saved", "mine", "change"), OTHERS.values(), ids=OTHERS)
def test_states_of_another_pool_budget_or_allocator_are_refused(saved: str, mine: str, change: dict[str, Any]) -> None:
    allocator = make_allocator(mine, **SIZE | change)
    before = allocator.state_dict()
    assert not only_refuses(allocator.load_state_dict, played(saved).state_dict())
    assert all(np.array_equal(allocator.state_dict()[name], before[name]) for name in before)


def test_damaged_tickets_are_refused(tmp_path: Path) -> None:
    lives.serve(tmp_path)
    files = DurableDesk(tmp_path / "desk", CeroAllocator(lives.DESK)).checkpoint()
    name = "cero_tickets.json"
    for data in mutations(files[name], seed=4):
        only_refuses(restored, files | {name: data})
    for data in (b"[" * 100_000, b"[]", b"null", b"{}", b'{"open": [], "done": [], "rounds": [], "unbudgeted": 0}'):
        assert not only_refuses(restored, files | {name: data})


def test_damaged_desks_are_refused(tmp_path: Path) -> None:
    lives.serve(tmp_path)
    for suffix in ("json", "jsonl", "npz"):
        (path,) = (tmp_path / "desk").glob(f"*.{suffix}")
        good = path.read_bytes()
        for data in list(mutations(good, seed=5))[: MUTATIONS // 5]:
            path.write_bytes(data)
            only_refuses(DurableDesk, tmp_path / "desk", CeroAllocator(lives.DESK))
        path.write_bytes(good)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, 2, 4, 7, 8, 20, 480, -1, 2**31 - 1, 2**31, 2**53, 2**63, 10**30, 10**400]),
    st.sampled_from([0.0, -0.0, 1e-320, 1e-9, 0.5, 1.0, 2.5, 1e9, 1e308, -1.0, float("nan"), float("inf")]),
    st.sampled_from(["", "round", "visit", "dual", "adaptive", "12", "\x00", "nan"]),
    st.lists(st.sampled_from([0, 1.0, 1e-320, 1e308, -1, 2**70, "1", None]), max_size=3),
    st.dictionaries(st.sampled_from(["a", ""]), st.integers(), max_size=1),
)


@every_allocator
@given(data=st.data())
def test_configurations_of_any_values_are_refused_or_played(name: str, data: st.DataObject) -> None:
    kind = config_type(name)
    fields = data.draw(st.lists(st.sampled_from([*kind.model_fields, "unknown"]), min_size=1, max_size=4, unique=True))
    values = SIZE | {field: data.draw(VALUES) for field in fields}
    made: list[AllocatorConfig] = []
    if not only_refuses(lambda: made.append(kind(**values))):
        return
    assert kind(**json.loads(made[0].model_dump_json())) == made[0]
    if made[0].num_prompts > 100:
        return
    played: list[RolloutAllocator] = []
    if not only_refuses(lambda: played.append(make_allocator(name, made[0]))):  # a part that misses what it goes by
        return
    (allocator,) = played
    for k in range(3):
        only_refuses(lives.round_of, allocator)
        only_refuses(allocator.allocate, [k, k + 1], total=8)
        only_refuses(allocator.allocate, [k])
    rate = allocator.success_rate()
    assert ((rate >= 0) & (rate <= 1)).all()


ODD = st.one_of(
    st.sampled_from([None, "x", b"x", 0, 1, 1.5, True, {}, {1}, object(), np.nan, [[1], [2, 3]], [[1, 2]], [None]]),
    st.lists(st.sampled_from([0, 1, 2, 3, 11, 12, -1, 2**31, 2**63 - 1, 2**63, 2**64, 10**30]), max_size=3),
    st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, -1.0, 1e300, float("nan"), float("inf"), 2**53 + 1.0]), max_size=3),
    st.lists(st.sampled_from(["1", "a", None, 1 + 2j, True, np.ma.masked]), max_size=3),
    st.builds(np.ma.masked_array, st.just([1, 0]), mask=st.sampled_from([[0, 0], [0, 1]])),
    st.builds(np.zeros, st.just((2, 2))),
    st.builds(
        np.array, st.lists(st.integers(0, 255), max_size=3), dtype=st.sampled_from([np.uint8, np.uint64, object])
    ),
)
NUMBERS: st.SearchStrategy[Any] = st.sampled_from(
    [None, 0, 1, 3, -1, 2**31, 2**70, 1.0, 1.5, float("nan"), "0", True, [0], np.int64(0), np.uint8(4)]
)


@given(data=st.data())
def test_calls_with_any_values_are_refused_or_taken(data: st.DataObject) -> None:
    allocator = played(data.draw(st.sampled_from(available_allocators(waves=1))))
    call = data.draw(st.sampled_from(["allocate", "outcomes", "rewards", "refund", "advantages", "index"]))
    one, two, three, number = data.draw(ODD), data.draw(ODD), data.draw(ODD), data.draw(NUMBERS)
    four, ends = data.draw(st.none() | ODD), data.draw(st.none() | st.just((0, 1)) | st.tuples(NUMBERS, NUMBERS))
    before = allocator.state_dict()
    calls: dict[str, Callable[[], object]] = {
        "allocate": lambda: allocator.allocate(one, number),
        "outcomes": lambda: allocator.observe(RolloutOutcomes(one, two, three, number, four)),
        "rewards": lambda: allocator.observe(RolloutOutcomes.from_rewards(one, two, round=number, reward_range=ends)),
        "refund": lambda: allocator.refund(one, two, number),
        "advantages": lambda: group_advantages(two, one),
        "index": lambda: PromptIndex(["a", "b"]).keys(one),
    }
    if not only_refuses(calls[call]):
        assert all(np.array_equal(before[name], value) for name, value in allocator.state_dict().items())
    numbers = allocator.metrics()
    assert numbers["budget_spent"] + numbers["budget_remaining"] == numbers["budget"]


@pytest.mark.parametrize(
    "rewards", [[1.0, np.nan], [1.0, np.inf], [1.0], [[1.0, 0.0]], 1.0, ["good", "bad"], [None, 1]]
)
def test_rewards_of_the_wrong_kind_are_refused(rewards: Any) -> None:
    with pytest.raises(InvalidOutcomeError):
        RolloutOutcomes.from_rewards([3, 3], rewards)
