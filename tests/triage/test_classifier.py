"""What a classifier is: one method, on a blocking or an asynchronous desk."""

from supportflow.model import Message, Reading
from supportflow.triage import Classifier


def test_anything_that_reads_is_a_classifier() -> None:
    """No base class is needed; the protocol says what a desk relies on."""

    class Mine:
        def read(self, message: Message) -> Reading:
            return Reading("question")

    class Later:
        async def read(self, message: Message) -> Reading:
            return Reading("question")

    given: list[Classifier] = [Mine(), Later()]
    assert all(callable(classifier.read) for classifier in given)
