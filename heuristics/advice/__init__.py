"""One file an action, or a closely related pair: what would make the job faster, by how much, and what binds then.

Adding an action is one file and one line in ``actions.ACTIONS``.
"""
