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

# The list of available actions that this prompt promises is never shown, as in ETO's wrapper (A25).
WEBSHOP = """\
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

SCIENCEWORLD = """\
You are a helpful assistant to do some scientific experiment in an environment. In the environment, there are several \
rooms: kitchen, foundry, workshop, bathroom, outside, living room, bedroom, greenhouse, art studio, hallway. You \
should explore the environment and find the items you need to complete the experiment. You can teleport to any room \
in one step. All containers in the environment have already been opened, you can directly get items from the \
containers.
The available actions are:
open OBJ: open a container
close OBJ: close a container
activate OBJ: activate a device
deactivate OBJ: deactivate a device
connect OBJ to OBJ: connect electrical components
disconnect OBJ: disconnect electrical components
use OBJ [on OBJ]: use a device/item
look around: describe the current room
examine OBJ: describe an object in detail
look at OBJ: describe a container's contents
read OBJ: read a note or book
move OBJ to OBJ: move an object to a container
pick up OBJ: move an object to the inventory
pour OBJ into OBJ: pour a liquid into a container
mix OBJ: chemically mix a container
teleport to LOC: teleport to a specific room
focus on OBJ: signal intent on a task object
wait: task no action for 10 steps
wait1: task no action for a step
Your response should use the following format:
Thought: <your thoughts>
Action: <your next action>"""

PROMPTS = {"alfworld": ALFWORLD, "scienceworld": SCIENCEWORLD, "webshop": WEBSHOP}

_RESPONSE = re.compile(r"\s*Thought:(?P<thought>.*?)Action:(?P<action>.*)", re.DOTALL)


def prompt(environment: str, *, style: str) -> str:
    """The text that opens the first user turn: appendix F's for style "paper", nothing for "short".

    A model trained from scratch has never read English, and its context is dear: it gets the short form.
    """
    return PROMPTS[environment] if style == "paper" else ""


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
