"""The index of a journal: a cache beside it that opens a run of a million steps at once.

    block.py    the file format
    build.py    journal lines → blocks; the supervisor and `python -m cockpit.index` use it
    read.py     blocks → columns of steps, and entries by kind

The journal stays the truth: an index is made from the journal's bytes alone, says which bytes,
and is checked against them when it is opened. What does not fit is made anew.
"""
