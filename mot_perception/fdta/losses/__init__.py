"""What FDTA is trained to minimise, each loss in a file of its own.

A loss returns a sum and what to divide it by, both over this process's part of a batch: processes
that share a batch add up the counts of all of them, and divide their totals by that.
"""
