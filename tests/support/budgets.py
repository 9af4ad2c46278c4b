"""Budgets that end without a clock."""

from soma_cp.annealing.budget import Budget


class Looks(Budget):
    """A budget that is over after so many looks at it."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    @property
    def over(self) -> bool:
        self.looks -= 1
        return self.looks < 0
