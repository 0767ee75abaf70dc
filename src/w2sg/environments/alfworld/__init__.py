"""ALFWorld's household games in text (paper, section 4.1), on an engine of our own that answers as TextWorld's does.

The games are PDDL problems over ALFWorld's domain; the words come from ALFWorld's grammar. TextWorld's parsers and
Fast Downward's PDDL front end read both; `engine` then plays them without the planner library, some hundred times
faster, which the tests hold against the original step by step.
"""

import os
import tempfile

# `import alfworld` makes a data folder in the user's home unless this variable names one; none is needed here.
os.environ.setdefault("ALFWORLD_DATA", tempfile.gettempdir())
