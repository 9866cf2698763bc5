"""The command line: one module a command, the flags, the terminal; the only room that prints.

Takes arguments and gives exit codes; everything that a command does is in the rooms below.
"""
