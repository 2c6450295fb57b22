"""The history of a case: an index of run files, trends of session medians, and the points at which they changed."""
