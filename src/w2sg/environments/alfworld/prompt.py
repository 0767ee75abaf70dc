"""The paper's prompt (appendix F), its evident slips mended: "task obj" -> "take obj", "put" -> the game's own verb."""

PROMPT = """\
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
