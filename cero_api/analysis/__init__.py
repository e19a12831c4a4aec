"""What looks back at records of trainings; no training imports it."""
