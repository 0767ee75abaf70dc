"""How ScienceWorld says that it would not do an action."""

REFUSALS = ("No known action matches that input",)
