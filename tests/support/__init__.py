"""What tests of several folders share; a test imports from here and from its own folder only."""
