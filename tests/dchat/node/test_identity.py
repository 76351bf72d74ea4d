from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.kernel import accounts, signing
from dchat.kernel.errors import OperatorError
from dchat.node import identity
from dchat.node.identity import (
    Identity,
    IdentityExists,
    IdentityMalformed,
    IdentityUnsafe,
    PassphraseNeeded,
    WrongPassphrase,
)

SEED = bytes(range(32))
PUBLIC_KEY = signing.public_key(Identity("node", b"", SEED).child("account"))
PLAIN = {"version": 1, "kind": "node", "public_key": PUBLIC_KEY.hex(), "seed": SEED.hex()}
BOX = {"kdf": "argon2id13", "ops": 1, "mem": 8192, "salt": "00" * 16, "box": "00" * 72}
SEALED = {"version": 1, "kind": "user", "public_key": "00" * 32, "sealed": BOX}


FRESH = bytes(range(32, 64))
ROTATED = {
    "version": 2,
    "kind": "node",
    "public_key": signing.public_key(FRESH).hex(),
    "account": accounts.account_id(PUBLIC_KEY).hex(),
    "key_version": 3,
    "seed": SEED.hex(),
    "account_key": FRESH.hex(),
}
ROTATED_SEALED = {
    **{name: ROTATED[name] for name in ("version", "public_key", "account", "key_version")},
    "kind": "user",
    "sealed": BOX | {"box": "00" * 104},
}


def written(folder: Path, content: object) -> Path:
    file = folder / "id.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    file.chmod(0o600)
    return file


def test_a_created_node_identity_is_loaded_again(tmp_path: Path) -> None:
    made = identity.create(tmp_path / "id.json", "node")

    assert identity.load(tmp_path / "id.json") == made


def test_a_created_file_is_for_its_owner_only_and_alone(tmp_path: Path) -> None:
    identity.create(tmp_path / "new" / "id.json", "node")

    files = list((tmp_path / "new").iterdir())
    assert [(f.name, stat.S_IMODE(f.stat().st_mode)) for f in files] == [("id.json", 0o600)]
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_a_sealed_identity_opens_with_its_passphrase_only(tmp_path: Path) -> None:
    made = identity.create(tmp_path / "id.json", "user", b"correct horse")

    assert identity.load(tmp_path / "id.json", b"correct horse") == made
    with pytest.raises(WrongPassphrase):
        identity.load(tmp_path / "id.json", b"wrong horse")
    with pytest.raises(PassphraseNeeded):
        identity.load(tmp_path / "id.json")


def test_a_sealed_file_does_not_hold_the_seed(tmp_path: Path) -> None:
    made = identity.create(tmp_path / "id.json", "burner", b"correct horse")

    assert made.seed.hex() not in (tmp_path / "id.json").read_text()


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    file = written(tmp_path, "mine")

    with pytest.raises(IdentityExists):
        identity.create(file, "node")

    assert file.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [file]


def test_a_dangling_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "id.json").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(IdentityExists):
        identity.create(tmp_path / "id.json", "node")


def test_a_folder_that_others_can_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)

    with pytest.raises(IdentityUnsafe):
        identity.create(tmp_path / "id.json", "node")

    assert list(tmp_path.iterdir()) == []


def test_a_user_identity_is_always_sealed(tmp_path: Path) -> None:
    with pytest.raises(PassphraseNeeded):
        identity.create(tmp_path / "id.json", "user")


def test_a_node_identity_takes_no_passphrase(tmp_path: Path) -> None:
    with pytest.raises(PassphraseNeeded):
        identity.create(tmp_path / "id.json", "node", b"secret")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o644])
def test_a_file_that_others_can_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    written(tmp_path, PLAIN).chmod(mode)

    with pytest.raises(IdentityUnsafe):
        identity.load(tmp_path / "id.json")


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "id.json", 0o600)

    with pytest.raises(IdentityMalformed):
        identity.load(tmp_path / "id.json")


def test_a_folder_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(IdentityMalformed, match=f"{tmp_path} is not a regular file"):
        identity.load(tmp_path)


def changed(**fields: object) -> dict[str, object]:
    return {name: value for name, value in (PLAIN | fields).items() if value is not ...}


