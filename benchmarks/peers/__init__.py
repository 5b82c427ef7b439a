"""Other tools on the same decoder, each in a Python environment of its own.

One tool a file; the file's name is the tool's, and it runs in the tool's own environment, where
there is no edgekit. Each gives:

- ``TITLE``: what a table calls it.
- ``REQUIRES``: what is installed there, each version fixed.
- ``INSTALLED_WITH``: environment variables for that, where some are needed.
- ``make(source, target, context)``: the tool's files from a Hugging Face folder.
- ``open_feed(folder, context, threads)``: a function from ``(ids, position)`` to the likeliest next
  token; position 0 begins anew, and later calls give the token that it said last.
"""
