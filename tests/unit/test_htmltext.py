"""HTML as people see it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdeliver.htmltext import text_of_html


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>one<br>two\nthree</p>four", "one\ntwo three\nfour"),
        ("V<b>iag</b>ra", "Viagra"),
        ("a<!-- <p>b --> c", "a c"),
        ("a<!-- never closed", "a"),
        ("<SCRIPT>x < y</Script >b<style/>c<style>d", "bc"),
        ("<title>t</title><body>b", "b"),
        ("1 < 2 <3 & 4 &amp;lt; &lt;b&gt;", "1 < 2 <3 & 4 &lt; <b>"),
        ("&eacute;&#233;&#xE9;&nbsp;&#0;&#xD800;&#x110000;&nonsense;&", None),
        ("<a href='x>y'>z</a>", "y'>z"),
        ("İ<script>x</script>y", "İy"),
        ("", ""),
        ("<a", ""),
    ],
)
def test_text(html: str, text: str | None) -> None:
    found = text_of_html(html)
    assert found == ("ééé &#0;&#xD800;&#x110000;&nonsense;&" if text is None else text)


@given(st.text("<>!-/&;#x1 \nabscript\"'é", max_size=80))
def test_any_html_has_a_text(html: str) -> None:
    text = text_of_html(html)
    assert "\n\n" not in text
    assert text.strip() == text
