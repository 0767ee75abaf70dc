"""The paper's prompt (appendix F).

The list of available actions that it promises is never shown, as in ETO's wrapper (A25).
"""

PROMPT = """\
You are web shopping. I will give you instructions about what to do. You have to follow the instructions. Every round \
I will give you an observation and a list of available actions, you have to respond an action based on the state and \
instruction. You can use search action if search is available. You can click one of the buttons in clickables. An \
action should be of the following structure:
search[keywords]
click[value]
If the action is not valid, perform nothing. Keywords in search are up to you, but the value in click must be a value \
in the list of available actions. Remember that your keywords in search should be carefully designed.
Your response should use the following format:
Thought: I think ...
Action: click[something]"""
