"""The learner's training without a trainer library: the same model, loss, optimizer and schedule as through TRL."""
