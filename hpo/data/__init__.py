"""Tables: read from files, their columns decided, rows held out.

Takes the ``[data]`` section; gives a dataset, or one line that says what is wrong with the table.
"""
