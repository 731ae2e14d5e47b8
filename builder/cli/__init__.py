"""The command line: arguments, words, exit status; the only room that prints."""
