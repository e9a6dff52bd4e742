"""The escape suite: the catalogue of attempts, the stage they are made on, and the judgement of how they went."""
