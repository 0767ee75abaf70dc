"""The paper's prompt (appendix F)."""

PROMPT = """\
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
