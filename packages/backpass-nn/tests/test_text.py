"""Texts as characters: vocabularies, codes, windows."""

import numpy as np
import pytest

from backpass.nn.data import DataLoader, Subset
from backpass.nn.datasets import Characters, Vocabulary, Windows, load_text

TEXTS = [
    "a",
    "hello world\n",
    "Grüße, Привет, 你好 \U0001f600\U0001f600!",
    "\x00\ud800\uffff",  # the ends of what a str can hold, and half a pair
]


@pytest.mark.parametrize("text", TEXTS)
def test_codes_are_places_in_the_sorted_characters(text):
    vocabulary = Vocabulary(text)
    assert vocabulary.characters == "".join(sorted(set(text)))
    codes = vocabulary.encode(text)
    assert codes.dtype == np.int64
    assert codes.tolist() == [vocabulary.characters.index(c) for c in text]
    assert vocabulary.decode(codes) == text
    assert vocabulary.decode(codes.tolist()) == text
    assert len(vocabulary) == len(set(text))
    assert vocabulary.encode("").tolist() == []
    assert vocabulary.decode([]) == ""


@pytest.mark.parametrize(("text", "wrong"), [("cab!", "!"), ("zab", "z"), ("aAb", "A")])
def test_an_unknown_character_is_named(text, wrong):
    words = rf"the character '{wrong}' at position {text.index(wrong)} is not among the 3"
    with pytest.raises(ValueError, match=words):
        Vocabulary("abc").encode(text)


def test_codes_that_mean_nothing_are_refused():
    vocabulary = Vocabulary("abc")
    for wrong in (3, -1):
        with pytest.raises(ValueError, match=f"`codes` holds {wrong}, but the codes are 0 to 2"):
            vocabulary.decode([0, wrong])
    with pytest.raises(TypeError, match="`codes` holds float64"):
        vocabulary.decode([0.0])
    with pytest.raises(ValueError, match=r"`codes` has shape \(1, 2\)"):
        vocabulary.decode([[0, 1]])


def test_a_text_is_its_codes():
    text = Characters("hello")
    assert len(text) == 5
    assert text.codes.tolist() == [1, 0, 2, 2, 3]
    other = Characters("hell", text.vocabulary)
    assert other.codes.tolist() == [1, 0, 2, 2]
    with pytest.raises(ValueError, match="the character 'p'"):
        Characters("help", text.vocabulary)
    for kind in (Characters, Vocabulary):
        with pytest.raises(ValueError, match="`text` is empty"):
            kind("")


@pytest.mark.parametrize("stride", [1, 2, 5])
@pytest.mark.parametrize("length", [1, 3, 10])
def test_windows_are_all_stretches_with_what_follows(length, stride):
    codes = np.arange(11) * 10
    expected = [
        (codes[s : s + length].tolist(), codes[s + 1 : s + 1 + length].tolist())
        for s in range(0, 11, stride)
        if s + length + 1 <= 11
    ]
    windows = Windows(codes, length, stride)
    assert len(windows) == len(expected)
    assert [(x.tolist(), y.tolist()) for x, y in windows] == expected
    assert [v.tolist() for v in windows[-1]] == [*expected[-1]]
    x, y = windows.fetch(np.arange(len(windows))[::-1])
    assert x.tolist() == [e[0] for e in expected[::-1]]
    assert y.tolist() == [e[1] for e in expected[::-1]]
    with pytest.raises(IndexError, match="there is no item"):
        windows[len(windows)]


def test_windows_that_do_not_fit_are_refused():
    assert len(Windows(np.arange(4), 3)) == 1
    with pytest.raises(ValueError, match="`length` is 4, which takes 5 characters, but there are"):
        Windows(np.arange(4), 4)
    for name in ("length", "stride"):
        with pytest.raises(ValueError, match=f"`{name}` is 0, but it must be at least 1"):
            Windows(np.arange(4), **{"length": 1, name: 0})


def test_windows_are_loaded_in_batches():
    windows = Characters("abcdefghij").windows(4)
    batches = list(DataLoader(Subset(windows, [5, 0, 1]), 2))
    assert [x.tolist() for x, _ in batches] == [[[5, 6, 7, 8], [0, 1, 2, 3]], [[1, 2, 3, 4]]]
    x, y = batches[0]
    assert x.shape == y.shape == (2, 4)
    assert np.array_equal(x[:, 1:], y[:, :-1])


def test_a_division_shares_the_vocabulary_and_no_character():
    text = Characters("aaaaaaab")
    first, rest = text.split(0.75)
    assert (first.codes.tolist(), rest.codes.tolist()) == ([0] * 6, [0, 1])
    assert first.vocabulary == rest.vocabulary == text.vocabulary
    for wrong in (0, 1, -0.5, 1.5, 0.01, float("nan")):
        with pytest.raises(ValueError, match=f"`fraction` is {wrong}"):
            text.split(wrong)


def test_a_file_is_read(tmp_path):
    file = tmp_path / "text.txt"
    file.write_bytes("Grüße\r\nund\n".encode())
    text = load_text(file)
    assert text.vocabulary.decode(text.codes) == "Grüße\nund\n"
    file.write_bytes("Grüße".encode("latin-1"))
    assert len(load_text(str(file), encoding="latin-1")) == 5
    with pytest.raises(ValueError, match=r"text\.txt cannot be read as utf-8 .*pass its encoding"):
        load_text(file)


def test_a_file_without_text_is_refused(tmp_path):
    file = tmp_path / "text.txt"
    file.touch()
    with pytest.raises(ValueError, match=r"text\.txt is empty: there is nothing to learn from"):
        load_text(file)
    with pytest.raises(FileNotFoundError):
        load_text(tmp_path / "missing.txt")
