"""`date`, `weekday` and `time`: the arrival of the message, in local time.

Local time  that of TZ, else /etc/localtime, as the delivering process sees it. Summer time is the
            system's business: an hour that comes twice is in a range twice.
Ranges      both ends belong to them, a minute and a day as a whole: `22:00 to 7:00` is until
            7:00:59. Times and weekdays may go round: `friday to monday` are four days.
"""

from __future__ import annotations

import time

from mdeliver.language.syntax import Clock, Date, Field, Name, Range

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.language.syntax import Test, Value
    from mdeliver.scene import Scene

    Moment = tuple[int, ...]
    """What is compared: (year, month, day), (hour, minute) or (day of the week from Monday,)."""

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def moment_text(name: str, now_s: float) -> str:
    """The text of the field NAME, written as the language writes it."""
    now = time.localtime(now_s)
    if name == "date":
        return f"{now.tm_year:04}-{now.tm_mon:02}-{now.tm_mday:02}"
    if name == "time":
        return f"{now.tm_hour}:{now.tm_min:02}"
    return DAYS[now.tm_wday]


def compare_moment(scene: Scene, test: Test) -> bool:
    """Whether TEST, whose fields are one of the three, holds."""
    field = test.fields[0]
    if not isinstance(field, Field):
        raise AssertionError("the checker let a text beside a day or time through")
    now = time.localtime(scene.now_s)
    moments: dict[str, Moment] = {
        "date": (now.tm_year, now.tm_mon, now.tm_mday),
        "time": (now.tm_hour, now.tm_min),
        "weekday": (now.tm_wday,),
    }
    seen = moments[field.name]
    # The words of `weekday` are no names: nothing is looked up.
    values = test.values if field.name == "weekday" else scene.values(test.values)
    fitting = next((value for value in values if _fits(seen, test.operator, value)), None)
    if scene.explain:
        from mdeliver import explain

        text = moment_text(field.name, scene.now_s)
        if fitting is not None:
            scene.because = explain.fits(field, text, test, fitting)
        else:
            scene.because = explain.fits_not([(field, [text])], "")
    return (fitting is not None) is not test.negated


def _fits(seen: Moment, operator: str, value: Value) -> bool:
    if isinstance(value, Range):
        low, high = _moment(value.low), _moment(value.high)
        if low <= high:
            return low <= seen <= high
        return seen >= low or seen <= high
    bound = _moment(value)
    match operator:
        case "is":
            return seen == bound
        case ">":
            return seen > bound
        case "<":
            return seen < bound
        case ">=":
            return seen >= bound
        case "<=":
            return seen <= bound
        case _:
            raise AssertionError(f"the checker let {operator} beside a day or time through")


def _moment(value: Value) -> Moment:
    match value:
        case Date():
            return (value.year, value.month, value.day)
        case Clock():
            return (value.hour, value.minute)
        case Name():
            return (DAYS.index(value.name),)
        case _:
            raise AssertionError(f"the checker let {type(value).__name__} through as a moment")
