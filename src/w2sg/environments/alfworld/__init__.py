"""ALFWorld's household games in text (paper, section 4.1), on an engine of our own that answers as TextWorld's does.

The games are PDDL problems over ALFWorld's domain; the words come from ALFWorld's grammar. `world` reads and plays them
without TextWorld and its planner library, some hundred times faster. The tests hold the readers against TextWorld's and
Fast Downward's own, and the engine against the original step by step. Of the package `alfworld` a run uses the data
(floor plans, domain, grammar) and two modules of constants.
"""

import os
import tempfile

# `import alfworld` makes a data folder in the user's home unless this variable names one; none is needed here.
os.environ.setdefault("ALFWORLD_DATA", tempfile.gettempdir())
