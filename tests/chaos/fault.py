"""What a fault is. The table of all of them is in chaos/faults.py."""

SEEN_SECONDS = 60


class Fault:
    """before() the run, inject() at its moment, heal() the disturbance, answer() as an operator would."""

    alone = False  # no other fault in the same round
    heals = 2  # before those of a larger number: a silent database keeps others from taking over from a stopped worker
    moments = (0.0, 0.5)  # shares of a run between which it comes

    def __init__(self, name, place, chance):
        self.name = name
        self.place = place
        self.chance = chance
        self.moment = chance.uniform(*self.moments)

    @staticmethod
    def impossible(place):
        """Why it cannot be done here; empty where it can."""
        return ""

    def before(self):
        pass

    def inject(self):
        raise NotImplementedError

    def heal(self):
        pass

    def answer(self):
        pass

    def end(self):
        """In any case, also after a failure: what would outlive the servers."""
