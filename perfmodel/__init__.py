"""perfmodel: how fast will this network run on that hardware, and what should I do about it?"""

__version__ = "0.1.0"
