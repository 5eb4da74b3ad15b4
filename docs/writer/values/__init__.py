"""By page, what its marks hold: each module has `make() -> Made`."""
