"""The catalogue of findings: what each code means and how to mend it.

E1xx  the text cannot be cut into words       E3xx  it reads well and cannot be meant
E2xx  the words make no rule                  W4xx  it is valid and probably not what was meant

Codes are stable: a code that is no longer used is not given to anything else. `mdeliver check
--explain CODE` shows an entry; a test keeps the table complete.
"""

from __future__ import annotations

CATALOGUE: dict[str, tuple[str, str]] = {
    "E101": (
        "unexpected character",
        "A character stands where no word, text, number or sign begins with it. A text needs"
        ' straight double quotes ("…"); a comment needs a space before its #; white space other'
        " than space and tab often comes from copying a web page.",
    ),
    "E102": (
        "text without its closing quote",
        'A text begins with " and ends with " on the same line. Write \\" for a quote within a'
        " text and \\n for a line break.",
    ),
    "E103": (
        "unknown escape",
        "In a text, \\ makes the punctuation after it plain, and \\n is a new line. Before any"
        " other letter or digit it means nothing. For the character itself write \\\\; in a regex"
        " (between slashes) the usual escapes hold.",
    ),
    "E104": (
        "brace without a name",
        "Between { and } stands a name, such as {1}, {user}, {from domain} or {lower list-id}."
        " For the characters themselves write \\{ in a quoted text.",
    ),
    "E105": (
        "curly or single quotes",
        'Texts stand between straight double quotes ("…"). Word processors and web pages turn'
        " them into curly ones; single quotes and backticks mean nothing here.",
    ),
    "E106": (
        "unfinished regex",
        "A / that does not directly follow a name or folder opens a regex, which ends at the next"
        " / on the same line that has no \\ before it. A / within a regex is written \\/. An"
        " empty regex would hold for everything and is refused.",
    ),
    "E107": (
        "letters after a regex",
        "There are no flags after a regex. Tests ignore case by themselves, unless exactly stands"
        " before the value; other flags stand inside, as RE2 has them: /(?s)a.b/.",
    ),
    "E108": (
        "tabs and spaces mixed",
        "A file is indented with spaces or with tabs, never both: what looks aligned in one editor"
        " is not in another, and a rule could belong to another block than it seems to.",
    ),
    "E109": (
        "indentation that fits no block",
        "The lines of a block begin with exactly the same white space. This line is indented less"
        " than the line above it, but not as much as any block that is open.",
    ),
    "E110": (
        "number with an unknown unit",
        "Sizes are K, M or G (of 1024), times are s, m, h, d or w, directly after the number: 20M,"
        " 7d. Capitals matter: 20m are minutes.",
    ),
    "E111": (
        "no time of day",
        "A time is written with hours from 0 to 23 and two digits of minutes: 7:00, 22:30.",
    ),
    "E112": (
        "no day",
        "A day is written year, month, day: 2026-08-01, and must be in the calendar.",
    ),
    "E113": (
        "a sign from another language",
        "Rules are written with words: is and is not instead of == and !=, and, or, not instead of"
        " &&, || and !. Numbers are compared with >, <, >= and <=.",
    ),
    "E114": (
        "folder without a name",
        'After each / of a folder stands its name: imap/Lists/postfix, imap/"Big and odd". A name'
        ' with a space or any of / " , : ( ) \\ in it is quoted as a whole.',
    ),
    "E201": (
        "a line that begins no statement",
        "A line begins with if, elif or else, with an action (file to, keep, discard, reject,"
        " defer, …), with also before one, or with a definition (let, mailbox, inbox, me,"
        " include).",
    ),
    "E202": (
        "something else was expected",
        "The words so far ask for another one here; the message says which.",
    ),
    "E203": (
        "no colon before the block",
        "A condition ends with a colon; what is to be done stands indented below it, or, if it is"
        " a single action, on the same line. The message is also given where two tests stand side"
        " by side without and or or between them.",
    ),
    "E204": (
        "unexpected indentation",
        "Only the block after a colon is indented. A block stands either below its if or, as one"
        " action, on the same line, not both.",
    ),
    "E205": (
        "no block",
        "After if, elif and else stands a block: one action on the same line after the colon, or"
        " indented lines below it. Definitions and further ifs need lines of their own.",
    ),
    "E206": (
        "elif or else without an if",
        "elif and else follow the block of an if with the same indentation. A line in between,"
        " even a let, ends the if; else comes last, and once.",
    ),
    "E207": ("else if", "Another condition after an if is said with elif."),
    "E208": ("file in", "A message is filed with file to: file to imap/Work."),
    "E209": (
        "no field of a message",
        "A test begins with a field: subject, from, to, cc, reply-to, list-id, sender, recipient,"
        ' recipients, extension, size, header "NAME" and so on, or is a fact such as sent by me.'
        ' Any other header is said with its name: header "X-Spam-Flag".',
    ),
    "E210": (
        "no operator",
        "After the field stands how it is compared: is, is not, contains, starts with, ends with,"
        " matches, exists, does not contain (match, start with, end with, exist), or > < >= <=.",
    ),
    "E211": (
        "a text where a test should stand",
        'Between and and or stand whole tests. Several values take a comma: from is "a", "b" holds'
        " for any of them, and is not for none of them.",
    ),
    "E212": (
        "not in the wrong place",
        "not stands before a whole test (not subject contains …) or within is not. All other"
        " operators are negated with does not: does not exist, does not contain.",
    ),
    "E213": (
        "no value",
        "A value is a text in quotes, a /regex/ after matches, a number, a quantity such as 20M, a"
        " day or time, the name of a let, me, or lines of a file.",
    ),
    "E214": (
        "a word that cannot be a name",
        "and, or, not, if, elif, else, is, to, as, exactly, lines, inbox, maildir, mbox and me"
        " have a meaning everywhere, so nothing can be called by them.",
    ),
    "E215": (
        "parenthesis never closed",
        "Each ( of a condition needs its ) before the colon.",
    ),
    "E216": (
        "unexpected words at the end",
        "The statement was complete before this point. One statement stands on a line; a long one"
        " goes on after a comma, after and, or, not, and inside parentheses. The arguments of a"
        " program stand side by side without commas.",
    ),
    "E217": (
        "nested too deeply",
        "Blocks, parentheses and not may stand within one another 64 deep, included files counted."
        " Rules that need more are easier to read in several ifs.",
    ),
    "E218": (
        "also before discard, reject or defer",
        "also means: do this, and go on with the rules. discard, reject and defer end the message's"
        " way, so nothing could go on.",
    ),
    "E219": (
        "no target",
        "A target is a mailbox (imap), a folder of one (imap/Lists/postfix), inbox, or a place"
        ' outright: maildir "PATH" or mbox "PATH".',
    ),
    "E220": ("no text", "A text in double quotes is needed here."),
    "E221": (
        "no equals sign",
        'Definitions have = between the name and what it stands for: let x = "…", mailbox x ='
        ' maildir "…", inbox = …, me = ….',
    ),
    "E301": (
        "unknown name",
        "No let above this line, here or in the site's rules, sets this name. A text that is meant"
        " as such is quoted.",
    ),
    "E302": (
        "unknown mailbox",
        "No mailbox of this name is defined above this line. imap and pop3 are built in.",
    ),
    "E303": (
        "a name or capture that may be unset",
        "On some way through the rules this line is reached without the name or capture being set:"
        " the let stands in a block that does not always run, or the condition can hold without"
        " the matches whose (*) or (?) is meant. Captures come from the last matches of the"
        " condition that has any, and serve to its right and in its block only.",
    ),
    "E304": (
        "several values where one text is needed",
        "A brace, such as {x}, is filled with one text. A let of several values, or of a regex or"
        " a day, cannot fill it.",
    ),
    "E305": (
        "a value that does not fit the field",
        "Sizes are compared with sizes (size > 20M), days with days, texts with texts. Texts take"
        " is, contains, starts with, ends with and matches; > < >= <= compare the first number in"
        " a text with a number.",
    ),
    "E306": (
        "exists with a value",
        "exists asks only whether the field is there. To look at what it holds, use is, contains"
        " or matches.",
    ),
    "E307": (
        "unknown flag",
        "The flags are seen, flagged, answered and draft. A message that is to appear read is"
        " filed as seen.",
    ),
    "E308": ("a flag twice", "Each flag is named once."),
    "E309": (
        "a unit of another kind",
        "Sizes take K, M or G; s, m, h, d and w are times.",
    ),
    "E310": (
        "a regex that is not valid",
        "Regexes are RE2's, which match in linear time whatever the text: most of what Perl and"
        " grep -E have, but no look-ahead, look-behind or back-references. Each is tried before"
        " any message is touched.",
    ),
    "E311": (
        "a regex without matches",
        "Only matches takes a /regex/; is, contains, starts with and ends with take texts.",
    ),
    "E312": (
        "a folder of an mbox",
        "An mbox is one file and has no folders, unless {folder} stands in its path: mbox"
        ' "~/Mail/{folder}" is a directory of mboxes.',
    ),
    "E313": (
        "a folder or path that cannot be",
        "A folder within a folder is written with a / between two names (imap/Lists/postfix), not"
        " with a / inside quotes, nor with a dot, which separates folders in a Maildir++. A path"
        " is not empty.",
    ),
    "E315": (
        "a status of the wrong class",
        "A text after reject may begin with an enhanced status code 5.x.y (permanent), after defer"
        " with 4.x.y (try again later); see RFC 3463.",
    ),
    "E316": (
        "a brace where nothing can fill it",
        "Names of headers and of files that belong to the rules are fixed before any message"
        " comes.",
    ),
    "E317": (
        "an include that cannot be read",
        "An included file is looked for beside the file that names it. Like all rules it must be"
        " owned by the user or root and be writable by nobody else.",
    ),
    "E318": ("an include that includes itself", "Two files cannot include each other."),
    "E319": (
        "too many includes",
        "Files may include one another 16 deep, and 1000 of them at all.",
    ),
    "E320": ("no day of the week", "Weekdays are monday to sunday, in small letters."),
    "E321": (
        "a range that cannot be",
        "A range has two ends of one kind, the lower one first. Only times of day and weekdays may"
        " go round: time is 22:00 to 7:00.",
    ),
    "E323": (
        "no name of a header",
        "A header's name is printable ASCII without spaces and without the colon.",
    ),
    "E324": (
        "a let with too many values",
        "The values of the names within a let count as its own. More than 100000 are a mistake.",
    ),
    "E325": (
        "unknown name in braces",
        "A brace takes a capture ({1}), a let of one text, a field ({subject}, {from domain}), or"
        " one of {user}, {home}, {year}, {month}, {day}; {folder} in a mailbox's path. For the"
        " character itself write \\{.",
    ),
    "E326": (
        "unknown result of a check",
        "spf, dkim, dmarc and arc give none, pass, fail, softfail, neutral, policy, temperror or"
        " permerror (RFC 8601).",
    ),
    "E327": (
        "a file of lines that cannot be read",
        "A file of lines is looked for beside the file that names it. Like all rules it must be"
        " owned by the user or root and be writable by nobody else; it is UTF-8, up to 4 MB.",
    ),
    "E328": (
        "a line that is no value",
        "In the file of lines of each line is a text as it stands, without quotes, of up to 1000"
        " characters. A # at a line's start or after white space opens a comment.",
    ),
    "E329": (
        "no header line, or no header name",
        'set header and add header take "Name: text", remove header takes "Name". The name stands'
        " there as it is: letters, digits and hyphens, no braces, so that no message decides which"
        " field is changed. Braces may stand in the text.",
    ),
    "E330": (
        "no name of a program",
        "A program is named by its whole path, by a path that begins with ~/, or by a name alone,"
        " which is looked up where the system has its programs. It stands there as it is, without"
        " braces. What follows are its arguments, each a text of its own: there is no shell that"
        " would take one text apart.",
    ),
    "E331": (
        "no address",
        "Mail is forwarded to, and replies come from, addresses such as ann@example.org: a text for"
        " each, without a name before it and without angle brackets.",
    ),
    "E332": (
        "the file of a reply that cannot be read",
        "A relative name is looked for beside the file that names it. Like a rules file it must be"
        " UTF-8, belong to root or the user, and be writable by nobody else.",
    ),
    "E333": (
        "no text of a reply",
        "A reply has a text, of up to 32768 characters. It may begin with the lines Subject: and"
        " From: and then an empty line; From is one address, perhaps with a name:"
        " Ann <ann@example.org>.",
    ),
    "W401": (
        "a line that is never reached",
        "file to, keep, discard, reject and defer without also end the rules, the site's and the"
        " user's. What stands after them, or after an if of which every branch ends, is never run.",
    ),
    "W402": (
        "a test that never holds",
        "The field cannot have this value: a bare address has no space (the name is in from name),"
        " a domain has no @, and two tests joined by and may exclude each other.",
    ),
    "W403": (
        "a mailbox that no rule uses",
        "The mailbox is defined, and neither inbox nor any file to names it: perhaps a rule is"
        " missing.",
    ),
    "W404": ("a let that no line uses", "Perhaps a name is misspelt, or a rule is missing."),
    "W405": (
        "a name that hides another",
        "The same file gives a name two meanings, or a let hides a field in braces. Shadowing what"
        " the site's file defines is usual and not warned about.",
    ),
    "W406": (
        "subdomains are missed",
        'from domain is "amazon.com" holds for that domain alone, and this sender writes from'
        ' subdomains as well: matches "*.amazon.com" holds for those.',
    ),
    "W407": (
        "recipient where recipients was probably meant",
        "recipient is the envelope's recipient, one of this user's addresses. recipients is To,"
        " Cc, Bcc and the like together: what procmail calls ^TO_.",
    ),
    "W408": (
        "an address without an @",
        "from is compares the whole address. Parts of it are from domain and from local part.",
    ),
    "W409": (
        "something named twice",
        "The second time changes nothing: perhaps another was meant.",
    ),
    "W410": (
        "flags on an mbox",
        "Flags reach Maildirs only: in an mbox, Status: RO would look as if it had been"
        " downloaded.",
    ),
    "W411": (
        "a reply code as text",
        "The reply's three digits are chosen by mdeliver. A text after reject or defer may begin"
        " with an enhanced status such as 5.7.1; 550 would be sent as a word.",
    ),
    "W412": (
        "an argument that may become an option",
        "The argument begins with what a message brings in, and whoever wrote the message may have"
        ' begun it with a hyphen: the program would take it for an option. Put "--" before it,'
        " where the program knows that, or something else in front of it within the text.",
    ),
    "W413": (
        "white space in the name of a program",
        "The whole first text is the name of the program. Its arguments are texts of their own.",
    ),
}
"""Code: title and explanation."""
