"""Prompts of appendix F (M19) and the "Thought: … Action: …" form of every agent turn."""

import re

# The paper's ALFWorld prompt, its evident slips mended: "task obj" -> "take obj", "put" -> the game's own verb.
ALFWORLD = """\
Interact with a household to solve a task. Imagine you are an intelligent agent in a household environment and your \
target is to perform actions to complete the task goal. At the beginning of your interactions, you will be given the \
detailed description of the current environment and your goal to accomplish. For each of your turn, you will be given \
the observation of the last turn. You should first think about the current condition and plan for your future \
actions, and then output your action in this turn. \
Your output must strictly follow this format:
Thought: your thoughts.
Action: your next action.
The available actions are:
1. go to recep
2. take obj from recep
3. move obj to recep
4. open recep
5. close recep
6. use obj
7. clean obj with recep
8. heat obj with recep
9. cool obj with recep
where obj and recep correspond to objects and receptacles.
After your each turn, the environment will give you immediate feedback based on which you plan your next few steps. \
If the environment output "Nothing happens", that means the previous action is invalid and you should try more \
options.
Your response should use the following format:
Thought: <your thoughts>
Action: <your next action>"""

_RESPONSE = re.compile(r"\s*Thought:(?P<thought>.*?)Action:(?P<action>.*)", re.DOTALL)


def prompt(environment: str, *, style: str) -> str:
    """The text that opens the first user turn: appendix F's for style "paper", nothing for "short".

    A model trained from scratch has never read English, and its context is dear: it gets the short form.
    """
    return {"alfworld": ALFWORLD}[environment] if style == "paper" else ""


def format_response(thought: str, action: str) -> str:
    """One agent turn in the form of appendix F."""
    return f"Thought: {thought}\nAction: {action}"


def parse_response(text: str) -> tuple[str, str] | None:
    """Thought and action of an agent turn, both stripped; None where the turn has not that form.

    The action is the first line after the first "Action:"; an empty action counts as none.
    """
    match = _RESPONSE.match(text)
    if match is None:
        return None
    action = match["action"].strip().split("\n")[0].strip()
    return (match["thought"].strip(), action) if action else None