def boxed(**fields: object) -> Mapping[str, object]:
    return SEALED | {"sealed": BOX | fields}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="cut short"),
        pytest.param("[]", id="no object"),
        pytest.param(json.dumps(PLAIN)[:-1] + ', "kind": "user"}', id="a field twice"),
        pytest.param(" " * 5000, id="too long"),
        pytest.param("[" * 4000, id="too deep"),
        pytest.param(changed(seed=...), id="no seed"),
        pytest.param(changed(note="x"), id="unknown field"),
        pytest.param(changed(version=2), id="rotated without an account"),
        pytest.param(changed(version=3), id="later version"),
        pytest.param(changed(account_key="00" * 32), id="rotated in the first version"),
        pytest.param(ROTATED | {"version": 1}, id="rotated and of the first version"),
        pytest.param(ROTATED | {"account": "00" * 32}, id="account of another seed"),
        pytest.param(ROTATED | {"account": "00"}, id="short account"),
        pytest.param(ROTATED | {"key_version": 0}, id="rotated never"),
        pytest.param(ROTATED | {"key_version": -1}, id="rotated less than never"),
        pytest.param(ROTATED | {"key_version": 2**64}, id="rotated too often"),
        pytest.param(ROTATED | {"account_key": "00" * 32}, id="account key of another key"),
        pytest.param(ROTATED | {"public_key": PUBLIC_KEY.hex()}, id="first key, rotated"),
        pytest.param(ROTATED_SEALED | {"sealed": BOX}, id="a box for the seed alone"),
        pytest.param(ROTATED_SEALED | {"account_key": "00" * 32}, id="sealed and not sealed"),
        pytest.param(SEALED | {"sealed": BOX | {"box": "00" * 104}}, id="a box for two"),
        pytest.param(changed(version=True), id="version is a truth"),
        pytest.param(changed(version=1.0), id="version is a float"),
        pytest.param(changed(kind="root"), id="unknown kind"),
        pytest.param(changed(kind=["node"]), id="kind is a list"),
        pytest.param(changed(seed="00"), id="short seed"),
        pytest.param(changed(seed=SEED.hex().upper()), id="capitals"),
        pytest.param(changed(seed="00" * 32), id="seed of another key"),
        pytest.param(changed(seed=7), id="seed is a number"),
        pytest.param(boxed(ops=10**9), id="asks for too much work"),
        pytest.param(boxed(mem=1 << 40), id="asks for too much memory"),
        pytest.param(boxed(mem=0), id="no memory"),
        pytest.param(boxed(kdf="md5"), id="unknown kdf"),
        pytest.param(boxed(box="00"), id="short box"),
        pytest.param(SEALED | {"sealed": 1}, id="seal is a number"),
    ],
)
def test_a_malformed_file_is_told_as_such(tmp_path: Path, content: object) -> None:
    with pytest.raises(IdentityMalformed):
        identity.load(written(tmp_path, content), b"secret")


@given(text=st.binary(max_size=300))
def test_arbitrary_bytes_are_a_malformed_file(
    tmp_path_factory: pytest.TempPathFactory, text: bytes
) -> None:
    file = tmp_path_factory.mktemp("id") / "id.json"
    file.touch(0o600)
    file.write_bytes(text)

    with pytest.raises(IdentityMalformed):
        identity.load(file)


def test_children_are_fixed_by_seed_and_label() -> None:
    """Computed with the standard library's hmac after RFC 5869; they must never change."""
    root = Identity("node", PUBLIC_KEY, SEED)

    assert (
        root.child("account").hex()
        == "b119da6306153a354056a59f3dc6ef4b7bc0d8ff6b80e0a16a78cc4988e48596"
    )
    assert (
        root.child("libp2p").hex()
        == "1dbfe78aa77b58fc274f6069ce60e3892dc3e319b3e5d3d1a494a458d981c819"
    )


def test_the_account_id_is_that_of_the_account_child(tmp_path: Path) -> None:
    made = identity.create(tmp_path / "id.json", "node")

    assert made.public_key == signing.public_key(made.child("account"))


def test_a_rotated_identity_is_read(tmp_path: Path) -> None:
    found = identity.load(written(tmp_path, ROTATED))

    assert found == Identity("node", signing.public_key(FRESH), SEED, 3, FRESH)
    assert found.account_id == accounts.account_id(PUBLIC_KEY)
    assert found.account_seed == FRESH


def test_the_account_of_a_sealed_rotated_file_is_told_without_its_passphrase(
    tmp_path: Path,
) -> None:
    sheet = identity.read(written(tmp_path, ROTATED_SEALED))

    assert (sheet.account, sheet.key_version) == (accounts.account_id(PUBLIC_KEY), 3)


