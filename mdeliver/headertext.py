"""RFC 2047 encoded words in header values.

Guarantee   nothing raises; linear time; no lone surrogate leaves; one line of a few hundred words
            costs microseconds, where `email.header` costs 20 ms to import alone.
Reads       =?charset[*language]?Q|B?text?=  (RFC 2047 section 2, language of RFC 2231 section 5)
            anywhere in the text, also beside other characters and with spaces inside, since that
            is what mail programs show. White space between two words goes (6.2). Bytes of
            neighbouring words of one charset are joined before they are decoded, so that a
            character split over two words (forbidden and common) survives.
Shows       bytes that the charset does not know, or whose charset is unknown, as U+FFFD; a word
            that is no word at all as it stands.
"""

from __future__ import annotations

from binascii import Error, a2b_base64, a2b_qp

# Loaded at interpreter start. Python's own name search would look for a module of any name the
# message says: a file system call for each of 100 000 words.
from encodings.aliases import aliases as _ALIASES

CHARSET_CHARACTERS = 60
"""Longest charset name with language that is looked at."""

# Codecs that have no alias of their own name, under the names mail uses.
_MORE_CODECS = {
    "koi8_u": "koi8_u",
    "windows_874": "cp874",
    "cp874": "cp874",
    "x_sjis": "shift_jis",
    "gb2312_80": "gb2312",
    "unicode_1_1_utf_7": "utf_7",
}
_CODECS = frozenset(_ALIASES.values()) - {
    "base64_codec", "bz2_codec", "hex_codec", "mbcs", "quopri_codec", "rot_13", "tactis",
    "uu_codec", "zlib_codec",
}  # fmt: skip

# What is sent under the smaller name often holds characters of the larger set.
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "euc_kr": "cp949", "shift_jis": "cp932"}


def decode_words(text: str, most: int) -> str:
    """TEXT (unfolded) with its encoded words decoded; no more than MOST are looked at."""
    done: list[str] = []
    pending: list[bytes] = []
    pending_charset = ""
    copied = 0  # text[:copied] is in `done` or `pending`
    look = 0
    word_end = 0  # the first "?=" at or after wherever it was last looked for
    while most > 0 and (start := text.find("=?", look)) >= 0:
        most -= 1
        look = start + 2
        question = text.find("?", look, look + CHARSET_CHARACTERS)
        body = question + 3
        if question <= look or text[question + 2 : body] != "?":
            continue
        if word_end < body:
            word_end = text.find("?=", body)
            if word_end < 0:
                break
        # A "?" inside means that this word was never closed and another one begins there.
        if text.find("?", body, word_end) >= 0:
            continue
        octets = _octets(text[question + 1], text[body:word_end])
        if octets is None:
            continue
        between = text[copied:start]
        charset = text[start + 2 : question].partition("*")[0].lower()
        if not pending or between.strip() or charset != pending_charset:
            done.append(_text_of(pending, pending_charset))
            if not pending or between.strip():
                done.append(between)
            pending = []
        pending.append(octets)
        pending_charset = charset
        copied = look = word_end + 2
    done.append(_text_of(pending, pending_charset))
    done.append(text[copied:])
    return "".join(done)


def _octets(encoding: str, body: str) -> bytes | None:
    """The bytes of one word; None where it cannot be one."""
    coded = body.encode("utf-8")
    if encoding in "qQ":
        return a2b_qp(coded, header=True)
    if encoding not in "bB":
        return None
    # Padding is often missing and sometimes one character too much is there.
    for attempt in (coded + b"===", coded.rstrip(b"=")[:-1] + b"==="):
        try:
            octets = a2b_base64(attempt)
        except Error:
            continue
        return octets if octets or not coded else None
    return None


def text_of(octets: bytes, charset: str) -> str:
    """OCTETS in CHARSET as text; what is not of it is U+FFFD."""
    return _text_of([octets], charset)


def _text_of(octets: list[bytes], charset: str) -> str:
    if not octets:
        return ""
    joined = b"".join(octets)
    label = charset.strip().replace("-", "_").replace(" ", "_").replace(".", "_")
    codec = _ALIASES.get(label) or _MORE_CODECS.get(label) or label
    if codec not in _CODECS and codec not in _MORE_CODECS.values():
        return joined.decode("ascii", "replace")
    for attempt in (codec, _WIDER.get(codec, "")):
        try:
            if attempt:
                return _without_surrogates(joined.decode(attempt))
        except UnicodeError:
            continue
    return _without_surrogates(joined.decode(codec, "replace"))


def _without_surrogates(text: str) -> str:
    """UTF-7 can smuggle lone surrogates in, which no output could encode."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
