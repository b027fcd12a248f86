"""Generated procmailrc files and messages, of the kinds that real files have, and odd ones."""

from __future__ import annotations

import random

WORDS = "urgent Offer list ann bob scuba TeXt hello YES [dev]".split()

EXPRESSIONS = (
    r"^Subject:.*urgent",
    r"^From:.*eve@example\.com",
    r"^TO_ann@example\.org",
    r"^TOscuba",
    r"^FROM_DAEMON",
    r"^FROM_MAILER",
    r"^Subject:.*(offer|list)",
    r"^List-Id:.*<\/[^.>]*",
    r"^X-Spam-Flag: YES",
    r"^X-Spam-Level: \*\*\*",
    r"^Subject: *$",
    r"hello",
    r"^X-Folded:.*one.two",
    r"\<bob\>",
    r"^Subject:.*\<ann\>",
    r"()urgent",
    r"^From.*peter",
    r"^Subject:.*\[\/[^]]+",
    r"^^From.*bob",
    r"^^rom ",
)
IN_BODY = (
    "spam",
    "^From",
    "buy.*now",
    "^^hello",
    r"spam.*\/.*",
    "< 20",
    "> 10",
)
EXPANDED = ("^Subject:.*$WORD", r"^From:.*$\ADDR", "${WORD}$", "> $SIZE")
OF_VARIABLES = (".", "^^$", "dev", "urgent|offer", "^^ur", r"\/t.*")
WEIGHTS = ("1^0", "-1^0", "2^1", "1^.5", "-3^0", "1^1")
FOLDERS = (
    *("mail", "lists/", "box/", "sub/mail", "dir", "nodir/x", "/dev/null", "mh/.", "$MATCH"),
    *("lists/$MATCH/", "$UNSET", "dir box/", '"odd name"', "ur${WORD:-x}", "dir/."),
)
FILTERS = (
    '-A "X-New: $WORD"',
    '-I "X-Spam-Flag: NO"',
    '-i "Subject: changed"',
    '-a "X-A: 1" -I "List-Id:"',
    '-R X-Folded: X-Renamed: -A "X-B: 2"',
)
ASSIGNMENTS = (
    *("WORD=offer", "WORD", "SIZE=250", 'ADDR="eve@example.com"', "WORD='list' SIZE=150"),
    *("OTHER=$WORD", "DEFAULT=$HOME/other/", "MATCH", "MAILDIR=$HOME/dir"),
    *('NL="\n"', "HOST=nowhere", "X=`formail -xSubject:`", "Y=`date +%Y`"),
    "WORD=`formail -rtzxTo:`",
)


