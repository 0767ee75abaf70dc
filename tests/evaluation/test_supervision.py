"""The ledger of supervision, by hand."""

from w2sg.evaluation.measures.supervision import Lesson, ledger


def test_a_model_has_read_what_its_start_has_read() -> None:
    lessons = {
        "base_strong": Lesson("", play=100),
        "sft_strong": Lesson("base_strong", expert=30),
        "w2s_mcts": Lesson("sft_strong", models=50),
        "ceiling": Lesson("sft_strong", expert=20, models=25),
        "alone": Lesson("base_strong", models=50),
    }
    updates = {"sft_strong": 4, "w2s_mcts": 6}
    lines = ledger(lessons, updates=updates, environment="alfworld", seed=3)
    assert [(line.model, line.init, line.play, line.expert, line.models, line.updates) for line in lines] == [
        ("base_strong", "", 100, 0, 0, 0),
        ("sft_strong", "base_strong", 100, 30, 0, 4),
        ("w2s_mcts", "sft_strong", 100, 30, 50, 6),
        ("ceiling", "sft_strong", 100, 50, 25, 0),
        ("alone", "base_strong", 100, 0, 50, 0),
    ]
    assert {(line.environment, line.seed) for line in lines} == {("alfworld", 3)}
