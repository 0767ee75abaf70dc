"""ScienceWorld's experiments in text (paper, section 4.1), on the real simulator of the package `scienceworld`.

`java` starts a Java machine, `simulator` keeps many episodes in it, each as if it were alone, `environment` is the
contract and outlives a machine that dies. `splits` and `task_table` say what is played; `seeker`, `gold` and `play`
play it.
"""