class Generator:
    """Makes files and messages from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.pick = self.random.choice

    def often(self, share: float) -> bool:
        return self.random.random() < share

    def message(self) -> bytes:
        sender = self.pick(["eve@example.com", "MAILER-DAEMON", "bob@x.org"])
        head = [
            f"From {sender}  Mon Nov 23 10:00:00 2026",
            "From: "
            + self.pick(
                [
                    "Eve <eve@example.com>",
                    "bob@x.org (Bob)",
                    '"Postmaster" <postmaster@x.org>',
                    "Peter P <peter@y.net>",
                ]
            ),
            "To: "
            + self.pick(
                [
                    "ann@example.org",
                    "Ann <ann@example.org>, bob@x.org",
                    "scuba-list@lists.example.org",
                    "undisclosed-recipients:;",
                ]
            ),
            "Subject: " + " ".join([self.pick(WORDS) for _ in range(self.random.randint(0, 4))]),
        ]
        for share, line in (
            (0.2, "Cc: ann@example.org"),
            (0.1, "Cc: x <list@x.org>"),
            (0.2, "List-Id: Dev <dev.lists.example.org>"),
            (0.2, "List-Id: <users.example.net>"),
            (0.3, "X-Spam-Flag: YES"),
            (0.3, "X-Spam-Level: " + "*" * self.random.randint(0, 9)),
            (0.2, "Precedence: bulk"),
            (0.3, "X-Folded: one\n\ttwo\n three"),
            (0.2, "Content-Length: " + self.pick(["10", "99999", "x  "])),
        ):
            if self.often(share):
                head.append(line)
        lines = "hello|From bob|spam spam||>From x|the end|-- |buy now|$$$".split("|")
        body = "\n".join([self.pick(lines) for _ in range(self.random.randint(0, 8))])
        return ("\n".join(head) + "\n\n" + body + "\n" * self.often(0.8)).encode()

    def condition(self) -> str:
        made = self.pick(EXPRESSIONS)
        kind = self.random.random()
        if kind < 0.1:
            made = self.pick("<>") + " " + self.pick("100 200 300 400".split())
        elif kind < 0.18:
            made = "B ?? " + self.pick(IN_BODY)
        elif kind < 0.24:
            made = "$ " + self.pick(EXPANDED)
        elif kind < 0.3:
            name = self.pick("MATCH WORD UNSET MAILDIR".split())
            made = f"{name} ?? {self.pick(OF_VARIABLES)}"
        elif kind < 0.4:
            weighed = self.pick([made, "B ?? spam", "> 200", "! ^Subject:.*urgent"])
            made = f"{self.pick(WEIGHTS)} {weighed}"
        return "! " + made if self.often(0.2) else made

    def action(self, depth: int) -> str:
        kind = self.random.random()
        if kind < 0.5 or depth > 2:
            return self.pick(FOLDERS)
        if kind < 0.6:
            return "! bob@x.org" + self.pick([" eve@y", "", "  $ADDR"])
        if kind < 0.68:
            return self.pick(["| $HOME/note a b", '| $HOME/note "c d" $WORD', "|$HOME/note"])
        return "{\n" + self.items(depth + 1, self.random.randint(0, 3)) + "}"

    def recipe(self, depth: int) -> str:
        shares = {"c": 0.3, "A": 0.12, "a": 0.08, "E": 0.12, "e": 0.05, "D": 0.05, "B": 0.08}
        shares |= {"H": 0.08, "h": 0.05, "b": 0.05, "r": 0.04, "w": 0.05, "i": 0.03}
        flags = "".join([flag for flag, share in shares.items() if self.often(share)])
        lines = [f":0{flags}"]
        lines += [f"* {self.condition()}" for _ in range(self.pick([0, 1, 1, 1, 2, 3]))]
        if self.often(0.1):
            lines.append("# a comment")
        return "\n".join([*lines, self.action(depth)]) + "\n"

    def items(self, depth: int, count: int) -> str:
        made = ""
        for _ in range(count):
            kind = self.random.random()
            if kind < 0.12:
                made += self.pick(ASSIGNMENTS) + "\n"
            elif kind < 0.2:
                made += f":0fhw\n* {self.condition()}\n| formail {self.pick(FILTERS)}\n"
            else:
                made += self.recipe(depth)
        return made

    def rules(self) -> str:
        first = "WORD=urgent\nSIZE=250\nADDR=bob@x.org\n"
        return first + self.items(0, self.random.randint(1, 6))


def clear_of_what_differs(rules: str) -> str:
    """RULES without what converted ones do otherwise by design."""
    for limit in ("100", "200", "300", "400"):
        rules = rules.replace(f"> {limit}", "> 9").replace(f"< {limit}", "< 9000")
    rules = rules.replace("SIZE=250", "SIZE=9").replace("SIZE=150", "SIZE=9")
    rules = rules.replace("^^hello", "^hello")
    return rules.replace("one.two", "one.*two").replace(r"spam.*\/.*", r"spa\/m")


ATOMS = r"a b c A . .* ^ $ [ab] [^a] \< \> \. x - @ ^^ [a-c] \/ () 1 _".split()
GROUPS = ("ab", "a|b", "b.", "[ab]c", "^b", "x\\>")


def expression(random_: random.Random, depth: int = 0) -> str:
    """An expression; nothing that can match nothing is repeated: procmail may not come back."""
    made = ""
    for _ in range(random_.randint(1, 5)):
        kind = random_.random()
        if kind < 0.18 and depth < 3:
            other = f"|{expression(random_, depth + 1)}" if random_.random() < 0.6 else ""
            made += f"({expression(random_, depth + 1)}{other})"
        elif kind < 0.23 and depth < 3:
            made += f"({random_.choice(GROUPS)}){random_.choice('*+?')}"
        else:
            atom = random_.choice(ATOMS)
            repeats = random_.random() < 0.25 and atom not in (".*", "()", "^^", "\\/")
            made += atom + (random_.choice("*+?") if repeats else "")
    return made
