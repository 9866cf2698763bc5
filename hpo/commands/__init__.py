"""The command line: one module a command, the flags, the terminal; the only room that prints.

Takes arguments and gives exit codes; the rooms below do the work.
"""
