from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_chat import keys
from abci_chat.state import post_proofs, posts
from abci_chat.state.post_proofs import NOBODY, Part, PostProof
from dchat.kernel.headers import merkle_root
from dchat.kernel.inclusion import NotProved, Path
from dchat.kernel.merkle import proof as tree_proofs
from dchat.kernel.merkle import tree
from tests.fakes.memory import ALICE, BOB, CAROL
from tests.fakes.posting import PUBLIC, Room, commitment, commitments, part_of

LEAVES = (commitments(3), commitments(5, 10), commitments(2, 20))
PARTS = tuple(
    part_of(who.id, who.public_key, 0, leaves)
    for who, leaves in zip((ALICE, BOB, CAROL), LEAVES, strict=True)
)
ROOT = post_proofs.root_of(PARTS)
PROOF = post_proofs.prove(PARTS, 1, LEAVES[1], 4)
IT = commitment(14)


def test_a_post_is_proved_from_its_commitment_to_the_app_hash() -> None:
    room = Room()
    room.post(CAROL)
    signed = (room.part(ALICE, 300), room.part(BOB, 700, 300))
    room.batch(CAROL, *signed)
    key = keys.post(PUBLIC, 2)
    changed = tree.update({}, room.state.entries)
    pages = {name: page for name, page in changed.pages.items() if page is not None}
    path = tree_proofs.prove(pages, key)
    value = room.state.entries[key]

    proof = post_proofs.prove([each.part for each in signed], 1, commitments(700, 300), 250)

    tree_proofs.verify(changed.root, key, value, path)
    record = posts.BATCH.decode(value)
    before = post_proofs.check(record.root, record.parts, proof, commitment(550))
    assert (2 + before, proof.part.author, proof.part.counter) == (552, BOB.id, 0)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), st.data())
def test_every_post_of_a_batch_is_proved_at_its_own_place(
    counts: list[int], data: st.DataObject
) -> None:
    leaves = [commitments(count, 100 * at) for at, count in enumerate(counts)]
    parts = [part_of(NOBODY, NOBODY, at, each) for at, each in enumerate(leaves)]
    at = data.draw(st.integers(0, len(counts) - 1))
    place = data.draw(st.integers(0, counts[at] - 1))

    proof = post_proofs.prove(parts, at, leaves[at], place)

    before = post_proofs.check(post_proofs.root_of(parts), len(parts), proof, leaves[at][place])
    assert before == sum(counts[:at]) + place


def moved(path: Path, **changes: int) -> Path:
    return replace(path, **changes)


@pytest.mark.parametrize(
    "proof",
    [
        replace(PROOF, offset=2),
        replace(PROOF, part=replace(PARTS[1], author=CAROL.id)),
        replace(PROOF, part=replace(PARTS[1], device=CAROL.public_key)),
        replace(PROOF, part=replace(PARTS[1], counter=1)),
        replace(PROOF, part=replace(PARTS[1], root=PARTS[0].root)),
        replace(PROOF, part=replace(PARTS[1], count=6)),
        replace(
            PROOF,
            part=replace(PARTS[1], count=6),
            in_part=moved(PROOF.in_part, total=6),
        ),
        replace(PROOF, in_part=moved(PROOF.in_part, index=3)),
        replace(PROOF, in_part=moved(PROOF.in_part, index=5)),
        replace(PROOF, in_part=moved(PROOF.in_part, total=4)),
        replace(PROOF, in_part=replace(PROOF.in_part, aunts=())),
        replace(PROOF, in_batch=moved(PROOF.in_batch, index=0)),
        replace(PROOF, in_batch=moved(PROOF.in_batch, total=4)),
        replace(PROOF, in_batch=replace(PROOF.in_batch, aunts=(b"short",) * 2)),
    ],
)
def test_a_proof_that_is_changed_proves_nothing(proof: PostProof) -> None:
    with pytest.raises(NotProved):
        post_proofs.check(ROOT, 3, proof, IT)


def test_a_proof_serves_one_commitment_only() -> None:
    assert post_proofs.check(ROOT, 3, PROOF, IT) == 7
    with pytest.raises(NotProved):
        post_proofs.check(ROOT, 3, PROOF, commitment(13))


def test_a_proof_serves_the_number_of_parts_that_the_record_has() -> None:
    with pytest.raises(NotProved):
        post_proofs.check(ROOT, 4, PROOF, IT)


def test_a_post_is_not_shown_at_another_place_of_a_smaller_part() -> None:
    """Its path alone would fit there as well."""
    proof = post_proofs.prove(PARTS, 0, LEAVES[0], 2)
    elsewhere = replace(proof, in_part=moved(proof.in_part, index=1, total=2))

    assert post_proofs.check(ROOT, 3, proof, commitment(2)) == 2
    with pytest.raises(NotProved):
        post_proofs.check(ROOT, 3, elsewhere, commitment(2))


def test_a_part_is_no_post() -> None:
    """What stands for a part in the batch is no commitment that could be shown in its place."""
    only = Part(NOBODY, NOBODY, 0, 1, merkle_root((IT,)))
    proof = post_proofs.prove((only,), 0, (IT,), 0)

    with pytest.raises(NotProved):
        post_proofs.check(post_proofs.root_of((only,)), 1, proof, only.root)
