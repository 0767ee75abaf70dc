"""Seeded hostile inputs: whatever they are, they are read, or refused in one line.

    make fuzz N=20000            # all kinds; the counts by class, and each bad one with the words that repeat it
    make fuzz N=1 SEED=3 KIND=tables NUMBER=17

A kind is a module of this folder with `Kind`; what it makes comes from what the code says of itself (the parameters'
classes, the records, the command line, the environments), so a new setting, table or command is covered by itself.
"""
