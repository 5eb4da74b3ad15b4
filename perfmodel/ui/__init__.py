"""The local page of `perfmodel ui`: the same functions as the commands, in a browser.

`views` answers questions as commands do, `workers` runs them in processes of their own, `uploads`
keeps what was dropped, `server` and `guard` speak HTTP, `static/` is what the browser gets.
"""
