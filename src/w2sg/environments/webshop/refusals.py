"""WebShop has no words for an action that it would not do: its page stays as it was, as when an option is chosen."""

REFUSALS = ()