@pytest.mark.parametrize(("kind", "secret"), [("node", None), ("user", b"correct horse")])
def test_a_renewed_identity_keeps_account_and_seed_and_has_another_key(
    tmp_path: Path, kind: identity.Kind, secret: bytes | None
) -> None:
    old = identity.create(tmp_path / "old.json", kind, secret)
    before = (tmp_path / "old.json").read_bytes()

    new = identity.renew(old, tmp_path / "new.json", secret)

    assert identity.load(tmp_path / "new.json", secret) == new
    assert (tmp_path / "old.json").read_bytes() == before
    assert (new.account_id, new.seed, new.key_version) == (old.account_id, old.seed, 1)
    assert new.child("inbox") == old.child("inbox")
    assert len({old.public_key, new.public_key, signing.public_key(new.child("account"))}) == 2


def test_each_renewal_has_a_key_that_nothing_older_tells(tmp_path: Path) -> None:
    """Or whoever stole the old file would have the new key as well."""
    old = identity.create(tmp_path / "old.json", "node")

    made = [identity.renew(old, tmp_path / name) for name in ("a.json", "b.json")]

    assert made[0].account_key != made[1].account_key
    assert made[0].account_key.hex() not in (tmp_path / "old.json").read_text()


def test_an_identity_renewed_twice_keeps_its_account(tmp_path: Path) -> None:
    old = identity.create(tmp_path / "old.json", "node")

    newest = identity.renew(identity.renew(old, tmp_path / "a.json"), tmp_path / "b.json")

    assert (newest.account_id, newest.key_version) == (old.account_id, 2)
    assert identity.load(tmp_path / "b.json") == newest


def test_a_renewed_user_identity_is_sealed_and_overwrites_nothing(tmp_path: Path) -> None:
    old = identity.create(tmp_path / "old.json", "user", b"correct horse")

    with pytest.raises(PassphraseNeeded):
        identity.renew(old, tmp_path / "new.json")
    with pytest.raises(IdentityExists):
        identity.renew(old, tmp_path / "old.json", b"correct horse")


@pytest.mark.parametrize("secret", [None, b"correct horse"])
def test_an_identity_for_a_lost_account_has_a_seed_of_its_own(
    tmp_path: Path, secret: bytes | None
) -> None:
    lost = identity.create(tmp_path / "old.json", "node")

    made = identity.take_over(lost.account_id, 3, tmp_path / "new.json", secret)

    assert identity.load(tmp_path / "new.json", secret) == made
    assert (made.account_id, made.key_version) == (lost.account_id, 3)
    assert len({made.seed, lost.seed, made.account_key}) == 3
    assert identity.read(tmp_path / "new.json").account == lost.account_id


def test_it_keeps_its_account_when_it_is_renewed(tmp_path: Path) -> None:
    lost = identity.create(tmp_path / "old.json", "node")
    made = identity.take_over(lost.account_id, 3, tmp_path / "new.json")

    newest = identity.renew(made, tmp_path / "newest.json")

    assert identity.load(tmp_path / "newest.json") == newest
    assert (newest.account_id, newest.key_version) == (lost.account_id, 4)


def test_its_damaged_seed_shows(tmp_path: Path) -> None:
    lost = identity.create(tmp_path / "old.json", "node")
    made = identity.take_over(lost.account_id, 3, tmp_path / "new.json")
    text = (tmp_path / "new.json").read_text()
    (tmp_path / "new.json").write_text(text.replace(made.seed.hex(), SEED.hex()))

    with pytest.raises(IdentityMalformed, match="account do not belong"):
        identity.load(tmp_path / "new.json")


def test_a_rotated_key_does_not_show_in_a_repr() -> None:
    assert repr(FRESH) not in repr(Identity("node", PUBLIC_KEY, SEED, 1, FRESH))


def test_secrets_do_not_show_in_a_repr() -> None:
    assert SEED.hex() not in repr(Identity("node", PUBLIC_KEY, SEED))
    assert repr(SEED) not in repr(Identity("node", PUBLIC_KEY, SEED))


def test_a_passphrase_file_loses_its_last_line_end_only(tmp_path: Path) -> None:
    assert identity.read_passphrase(written(tmp_path, " two words\n\n")) == b" two words\n"


@pytest.mark.parametrize("content", ["", "\n", "x" * 2000])
def test_an_unusable_passphrase_file_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(IdentityMalformed):
        identity.read_passphrase(written(tmp_path, content))


def test_every_fault_has_its_own_exit_status() -> None:
    faults: list[type[OperatorError]] = [
        IdentityExists,
        IdentityUnsafe,
        IdentityMalformed,
        PassphraseNeeded,
        WrongPassphrase,
    ]

    assert sorted(fault.exit_code for fault in faults) == [3, 4, 5, 6, 7]
