"""When a phone came out: as sources say, else by its chip and the oldest Android seen on it."""

from __future__ import annotations

from perfmodel.devices.market import Phone, chips

ANDROID_YEARS = {
    16: 2012,
    17: 2012,
    18: 2013,
    19: 2013,
    20: 2014,
    21: 2014,
    22: 2015,
    23: 2015,
    24: 2016,
    25: 2016,
    26: 2017,
    27: 2017,
    28: 2018,
    29: 2019,
    30: 2020,
    31: 2021,
    32: 2022,
    33: 2022,
    34: 2023,
    35: 2024,
    36: 2025,
}
"""Year in which an Android API level came out (Android's own list of releases)."""


GUESSED_WITHIN_A_YEAR = 0.85
"""Share of the 3,462 phones whose year is known that `came_out` would date to within a year of it,
were it not."""


NAMESAKE_YEARS = 4
"""Years after its chip and the oldest Android seen on it from which on a year is that of a later
phone of the same name: makers sell old names anew (vivo Y31 of 2015 and of 2021), and sources of
years know names alone. Of 3,510 phones with a year 16 are 5 to 7 years late, none 4, 7 are 3."""


def came_out(phone: Phone) -> int | None:
    """The year a phone came out; None where nothing tells.

    Where no source says (three phones of four), the later of its chip's year and that of the oldest
    Android seen on it (`GUESSED_WITHIN_A_YEAR`).
    """
    return stated_year(phone) or _guessed(phone)


def stated_year(phone: Phone) -> int | None:
    """The year that a source says of a phone; None where none does, or means a namesake."""
    guessed = _guessed(phone)
    if phone.year is None or guessed is None or phone.year - guessed < NAMESAKE_YEARS:
        return phone.year
    return None


def _guessed(phone: Phone) -> int | None:
    made = chips().get(phone.chip)
    years = (made.year if made else None, ANDROID_YEARS.get(phone.sdk or 0))
    return max((y for y in years if y is not None), default=None)
