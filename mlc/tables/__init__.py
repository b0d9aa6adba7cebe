"""Records and verdicts as text, files and pictures."""
