"""How ALFWorld says that it would not do an action."""

REFUSALS = ("Nothing happens",)
