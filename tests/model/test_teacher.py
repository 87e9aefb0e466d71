"""The local teacher on the tiny model: batches, tokens, and the same answers for the same seeds."""
from traitlab.language_model.generation import Sampling
from traitlab.opinions.teacher.collect import Request
from traitlab.opinions.teacher.local import Local
from traitlab.opinions.teacher.prompts import messages, wanted


def test_replies_come_batch_by_batch_with_their_tokens(tiny_folder, compute):
    plan = wanted([("Jazz", "arts")], ["plain"], ["high"], 1)
    requests = [Request(row, 1, messages(row, []), seed) for seed, row in enumerate(plan)]
    taken, replies = [], []

    def given():
        for request in requests:
            taken.append(request)
            yield request

    def on_reply(request, reply):
        replies.append((request.seed, reply, len(taken)))

    teacher = Local(tiny_folder, compute, Sampling(1.0, 1.0, 8), batch_size=2)
    teacher.answer(given(), on_reply)
    assert [seed for seed, _, _ in replies] == [0, 1, 2, 3, 4]
    assert [n for _, _, n in replies] == [2, 2, 4, 4, 5], "a batch is handed over before the next is taken"
    for seed, reply, _ in replies:
        assert reply.prompt_tokens == len(teacher._lm.prompt_ids(requests[seed].messages))
        assert reply.finished == (reply.answer_tokens < 8)
    again = []
    Local(tiny_folder, compute, Sampling(1.0, 1.0, 8), batch_size=2).answer(requests, lambda _, r: again.append(r))
    assert again == [reply for _, reply, _ in replies]
