"""RFC 2047: the examples of its section 8, and what real mail adds."""

from __future__ import annotations

import pytest

from mdeliver.headertext import decode_words

MANY = 1000


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("(=?ISO-8859-1?Q?a?=)", "(a)"),
        ("(=?ISO-8859-1?Q?a?= b)", "(a b)"),
        ("(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)"),
        ("(=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=)", "(ab)"),
        ("(=?ISO-8859-1?Q?a_b?=)", "(a b)"),
        ("(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)"),
        ("=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>", "Keith Moore <moore@cs.utk.edu>"),
        ("=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=", "If you can read this yo"),
    ],
)
def test_examples_of_the_rfc(written: str, shown: str) -> None:
    assert decode_words(written, MANY) == shown


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        # A character split over two words, with another charset's word after it.
        ("=?utf-8?Q?=E2=98?= =?UTF-8?B?gw==?= =?iso-8859-1?q?=FC?=", "☃ü"),
        ("=?iso-8859-1*de?Q?sch=F6n?=", "schön"),
        ("=?utf-8?B?w6Q?= x", "ä x"),  # no padding
        ("=?utf-8?B?w6QA=?=", "ä\0"),
        ("=?utf-8?B?w6Qx1?=", "ä1"),  # a character too many
        ("=?utf-8?Q?a b?=", "a b"),  # spaces inside are forbidden and common
        ("x=?utf-8?Q?=C3=A9?=y", "xéy"),
        ("=?gb2312?B?lUqVSg==?=", "旿旿"),  # sent as GB 2312, is GBK
        ("=?windows-1252?Q?=80?=", "€"),
        ("=?koi8-u?Q?=A6?=", "\N{CYRILLIC SMALL LETTER BYELORUSSIAN-UKRAINIAN I}"),
        ("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"),
        # What cannot be right is seen to be wrong.
        ("=?no-such?Q?a=FFb?=", "a\ufffdb"),
        ("=?utf-8?Q?=FF?=", "\ufffd"),
        ("=?unicode_escape?Q?\\u0041=FF?=", "\\u0041\ufffd"),
        ("=?base64?Q?YQ==?=", "YQ="),
        ("=?../../x?Q?a?=", "a"),
        # No encoded words.
        ("=?utf-8?X?a?=", "=?utf-8?X?a?="),
        ("=?utf-8?B?!!!?=", "=?utf-8?B?!!!?="),
        ("=??Q?a?=", "=??Q?a?="),
        ("=?utf-8?Q?open", "=?utf-8?Q?open"),
        ("=?utf-8?Q?open =?utf-8?Q?shut?=", "=?utf-8?Q?open shut"),
        ("=?utf-8?Q??=x", "x"),
        ("=?=?=?", "=?=?=?"),
        ("", ""),
    ],
)
def test_real_words(written: str, shown: str) -> None:
    assert decode_words(written, MANY) == shown


def test_no_lone_surrogate_comes_out() -> None:
    decode_words("=?utf-7?Q?+2AA-?= =?utf-16?B?2AA=?=", MANY).encode()


def test_only_so_many_words() -> None:
    assert decode_words("=?a?q?x?= " * 3, 2) == "xx =?a?q?x?= "
