"""Merkle roots against published seals, and the shapes a tree can take."""

import hashlib

import pytest
from Crypto.Hash import keccak
from hypothesis import given
from hypothesis import strategies as st

from monitord.core import merkle


def keccak256(data: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=data).digest()


def sha256(data: bytes) -> bytes:
    """Any hash has the same trees."""
    return hashlib.sha256(data).digest()


@pytest.mark.parametrize(
    ("channel", "user_hash", "root"),
    [
        (
            "fanfan",
            "313434c0aab0ac57da4d3e71b704566177874d3ce19c1a2294d91b852006b0b0",
            "2cbb399c2010efb2471c3815bb133ecc7c0a5564f8a119e5b48c325a7da5fdd3",
        ),
        (
            "batora324",
            "b4f90e6a059689c98039a7bf5e8fdd4cb103ee73450d41289ab15d3a7623b21b",
            "838c71140bd8d403f6add64ab44f77ee40601fb8b55ff505328e0c332420a9f5",
        ),
    ],
)
def test_a_published_seal_of_one_participant_has_its_leaf_as_root(channel: str, user_hash: str, root: str) -> None:
    leaf = merkle.leaf(bytes.fromhex(user_hash), channel, 1762902000, keccak256)
    assert merkle.root([leaf], keccak256).hex() == root
    assert merkle.proof([leaf], 0, keccak256) == []


def test_the_leaf_of_the_claim_test_case_is_the_published_one() -> None:
    user = bytes.fromhex("012c318b0b549fef8d9c4b10258307b57fcb55949c39637919bf572e9b149338")
    leaf = merkle.leaf(user, "marlon", 1762308000, keccak256)
    assert leaf.hex() == "4f7f80d8bfc2ca77b0c24dac5efea6b7ad52eca5ce25fc0d254225ebfdc05e5f"


def test_sha3_is_not_keccak_and_gives_another_root() -> None:
    user = bytes.fromhex("313434c0aab0ac57da4d3e71b704566177874d3ce19c1a2294d91b852006b0b0")
    assert merkle.leaf(user, "fanfan", 1762902000, lambda data: hashlib.sha3_256(data).digest()) != merkle.leaf(
        user, "fanfan", 1762902000, keccak256
    )


def test_a_user_is_the_same_participant_in_any_spelling() -> None:
    assert merkle.user_hash("FanFan", keccak256) == merkle.user_hash("fanfan", keccak256)
    assert merkle.user_hash("", keccak256).hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


def test_a_node_is_the_same_from_either_side() -> None:
    assert merkle.node(b"a" * 32, b"b" * 32, keccak256) == keccak256(b"a" * 32 + b"b" * 32)
    assert merkle.node(b"b" * 32, b"a" * 32, keccak256) == keccak256(b"a" * 32 + b"b" * 32)


def test_an_odd_node_pairs_with_itself() -> None:
    a, b, c = (keccak256(letter) for letter in (b"a", b"b", b"c"))
    left, right = merkle.node(a, b, keccak256), merkle.node(c, c, keccak256)
    assert merkle.root([a, b, c], keccak256) == merkle.node(left, right, keccak256)
    assert merkle.proof([a, b, c], 2, keccak256) == [c, left]


def test_the_order_of_sealing_decides_the_root() -> None:
    leaves = [keccak256(bytes([i])) for i in range(4)]
    assert merkle.root(leaves, keccak256) != merkle.root([leaves[0], leaves[2], leaves[1], leaves[3]], keccak256)


def test_nobody_sealed_means_no_root() -> None:
    with pytest.raises(ValueError, match="no root"):
        merkle.root([], keccak256)


def test_a_proof_of_a_leaf_that_is_not_there_is_refused() -> None:
    for index in (-1, 1):
        with pytest.raises(IndexError):
            merkle.proof([b"a" * 32], index, keccak256)


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40, unique=True), st.data())
def test_every_leaf_proves_itself_and_no_other_leaf_does(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    root = merkle.root(leaves, keccak256)
    siblings = merkle.proof(leaves, index, keccak256)
    assert merkle.proves(leaves[index], siblings, root, keccak256)
    assert not merkle.proves(keccak256(leaves[index]), siblings, root, keccak256)


@pytest.mark.parametrize("many", [1, 2, 3, 4095, 4096, 4097, 8192, 8193, 12289])
def test_a_root_built_piece_by_piece_is_that_of_the_whole_tree(many: int) -> None:
    leaves = [hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(many)]
    builder = merkle.RootBuilder(sha256)
    for at in range(0, many, 1000):
        builder.extend(leaves[at : at + 1000])
    assert (builder.count, builder.root()) == (many, merkle.root(leaves, sha256))


def test_nothing_has_no_root_piece_by_piece_either() -> None:
    with pytest.raises(ValueError, match="no root"):
        merkle.RootBuilder(sha256).root()
