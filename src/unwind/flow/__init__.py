"""The story of a case, a file per step: receive, tag, screen, execute, settle, review, notify, archive."""
