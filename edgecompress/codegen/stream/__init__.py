"""A chain of layers computed in bands of rows, so that only a few rows of what lies between them are in the arena at any time.

    rows      which rows of its input a call needs
    chain     the ops that may stand in a block
    schedule  a block's bands
    block     their rows in a scratch buffer
    search    the blocks with which the whole plan is lowest
    apply     blocks put into a program
    check     the proof of a block
    emit      its C

docs/streaming.md tells the idea.
"""
