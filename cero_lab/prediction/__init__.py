"""How well a belief predicts, held out: histories with the true rates, rivals of the library's beliefs, and scores."""
